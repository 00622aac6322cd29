# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How far a server's clock is from this host's."""

from __future__ import annotations

import time
from collections.abc import Callable

_ASKED = 3


def clock_offset(ask: Callable[[], float], count: Callable[[], float] = time.time) -> float:
    """
    Seconds that a server's clock is ahead of this host's, asked a few times.

    An answer counts as given when it arrives, so the clock made of it is behind by its way, and never ahead: nothing
    begins before its instant. The quickest answer tells most.

    Args:
        ask: the server's Unix seconds.
        count: seconds of this host.
    """
    return max(ask() - count() for _ in range(_ASKED))
