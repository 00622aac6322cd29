# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The garbage collector is left as it was found."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tickrelay_consumer.garbage import SELDOM, seldom_collected


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    chosen = gc.get_threshold()
    yield
    gc.set_threshold(*chosen)


def test_it_passes_seldom_and_not_over_what_is_loaded() -> None:
    """Only while a consumer works."""
    gc.set_threshold(700, 10, 10)
    with seldom_collected():
        assert (SELDOM, 10, 10) == gc.get_threshold()
        assert gc.get_freeze_count() > 0
    assert (700, 10, 10) == gc.get_threshold()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("chosen", [0, 2 * SELDOM])
def test_who_chose_keeps_the_choice(chosen: int) -> None:
    """A collector that is off stays off, and one that is rarer stays as rare."""
    gc.set_threshold(chosen, 10, 10)
    with seldom_collected():
        assert (chosen, 10, 10) == gc.get_threshold()
