# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Waking other processes of this host without polling, and knowing whether they live.

Each waiter owns a named pipe in a folder beside the database file. Whoever has committed something writes one byte to
every pipe of that folder; a pipe nobody reads any more belongs to a dead process, which the kernel tells at once
(`open` for writing fails with ENXIO, see fifo(7)). So a doorbell is also a proof of life that no clock can spoil.

A byte is written after the commit and waiters look again after hearing it, so no wake-up is lost.
"""

from __future__ import annotations

import errno
import math
import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Self
from uuid import uuid4
from weakref import WeakSet

_SUFFIX = ".bell"


class Doorbell:
    """
    One waiter's bell. `ring` may be called from any thread, process or signal handler; `wait` from one thread.

    Args:
        folder: where the bells of one topic hang; made with mode 0700 if missing.
        name: unique in the folder; a random one by default.

    Attributes:
        name: what `is_alive` and `ring_one` call this bell.
    """

    _pipe = -1

    def __init__(self, folder: Path, name: str | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = name or uuid4().hex
        self._path = folder / (self.name + _SUFFIX)
        # Hung up only once it is open: a ringer that came between would take it for a dead one and take it down.
        unopened = self._path.with_suffix(".new")
        os.mkfifo(unopened, 0o600)
        # Opened for both ends, so that it never reports end-of-file when a ringer closes its end.
        self._pipe = os.open(unopened, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        unopened.rename(self._path)
        self._owner = os.getpid()
        _hanging.add(self)

    def fileno(self) -> int:
        """For `select` and asyncio's `add_reader`; -1 when closed."""
        return self._pipe

    def ring(self) -> None:
        """Wake this bell's own waiter. A full pipe has woken it already."""
        with suppress(BlockingIOError, OSError):
            os.write(self._pipe, b"!")

    def wait(self, timeout: float | None) -> bool:
        """Wait until rung (True, and the rings so far are forgotten) or until `timeout` seconds are over (False)."""
        if self._pipe < 0:
            return False
        waiting = select.poll()  # `select` can't watch a file descriptor over 1,023
        waiting.register(self._pipe, select.POLLIN)
        if not waiting.poll(None if timeout is None else max(0, math.ceil(timeout * 1000))):
            return False
        self.forget()
        return True

    def forget(self) -> None:
        """Forget the rings so far."""
        with suppress(BlockingIOError, OSError):
            while len(os.read(self._pipe, 4096)) == 4096:  # noqa: PLR2004 - a full buffer means there may be more
                pass

    def close(self) -> None:
        """Take the bell down. Closing twice is no error; a forked child leaves its parent's bell hanging."""
        pipe, self._pipe = self._pipe, -1
        if pipe < 0:
            return
        os.close(pipe)
        if self._owner == os.getpid():
            self._path.unlink(missing_ok=True)

    def __del__(self) -> None:
        # Nobody can answer this bell any more; left open it would go on saying that somebody does.
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def ring(folder: Path) -> int:
    """Wake every waiter of a folder; returns how many live ones there are."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    return sum(_touch(os.path.join(folder, name), b"!") for name in names if name.endswith(_SUFFIX))


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process that hung this bell still lives. A process that is stopped is alive."""
    return _touch(os.path.join(folder, name + _SUFFIX), b"")


def _touch(path: str, rings: bytes) -> bool:
    """Open a bell as its ringer; a bell without a waiter is taken down."""
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            with suppress(OSError):
                os.unlink(path)
        # Any other failure (too many open files, no permission) proves nothing, and the living must not be robbed.
        return error.errno not in (errno.ENXIO, errno.ENOENT)
    try:
        if rings:
            with suppress(
                OSError
            ):  # full: it will wake anyway; broken: its reader died or closed it just now
                os.write(pipe, rings)
    finally:
        os.close(pipe)
    return True


_hanging: WeakSet[Doorbell] = WeakSet()


def _leave_to_parent() -> None:
    """In a forked child, which would keep its dead parent's bells alive by holding them open."""
    for bell in list(_hanging):
        bell.close()
    _hanging.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
