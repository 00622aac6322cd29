# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The process that children are forked from: one thread, no connection, and the handlers already imported.

The consumer itself has threads and connections, so it can't be forked; and a new interpreter takes seconds where a fork
takes milliseconds. If importing the handlers leaves a thread or an open file behind, which a fork would share, this
process starts over and lets each child import them by itself.

It ends, and every child with it, when the consumer does: by the kernel's word on Linux, by the end of the line else.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tickrelay_consumer.engine.runners import child
from tickrelay_consumer.engine.runners.frames import READ, Frame, Line, Unpacker, pack
from tickrelay_consumer.engine.runners.origin import become_child

MODULE = "tickrelay_consumer.engine.runners.nursery"
_PR_SET_PDEATHSIG = 1


def main(line: int, parent: int, apart: bool) -> int:
    """
    Args:
        line: the descriptor of the line to the consumer.
        parent: the consumer's pid.
        apart: children import the handlers by themselves.
    """
    die_with(parent)
    become_child()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _take_no_notice)
    return Nursery(socket.socket(fileno=line), parent, apart).run()


def die_with(parent: int) -> None:
    """Be killed when the parent dies, whatever this process does then."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _take_no_notice(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C reaches the whole group: the consumer decides what becomes of what runs. Programs it starts do notice."""


class Nursery:
    """
    Told `{"is": "start", "path": ..., "target": ...}`, then `{"is": "fork"}` and `{"is": "kill", "pid": ...}`; tells
    `ready`, `apart` or `broken`, then `forked` (with a child's line) and `died`.
    """

    def __init__(self, line: socket.socket, parent: int, apart: bool) -> None:
        self._line = line
        self._parent = parent
        self._apart = apart
        self._unpacker = Unpacker()
        self._target = ""
        self._handlers: child.Handlers = {}
        self._children: set[int] = set()

    def run(self) -> int:
        """Until the consumer ends the line."""
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _take_no_notice)
        while True:
            readable, _, _ = select.select([self._line.fileno(), woken], [], [])
            if woken in readable:
                os.read(woken, READ)
                self._bury()
            if self._line.fileno() in readable:
                data = self._line.recv(READ)
                if not data:
                    return self._end()
                for frame in self._unpacker.feed(data):
                    self._do(frame)

    def _do(self, frame: Frame) -> None:
        said = frame[0]
        if said["is"] == "start":
            self._start(said["path"], said["target"])
        elif said["is"] == "fork":
            self._fork()
        elif said["pid"] in self._children:
            os.kill(said["pid"], signal.SIGKILL)

    def _start(self, path: list[str], target: str) -> None:
        sys.path[:] = path
        self._target = target
        if not self._apart:
            before = _left_open()
            try:
                self._handlers = child.load(target)
            except BaseException as error:  # noqa: BLE001 - somebody else's module
                self._tell(child.why_broken(error))
                return
            if _left_open() - before or _threads() > 1:
                self._start_over()
            gc.freeze()
        self._tell({"is": "ready"})

    def _start_over(self) -> NoReturn:
        self._tell({"is": "apart"})
        self._line.set_inheritable(True)
        os.execv(sys.executable, command(self._line.fileno(), self._parent, apart=True))  # noqa: S606 - ourselves

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        nursery, pid = os.getpid(), os.fork()
        if not pid:
            ours.close()
            self._live(theirs, nursery)
        theirs.close()
        self._children.add(pid)
        with ours:
            socket.send_fds(self._line, [pack({"is": "forked", "pid": pid})], [ours.fileno()])

    def _live(self, line: socket.socket, nursery: int) -> NoReturn:
        """In the child: it never returns from here."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._line.close()
            die_with(nursery)
            self._serve(Line(line))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the consumer ended the line
        finally:
            with suppress(Exception):
                sys.stdout.flush()
            os._exit(0)

    def _serve(self, line: Line) -> None:
        try:
            handlers = self._handlers if not self._apart else child.load(self._target)
        except BaseException as error:  # noqa: BLE001 - somebody else's module
            line.tell(child.why_broken(error))
            return
        child.serve(line, handlers)

    def _bury(self) -> None:
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                self._tell({"is": "died", "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _tell(self, says: dict[str, object]) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._line.sendall(pack(says))

    def _end(self) -> int:
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return 0


def command(line: int, parent: int, *, apart: bool = False) -> list[str]:
    """What starts a nursery."""
    return [sys.executable, "-m", MODULE, str(line), str(parent), *(["apart"] if apart else [])]


def _left_open() -> set[tuple[str, str]]:
    """Open descriptors and what they are; pipes and files of the interpreter's own are in it before and after."""
    folder = Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd")
    found = set()
    for entry in os.listdir(folder):
        with suppress(OSError):
            found.add((entry, os.readlink(folder / entry)))
    return found


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(os.listdir(tasks)) if tasks.is_dir() else threading.active_count()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["apart"]))
