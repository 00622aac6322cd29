# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The one loop in which tests wait for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], told: Callable[[T], str], *, within: float, every: float = 0.05
) -> T:
    """
    The first truthy answer; fails when there was none in time.

    Args:
        told: from the last answer, what has not come true, and whatever helps to find out why.
        within: seconds.
        every: seconds between two looks.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:g} s: {told(answer)}")
        time.sleep(every)
    return answer
