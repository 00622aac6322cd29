# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Process trees that can be found again, and ended, whoever of them has died.

Each component is started as the leader of a session of its own. Whatever it starts stays in that session (Airflow's
task processes move to groups of their own, not to other sessions), also when its parent dies; and the kernel gives the
session's number to nobody else while one member lives. So a session and its leader's start are an identity that needs
no guessing by command lines.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tickrelay_airflow.local.home import write_private

_CLOCK_GRAIN = 0.02
"""Start times are counted in kernel ticks of 10 ms."""


@dataclass(frozen=True, slots=True)
class Identity:
    """
    A session by its leader.

    Attributes:
        name: the component's.
        pid: the leader's, and the session's number.
        created: when the leader was started, Unix seconds.
    """

    name: str
    pid: int
    created: float

    @classmethod
    def of(cls, name: str, pid: int) -> Identity:
        """The identity of a session leader that has just been started; one that is dead already was created now."""
        try:
            return cls(name, pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(name, pid, time.time())

    def members(self) -> list[psutil.Process]:
        """Everything alive in the session, and what its members started in sessions of their own."""
        if self._replaced():
            return []
        members = {
            process.pid: process for process in psutil.process_iter() if _session_of(process.pid) == self.pid
        }
        for process in list(members.values()):
            with suppress(psutil.Error):
                members |= {child.pid: child for child in process.children(recursive=True)}
        members.pop(os.getpid(), None)
        return [process for process in members.values() if _runs(process)]

    def _replaced(self) -> bool:
        """Whether the leader's number now belongs to a stranger, which it can only once the whole session is gone."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) > _CLOCK_GRAIN
        except psutil.NoSuchProcess:
            return False


def end(identities: Iterable[Identity], grace: float) -> list[str]:
    """
    End sessions: ask their members, wait up to `grace` seconds, kill what is left.

    Returns:
        names of those that had members left.
    """
    living = {identity.name: members for identity in identities if (members := identity.members())}
    processes = [process for members in living.values() for process in members]
    _signal(processes, signal.SIGTERM)
    _, stubborn = psutil.wait_procs(processes, timeout=grace)
    _signal(stubborn, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=2)
    return list(living)


def kill(identity: Identity) -> int:
    """Kill whatever a session has left; returns how many processes that were."""
    members = identity.members()
    _signal(members, signal.SIGKILL)
    return len(members)


def save(path: Path, identities: Iterable[Identity]) -> None:
    """Write down who belongs to the system, for the next start."""
    write_private(path, json.dumps([asdict(identity) for identity in identities]))


def load(path: Path) -> list[Identity]:
    """Who was written down; nobody if the file is missing or isn't ours to understand."""
    try:
        return [Identity(**entry) for entry in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
