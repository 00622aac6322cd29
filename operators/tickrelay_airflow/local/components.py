# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One component of the local system: started in a session of its own, watched, started again when it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tickrelay_airflow.local.processes import Identity, kill

_PR_SET_PDEATHSIG = 1
_PATIENCE = 30.0
"""Seconds after which a component that runs counts as well again."""
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """
    How a component is run.

    Attributes:
        kind: `command` runs `argv`; `airflow` forks Airflow with `argv` as its arguments.
        phase: components with a lower phase are stopped before those with a higher one.
        grace: seconds it may take to stop before it is killed.
    """

    name: str
    kind: str
    argv: tuple[str, ...]
    cwd: str
    phase: int = 0
    grace: float = 5.0


@dataclass(slots=True)
class Component:
    """A running component; used by one thread only."""

    spec: Spec
    log: Path
    identity: Identity | None = None
    failures: int = 0
    retry_at: float = 0.0
    wanted: bool = True
    code: int | None = None
    _started: float = field(default=0.0, repr=False)

    @property
    def running(self) -> bool:
        """Whether its leader lives, as far as `reap` has seen."""
        return self.identity is not None

    def start(self) -> None:
        """Fork it."""
        parent = os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            self._become(parent)
        self._started = time.monotonic()
        self.identity = Identity.of(self.spec.name, pid)

    def reap(self) -> bool:
        """Notice that it has died: end what it left behind and set when to start it again. True if it had died."""
        if self.identity is None:
            return False
        pid, status = os.waitpid(self.identity.pid, os.WNOHANG)
        if pid == 0:
            return False
        self.code = os.waitstatus_to_exitcode(status)
        kill(self.identity)
        self.identity = None
        self._schedule()
        return True

    def ask_to_stop(self) -> None:
        """Tell it to stop; it isn't started again."""
        self.wanted = False
        if self.identity is not None:
            with suppress(ProcessLookupError):
                os.kill(self.identity.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it with everything it has started."""
        if self.identity is not None:
            kill(self.identity)

    def last_words(self) -> str:
        """The last line of its log, for people."""
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
            return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
        return ""

    def _schedule(self) -> None:
        lived = time.monotonic() - self._started
        self.failures = 1 if lived > _PATIENCE else self.failures + 1
        self.retry_at = time.monotonic() + min(0.25 * 2**self.failures, _LONGEST_PAUSE)

    def _become(self, parent: int) -> None:
        """The child's side of the fork; never returns."""
        try:
            os.setsid()
            die_with_parent(parent)
            _default_signals()
            _redirect(self.log)
            os.chdir(self.spec.cwd)
            self._execute(self.spec.argv)
        except BaseException as error:  # noqa: BLE001 - the fork must not run on with its parent's code
            os.write(2, f"{self.spec.name} can't be started: {error}\n".encode())
        os._exit(127)

    def _execute(self, argv: Sequence[str]) -> None:
        if self.spec.kind == "command":
            os.execvp(argv[0], list(argv))  # noqa: S606 - there is no shell between a plan and its program
        from tickrelay_airflow.local import airflow_fork

        airflow_fork.run(argv)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies (Linux); elsewhere the next start cleans up."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _default_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _redirect(log: Path) -> None:
    silence = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(silence, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
