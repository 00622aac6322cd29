# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Contestants that are processes: one scheduler, or two that share the work, and perhaps a worker that nobody kills."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class Contestant(Protocol):
    """
    Attributes:
        name: as in the table.
        setting: what it was measured with.
        notes: what it has written.
        every: seconds between two ticks.
    """

    name: str
    setting: str
    notes: Path
    every: int


class Killable(Protocol):
    """Schedulers, by number; who has only one has it killed whichever is meant."""

    def kill(self, *numbers: int) -> None:
        """SIGKILL."""

    def start(self, *numbers: int) -> None:
        """Start again; returns when they are at work, or at least started."""


@dataclass(slots=True)
class Replicas:
    """
    Attributes:
        schedulers: a command each.
        others: commands of what is never killed.
    """

    name: str
    setting: str
    notes: Path
    schedulers: Sequence[Sequence[str]]
    others: Sequence[Sequence[str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    every: int = 1
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *numbers: int) -> None:
        for number in self._meant(numbers):
            if number not in self._running:
                self._running[number] = self._spawn(self.schedulers[number])

    def start_others(self) -> None:
        """Once."""
        for number, command in enumerate(self.others):
            self._running[-1 - number] = self._spawn(command)

    def kill(self, *numbers: int) -> None:
        for number in self._meant(numbers):
            self._end(number)

    def close(self) -> None:
        """End everything."""
        for number in list(self._running):
            self._end(number)

    def _meant(self, numbers: Sequence[int]) -> set[int]:
        return {min(number, len(self.schedulers) - 1) for number in numbers}

    def _end(self, number: int) -> None:
        if (process := self._running.pop(number, None)) is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with self.notes.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                list(command),
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, "TICKS_NOTES": str(self.notes)},
                start_new_session=True,
            )
