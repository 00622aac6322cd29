# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Doorbells: no ring is lost, and the dead don't answer."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from tickrelay_messaging.doorbell import Doorbell, is_alive, ring
from tickrelay_messaging.testing._children import forked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the bells hang; not made yet."""
    return tmp_path / "bells"


def test_a_ring_before_the_wait_counts(folder: Path) -> None:
    """A ring is kept until it's heard, however many there were, and is heard once."""
    with Doorbell(folder) as bell:
        assert [1, 1, 1] == [ring(folder) for _ in range(3)]
        assert bell.wait(0)
        assert not bell.wait(0)


def test_a_ring_ends_the_wait(folder: Path) -> None:
    """A waiter without a timeout is woken by a ring from another thread."""
    with Doorbell(folder) as bell:
        Thread(target=ring, args=(folder,)).start()
        assert bell.wait(None)


def test_its_own_ring_ends_the_wait(folder: Path) -> None:
    """`ring` on the bell itself works like one from outside."""
    with Doorbell(folder) as bell:
        bell.ring()
        assert bell.wait(0)


def test_a_wait_is_bounded(folder: Path) -> None:
    """Without a ring the wait lasts its timeout, rounded up and not down to nothing."""
    with Doorbell(folder) as bell:
        start = time.monotonic()
        assert not bell.wait(0.05)
        assert not bell.wait(0.0001)
        assert 0.05 <= time.monotonic() - start < 5


def test_every_bell_of_the_folder_rings(folder: Path) -> None:
    """All waiters of a folder are woken, none of another."""
    with Doorbell(folder) as one, Doorbell(folder) as two, Doorbell(folder.with_name("other")) as other:
        assert 2 == ring(folder)
        assert [True, True, False] == [bell.wait(0) for bell in (one, two, other)]


def test_nobody_waits(folder: Path) -> None:
    """Ringing where no bell ever hung is no error."""
    assert 0 == ring(folder)
    assert not is_alive(folder, "nobody")


def test_a_full_pipe_is_no_error(folder: Path) -> None:
    """More rings than a pipe holds neither block nor fail."""
    with Doorbell(folder) as bell:
        while True:
            try:
                os.write(bell.fileno(), b"!" * 4096)
            except BlockingIOError:
                break
        bell.ring()
        assert 1 == ring(folder)
        assert bell.wait(0)
        assert not bell.wait(0)


def test_bells_are_private(folder: Path) -> None:
    """Folder and pipe are their owner's only."""
    with Doorbell(folder, "mine"):
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
        assert 0o600 == stat.S_IMODE((folder / "mine.bell").stat().st_mode)


def test_closing_takes_it_down(folder: Path) -> None:
    """A closed bell is gone; closing, ringing and waiting again are no errors."""
    bell = Doorbell(folder, "mine")
    assert is_alive(folder, "mine")
    bell.close()
    bell.close()
    bell.ring()
    assert not bell.wait(5)
    assert not is_alive(folder, "mine")
    assert [] == list(folder.iterdir())


def test_a_dropped_bell_is_closed(folder: Path) -> None:
    """A bell nobody can answer any more doesn't say that somebody lives."""
    bell = Doorbell(folder, "mine")
    del bell
    assert not is_alive(folder, "mine")


def hang_and(folder: Path, end: Callable[[], object]) -> Callable[[Callable[[], None]], None]:
    """A child's work: hang a bell, say so, and end somehow."""

    def work(say: Callable[[], None]) -> None:
        bell = Doorbell(folder, "child")
        say()
        end()
        bell.close()

    return work


def test_the_dead_are_known_at_once(folder: Path) -> None:
    """A killed owner's bell is dead, and is taken down by the first who looks."""
    with forked(hang_and(folder, signal.pause)) as child:
        child.wait_until_said()
        assert is_alive(folder, "child")
        child.kill()
        assert not is_alive(folder, "child")
        assert [] == list(folder.iterdir())


def test_the_stopped_are_alive(folder: Path) -> None:
    """A process that is stopped still owns its bell."""
    with forked(hang_and(folder, signal.pause)) as child:
        child.wait_until_said()
        os.kill(child.pid, signal.SIGSTOP)
        assert is_alive(folder, "child")


def test_a_forked_child_leaves_the_bell_alone(folder: Path) -> None:
    """A child neither takes its parent's bell down nor keeps a dead parent's bell alive."""
    with Doorbell(folder, "parent") as bell:

        def work(say: Callable[[], None]) -> None:
            assert -1 == bell.fileno()
            bell.close()
            say()
            signal.pause()

        with forked(work) as child:
            child.wait_until_said()
            assert is_alive(folder, "parent")
            bell._path.rename(
                folder / "kept.bell"
            )  # as if the parent had died: its end closed, its file still there
            bell.close()
            assert not is_alive(folder, "kept")


def test_no_proof_is_no_death(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the looker itself has run out of file descriptors the living aren't taken for dead."""
    with Doorbell(folder, "mine"):

        def refuse(*_: object) -> int:
            raise OSError(errno.EMFILE, "too many open files")

        monkeypatch.setattr(os, "open", refuse)
        assert is_alive(folder, "mine")
        monkeypatch.undo()
        assert is_alive(folder, "mine")


def test_high_file_descriptors_work(folder: Path) -> None:
    """A process with more than a thousand open files may wait too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("the system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with Doorbell(folder) as bell:
            assert bell.fileno() > 1023
            assert 1 == ring(folder)
            assert bell.wait(5)
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
