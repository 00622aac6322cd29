# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The terminal's side of the keeper: starts it, hears it, starts it again when it dies, stops it within bounds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from tickrelay_airflow.local.configuration import process_environment
from tickrelay_airflow.local.plan import components
from tickrelay_airflow.local.processes import Identity, end, load, save
from tickrelay_airflow.local.settings import LocalSettings

STOP_WITHIN = 22.0
"""Seconds after which whatever is left is killed: the phases' graces and a little."""
_PAUSE = 2.0
_TROUBLES = 5


class Supervision:
    """
    One system's processes, as seen from the terminal.

    Attributes:
        states: the last state of each component, and what it said.
        troubles: the last deaths, as sentences.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._specs = components(settings)
        self.states: dict[str, tuple[str, str]] = {spec.name: ("waiting", "") for spec in self._specs}
        self.troubles: deque[str] = deque(maxlen=_TROUBLES)
        self._keeper: subprocess.Popen[bytes] | None = None
        self._again_at = 0.0

    def clean_up(self) -> list[str]:
        """End what an earlier system in this home has left, which happens after a SIGKILL; returns names."""
        left = end(load(self._settings.home.processes), grace=10)
        self._settings.home.processes.unlink(missing_ok=True)
        return left

    def start(self) -> None:
        """Start the keeper with its plan."""
        home = self._settings.home
        with (home.logs / "keeper.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", "tickrelay_airflow.local.keeper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=home.airflow,
                env=process_environment(self._settings),
                start_new_session=True,  # Ctrl-C in the terminal is for us alone; the keeper hears from us
            )
        save(home.processes, [Identity.of("keeper", self._keeper.pid)])
        self._tell(json.dumps(self._plan()))
        threading.Thread(target=self._hear, args=(self._keeper.stdout,), daemon=True).start()

    def look_after(self) -> None:
        """Start the keeper again if it has died; to be called now and then."""
        if self._keeper is None or self._keeper.poll() is None or time.monotonic() < self._again_at:
            return
        self.troubles.append(f"the keeper died with exit code {self._keeper.returncode}; see logs/keeper.log")
        self._again_at = time.monotonic() + _PAUSE
        end(load(self._settings.home.processes), grace=5)
        self.start()

    def stop_component(self, name: str) -> None:
        """Stop one component for good."""
        self._tell(f"stop {name}")

    def stop(self) -> list[str]:
        """Stop everything, in order, within `STOP_WITHIN`; returns names of what had to be killed."""
        if self._keeper is None:
            return []
        with suppress(OSError):
            self._keeper.stdin.close()  # type: ignore[union-attr] # we gave it a pipe
        with suppress(subprocess.TimeoutExpired):
            self._keeper.wait(STOP_WITHIN)
        left = end(load(self._settings.home.processes), grace=0.5)
        self._keeper.wait()
        self._settings.home.processes.unlink(missing_ok=True)
        return left

    def _plan(self) -> Mapping[str, Any]:
        home = self._settings.home
        return {
            "components": [asdict(spec) for spec in self._specs],
            "logs": str(home.logs),
            "record": str(home.processes),
        }

    def _tell(self, line: str) -> None:
        pipe = self._keeper.stdin if self._keeper else None
        with suppress(BrokenPipeError, ValueError):
            if pipe is not None:
                pipe.write(line.encode() + b"\n")
                pipe.flush()

    def _hear(self, lines: IO[bytes]) -> None:
        for line in lines:
            event = json.loads(line)
            name, detail = event["component"], event.get("detail", "")
            if name in self.states:
                self.states[name] = (event["state"], detail)
            if event["state"] in ("died", "killed"):
                self.troubles.append(f"{name} {event['state']}: {detail}")
