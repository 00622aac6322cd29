# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Forked children for tests: they run one function and never the parent's clean-up."""

from __future__ import annotations

import os
import select
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


class Child:
    """A forked process that runs `work`. Its `say()` is heard by the parent's `wait_until_said`."""

    def __init__(self, work: Callable[[Callable[[], None]], None]) -> None:
        self.heard, said = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(self.heard)
                work(partial(_say, said))
                status = 0
            except BaseException:  # noqa: BLE001 - a child must never return into pytest
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(said)

    def wait_until_said(self, timeout: float = 20.0) -> None:
        """Wait for the child's `say()`; AssertionError if it died or was silent."""
        ready, _, _ = select.select([self.heard], [], [], timeout)
        assert ready, "the child said nothing"
        assert os.read(self.heard, 1) == b"!", "the child died"

    def join(self) -> int:
        """The child's exit status, negative for a signal."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """SIGKILL, and wait until it's gone."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.join()


def _say(pipe: int) -> None:
    os.write(pipe, b"!")


@contextmanager
def forked(work: Callable[[Callable[[], None]], None]) -> Iterator[Child]:
    """A child that doesn't outlive the block."""
    child = Child(work)
    try:
        yield child
    finally:
        child.kill()
        os.close(child.heard)
