# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One server process: started, waited for, killed, started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path

import pytest

from tickrelay_airflow.local.ports import is_free

_LOWEST, _EACH, _BLOCKS = 10_000, 5_000, 4


def _candidates() -> Iterator[int]:
    """
    Round and round in a part of the ports for each worker of pytest-xdist.

    Below those that a system gives to whoever doesn't care, from 32,768 on: a port is only bound by its server seconds
    after it was found free, and meanwhile somebody else, or any connection, would have it.
    """
    block = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _BLOCKS
    ports = range(_LOWEST + block * _EACH, _LOWEST + (block + 1) * _EACH)
    return islice(cycle(ports), os.getpid() % _EACH, None)


_ports = _candidates()


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, nor will before they are asked for again."""
    return list(islice(filter(is_free, _ports), count))


def need(program: str) -> str:
    """The path of a program; without it the test fails on CI and is skipped elsewhere, saying what to type."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed; ./test says how to get it"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """
    Args:
        command: what to run.
        ready: asked until it is true.
        log: takes the output; shown when the server doesn't come up.
        env: its whole environment; ours by default.
    """

    def __init__(
        self,
        command: Sequence[str],
        ready: Callable[[], bool],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._ready = ready
        self._log = log
        self._env = None if env is None else dict(env)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, within: float = 60.0) -> None:
        """Start it, and return when it is ready."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._env, start_new_session=True
            )
        deadline = time.monotonic() + within
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(
                    f"{self._command[0]} did not come up:\n{self._log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Send a signal to the server (SIGSTOP, SIGCONT, SIGTERM...)."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; its whole process group, which it was started in."""
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Kill it and start it again on what it had written to its disk."""
        self.kill()
        self.start()
