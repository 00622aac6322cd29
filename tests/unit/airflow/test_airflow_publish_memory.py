# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a publishing task remembers of its messages, and how much room that takes."""

from __future__ import annotations

import random
import sys
from uuid import UUID

import pytest

from tickrelay_messaging.ids import stable_id
from tickrelay_messaging.seen import SeenIds


def test_each_id_is_new_once():
    """It answers as a set would, for ids that come again at any distance."""
    ids = [UUID(stable_id("n", number % 700)).bytes for number in range(2_000)]
    seen, known = SeenIds(), set()

    for one in ids:
        assert seen.add(one) is (one not in known)
        known.add(one)
    assert len(known) == len(seen)


def test_ids_that_lie_across_each_other():
    """An id that is found where one ends and the next begins isn't there."""
    seen = SeenIds()
    first, second = bytes(2) + bytes(range(1, 15)), bytes(2) + bytes(range(15, 29))
    across = bytes(2) + (first[2:] + second[2:])[5:19]

    answers = [seen.add(one) for one in (first, second, across, across, second)]

    assert [True, True, True, False, False] == answers


def test_what_is_no_id():
    """What doesn't fit is an error rather than a wrong answer."""
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        SeenIds().add(b"abc")


def test_ids_take_little_room():
    """Memory stays flat: some 30 bytes an id, where a set takes 120."""
    seen, chance = SeenIds(), random.Random(7)
    for _ in range(300_000):
        seen.add(chance.randbytes(16))

    assert 300_000 == len(seen)
    assert sum(map(sys.getsizeof, filter(None, seen._drawers))) < 40 * len(seen)
