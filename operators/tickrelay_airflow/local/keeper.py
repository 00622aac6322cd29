# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The keeper: the one parent of all components. It starts them, starts them again when they die, and stops them in order.

It has one thread and talks in lines: a plan comes in on its standard input, then `stop NAME`; what happens goes out as
JSON lines. When its input ends, because `up` stopped it or because `up` was killed, it stops everything and ends.
So nothing outlives `up` for long. When the keeper itself is killed, the kernel tells its children.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickrelay_airflow.local import airflow_fork
from tickrelay_airflow.local.components import Component, Spec
from tickrelay_airflow.local.processes import Identity, save

_LOOK = 0.2
"""Seconds between two looks at the children."""
_SECOND_ASKING = 4.0
"""Seconds until a component is asked a second time, which Airflow's scheduler and triggerer take as "don't wait"."""


@dataclass(slots=True)
class Keeper:
    """
    Args:
        components: all of them, in the order they are started.
        record: where the identities of the living are kept for the next start.
        events: file descriptor of the lines for `up`.
    """

    components: Sequence[Component]
    record: Path
    events: int
    stopping: bool = False
    _input: bytes = field(default=b"", repr=False)

    def run(self) -> None:
        """Start everything, keep it alive until told to stop, stop it."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._start_all()
        while not self.stopping:
            self._listen(_LOOK)
            self._look_after()
        self._stop_all()

    def _start_all(self) -> None:
        """Commands first, since they are quick; then Airflow, whose imports take some seconds."""
        for component in self._of("command"):
            self._start(component)
        airflow = self._of("airflow")
        if airflow:
            self._say("airflow", "preparing", detail="metadata database")
            airflow_fork.migrate()
        for component in airflow:
            self._listen(0)
            if self.stopping:
                return
            airflow_fork.prepare(component.spec.name)
            self._start(component)

    def _of(self, kind: str) -> list[Component]:
        return [component for component in self.components if component.spec.kind == kind]

    def _start(self, component: Component) -> None:
        component.start()
        self._save()
        self._say(component.spec.name, "running", pid=component.identity.pid if component.identity else 0)

    def _look_after(self) -> None:
        for component in self.components:
            if component.reap():
                self._report_end(component)
            if component.wanted and not component.running and time.monotonic() >= component.retry_at:
                self._start(component)

    def _report_end(self, component: Component) -> None:
        self._save()
        if component.wanted:
            self._say(
                component.spec.name, "died", detail=f"exit code {component.code}: {component.last_words()}"
            )
        else:
            self._say(component.spec.name, "stopped", detail=f"exit code {component.code}")

    def _stop_all(self) -> None:
        for phase in sorted({component.spec.phase for component in self.components}):
            self._stop([component for component in self.components if component.spec.phase == phase])

    def _stop(self, components: Sequence[Component]) -> None:
        """Ask, ask again, kill; bounded by the longest grace among them."""
        begun = time.monotonic()
        asked = 0
        while True:
            for component in components:
                if component.reap():
                    self._report_end(component)
            waited = time.monotonic() - begun
            left = [component for component in components if component.running]
            if not left:
                return
            if asked < 1 or (asked < 2 and waited > _SECOND_ASKING):  # noqa: PLR2004 - the second asking
                asked += 1
                for component in left:
                    component.ask_to_stop()
            for component in left:
                if waited > component.spec.grace:
                    detail = f"had not stopped after {component.spec.grace:.0f} s"
                    self._say(component.spec.name, "killed", detail=detail)
                    component.kill()
            time.sleep(0.05)

    def _listen(self, timeout: float) -> None:
        """Read what `up` has to say; the end of its input means stop."""
        with suppress(InterruptedError):
            if not select.select([0], [], [], timeout)[0]:
                return
        received = os.read(0, 65536)
        if not received:
            self.stopping = True
        *lines, self._input = (self._input + received).split(b"\n")
        for line in lines:
            self._obey(line.decode())

    def _obey(self, line: str) -> None:
        verb, _, name = line.partition(" ")
        if verb == "stop":
            self._stop([component for component in self.components if component.spec.name == name])

    def _save(self) -> None:
        living = [component.identity for component in self.components if component.identity is not None]
        save(self.record, [Identity.of("keeper", os.getpid()), *living])

    def _say(self, component: str, state: str, **more: Any) -> None:
        """One line to `up`; nobody may be listening any more."""
        line = json.dumps({"at": time.time(), "component": component, "state": state, **more})
        with suppress(BrokenPipeError):
            os.write(self.events, line.encode() + b"\n")

    def _on_signal(self, number: int, frame: object) -> None:
        del number, frame
        self.stopping = True


def main() -> None:
    """Read the plan from the first line of standard input and carry it out."""
    # Whatever else is printed in here, by Airflow's imports above all, belongs into the log.
    events = os.dup(1)
    os.dup2(2, 1)
    plan = json.loads(_first_line())
    logs = Path(plan["logs"])
    specs = [Spec(**entry) for entry in plan["components"]]
    components = [Component(spec, logs / f"{spec.name}.log") for spec in specs]
    Keeper(components, Path(plan["record"]), events).run()


def _first_line() -> bytes:
    """The plan's line, not a byte more: what follows is read with `select`."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit("the keeper is started by `tickrelay up` and needs a plan on its standard input")
        line += byte
    return line


if __name__ == "__main__":
    main()
