# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The consumer's ends of the lines to its nursery and its children. For one thread."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tickrelay_consumer.engine.runners.frames import READ, Frame, Unpacker, pack
from tickrelay_consumer.engine.runners.nursery import command
from tickrelay_consumer.engine.work import Call

_MOST_FDS = 16


class NurseryLine:
    """A nursery, started, and what is said with it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._unpacker = Unpacker()
        self._fds: list[int] = []
        self.line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                command(theirs.fileno(), os.getpid()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self.begin()

    def begin(self) -> None:
        """Tell it where the handlers are."""
        self._tell({"is": "start", "path": sys.path, "target": self._target})

    def fork(self) -> None:
        """Ask for a child."""
        self._tell({"is": "fork"})

    def kill(self, pid: int) -> None:
        """Ask for a child's death; only its parent can be sure that the pid is still that child's."""
        self._tell({"is": "kill", "pid": pid})

    def hear(self) -> list[tuple[Frame, int]] | None:
        """What came, with a new child's descriptor (else -1); None if the nursery has died."""
        try:
            data, fds, _, _ = socket.recv_fds(self.line, READ, _MOST_FDS)
        except ConnectionResetError:
            return None
        self._fds += fds
        if not data:
            return None
        return [
            (frame, self._fds.pop(0) if frame[0]["is"] == "forked" else -1)
            for frame in self._unpacker.feed(data)
        ]

    def close(self, patience: float = 5.0) -> int:
        """End it, and every child with it; its exit code."""
        self.line.close()
        for fd in self._fds:
            os.close(fd)
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _tell(self, says: dict[str, object]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.line.sendall(pack(says))


@dataclass(slots=True)
class Child:
    """
    One child.

    Attributes:
        call: what it carries out, since when (monotonic seconds).
        ready: it has its handlers.
        doomed: why it is being killed.
    """

    pid: int
    line: socket.socket
    call: Call | None = None
    since: float = 0.0
    ready: bool = False
    doomed: str = ""
    _unpacker: Unpacker = field(default_factory=Unpacker)
    _unsent: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.line.setblocking(False)

    def send(self, data: bytes) -> bool:
        """Send it, or what is left unsent; returns whether nothing is left."""
        self._unsent += data
        with suppress(BlockingIOError):
            try:
                while self._unsent:
                    del self._unsent[: self.line.send(self._unsent)]
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()  # it has died; the nursery will tell
        return not self._unsent

    def hear(self) -> Iterator[Frame]:
        """
        What has come.

        Raises:
            EOFError: it has ended the line.
        """
        while True:
            try:
                data = self.line.recv(READ)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            yield from self._unpacker.feed(data)


def end_of(code: int) -> str:
    """How a child ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"died of {signal.Signals(-code).name}"
    return f"died of signal {-code}"
