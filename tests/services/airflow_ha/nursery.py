# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The parent of all components: it has imported Airflow once, so that a component that was killed is back at once.

    python -m tests.services.airflow_ha.nursery LOGS NAME=ARGUMENTS...

Lines come in, `start NAME`, `kill NAME`, or `tend NAME` for one that may have ended by itself; each is answered by a
line, `done` or what went wrong. When its input ends it kills everything and ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tickrelay_airflow.local import airflow_fork
from tickrelay_airflow.local.components import Component, Spec


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed, by Airflow's imports above all, belongs into the log
    logs, *named = sys.argv[1:]
    components = {name: _component(Path(logs), name, rest) for name, _, rest in map(_parted, named)}
    airflow_fork.migrate()
    for kind in {component.spec.argv[0] for component in components.values()}:
        airflow_fork.prepare(kind)
    answers.write("done\n")
    try:
        for line in sys.stdin:
            verb, name = line.split()
            answers.write(_OBEY[verb](components[name]) + "\n")
    finally:
        for component in components.values():
            component.kill()


def _parted(argument: str) -> tuple[str, str, str]:
    return argument.partition("=")


def _component(logs: Path, name: str, arguments: str) -> Component:
    spec = Spec(name=name, kind="airflow", argv=tuple(arguments.split()), cwd=str(logs))
    return Component(spec, logs / f"{name}.log")


def _start(component: Component) -> str:
    component.reap()
    if component.running:
        return f"{component.spec.name} runs already"
    component.start()
    return "done"


def _kill(component: Component) -> str:
    """SIGKILL to its whole session, task processes included, as when its machine dies."""
    if component.reap() or component.identity is None:
        return f"{component.spec.name} had ended by itself: {component.last_words()}"
    component.kill()
    os.waitpid(component.identity.pid, 0)
    component.identity = None
    return "done"


def _tend(component: Component) -> str:
    """Start it again if it had been started and has ended, as whatever supervises services does."""
    if component.reap():
        component.start()
    return "done"


_OBEY = {"start": _start, "kill": _kill, "tend": _tend}

if __name__ == "__main__":
    main()
