# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A server's clock, told over a network that takes its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tickrelay_messaging.ledger.clocks import clock_offset

_WAY = st.tuples(st.floats(0, 2), st.floats(0, 2))


@given(st.floats(-1e6, 1e6), st.lists(_WAY, min_size=3, max_size=3))
def test_never_ahead_and_as_good_as_the_quickest_answer(
    ahead: float, ways: list[tuple[float, float]]
) -> None:
    """However long questions and answers take, the clock made of them is behind, by the shortest way back."""
    host = 1e9
    on_their_way = iter(ways)

    def ask() -> float:
        nonlocal host
        there, back = next(on_their_way)
        told = host + there + ahead
        host += there + back
        return told

    found = clock_offset(ask, lambda: host)
    assert found <= ahead + 1e-5
    assert abs(ahead - found - min(back for _, back in ways)) < 1e-5
