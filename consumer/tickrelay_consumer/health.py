# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whether a consumer makes progress: a process that answers but doesn't work is not healthy."""

from __future__ import annotations

import time
from collections.abc import Callable

from tickrelay_consumer.engine.shared import Shared

_SLACK = 30.0
"""Seconds beyond the longest timeout without any progress that still count as healthy."""


class Health:
    """
    Args:
        is_whole: whether every thread that should run does.
        longest: the longest timeout of any handler, seconds.
    """

    def __init__(self, shared: Shared, is_whole: Callable[[], bool], longest: float) -> None:
        self._shared = shared
        self._is_whole = is_whole
        self._patience = longest + _SLACK

    def problems(self) -> list[str]:
        """Why a supervisor should start this process afresh; empty when healthy."""
        silent = time.monotonic() - self._shared.progress
        checks = (
            (bool(self._shared.gave_up), self._shared.gave_up),
            (not self._is_whole(), "a thread of the consumer died"),
            (silent > self._patience, f"no progress for {silent:.0f} s"),
        )
        return [text for failed, text in checks if failed]

    def notes(self) -> list[str]:
        """What is being cured."""
        return [*self._shared.deaf.values(), *self._shared.gates.notes()]

    def is_ready(self) -> bool:
        """Whether it takes messages now."""
        return not self._shared.stopping.is_set() and not self.problems()
