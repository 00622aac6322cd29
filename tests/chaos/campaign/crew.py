# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The processes of a cell: forked quickly, killed, and replaced by others with the next failpoint armed."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from tests.chaos.campaign.plan import CHILDREN, DEEDS, LEAVE, PER_MESSAGE, PUBLISHING, RARE, STOP

ROOT = Path(__file__).parents[3]
LEAVING = 40.0
DO = {
    "consumer.draining": [(0.6, signal.SIGTERM)],
    LEAVE: [(0.6, signal.SIGTERM)],
    STOP: [(0.4, signal.SIGSTOP), (2.4, signal.SIGCONT), (3.0, signal.SIGKILL)],
}
"""Signals by age in seconds; the lease is one second."""
STUCK = 15.0
"""Seconds until one that doesn't even begin to listen is killed."""
SLOWLY = 0.02
"""Seconds that a message takes whoever is to be found with much in hand."""


class Forge:
    """Forks processes of `worker`; for as long as the block lasts, and with it they end."""

    def __init__(self) -> None:
        self._codes: dict[int, int | None] = {}
        self._alive: dict[int, int] = {}
        self._poll = select.poll()

    def __enter__(self) -> Self:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "tests.chaos.campaign.worker"]
        self._server = subprocess.Popen(command, cwd=ROOT, **pipes)  # type: ignore[call-overload]
        return self

    def __exit__(self, *_: object) -> None:
        for pid in list(self._codes):
            if self.code(pid) is None:
                os.kill(pid, signal.SIGKILL)
                self.wait(pid)
        self._server.communicate()

    def start(self, settings: dict[str, Any]) -> int:
        """One more process; returns its pid."""
        pid = int(self._ask(settings))
        self._codes[pid] = None
        self._alive[pid] = os.pidfd_open(pid)
        self._poll.register(self._alive[pid], select.POLLIN)
        return pid

    def code(self, pid: int) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._codes[pid] is None and self._has_ended(pid):
            self._codes[pid] = self._ask(pid)
            self._poll.unregister(self._alive[pid])
            os.close(self._alive.pop(pid))
        return self._codes[pid]

    def watch(self, seconds: float) -> None:
        """Wait that long, or until one of them ends."""
        self._poll.poll(1000 * seconds)

    def _has_ended(self, pid: int) -> bool:
        return bool(select.select([self._alive[pid]], [], [], 0)[0])

    def signal(self, pid: int, number: int) -> None:
        """Unless it has ended."""
        if self.code(pid) is None:
            os.kill(pid, number)

    def wait(self, pid: int, within: float = LEAVING) -> int:
        """Its exit code once it has ended; SIGKILL after a while."""
        deadline = time.monotonic() + within
        while (code := self.code(pid)) is None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            self.watch(0.02)
        return code

    def _ask(self, question: object) -> Any:
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


class Seat:
    """A place where always one process works, killed at one point after the other."""

    def __init__(self, forge: Forge, settings: dict[str, Any], choose: Callable[[], str]) -> None:
        self._forge = forge
        self._settings = settings
        self._choose = choose
        self.point = ""
        self.pid = 0
        self.since = 0.0
        self._born = 0.0
        self._told = 0
        self._listens = False
        self.dice = random.Random(settings["seed"])

    def begin(self, *, armed: bool = True) -> None:
        """A new process; with its death planned."""
        self.point = self._choose() if armed else ""
        failpoints = f"{self.point}=kill@{self._hit()}" if self.point and self.point not in DEEDS else ""
        pause = SLOWLY if self.point in DO else 0.0
        more = {"failpoints": failpoints, "pause": pause, "children": self._children() if armed else ""}
        self.pid = self._forge.start({**self._settings, **more})
        self.since = self._born = time.monotonic()
        self._told, self._listens = 0, False

    def _hit(self) -> int:
        if self.point in PUBLISHING:
            return self.dice.randint(1, 30)
        return 1 if self.point in RARE else self.dice.randint(1, 40 if self.point in PER_MESSAGE else 4)

    def _children(self) -> str:
        """Each child, forked anew from the same start, dies at the same hit of either point."""
        return ";".join(f"{name}=kill@{self.dice.randint(3, 60)}" for name in sorted(CHILDREN))

    def death(self, patience: float) -> str | None:
        """
        The point at which it died, if it did; None while it lives.

        One that never comes to its point is killed where it stands, "a moment"; one that ended otherwise is named so.
        """
        code, age = self._forge.code(self.pid), time.monotonic() - self.since
        if code == -signal.SIGKILL or (self.point == LEAVE and code == 0):
            return self.point
        if code is not None:
            return f"ended with code {code}"
        if self._is_coming_up():
            self.since = time.monotonic()
        elif self.point in DO and self._told < len(DO[self.point]) and time.monotonic() - self._born < STUCK:
            self._tell(age)
        elif self.point == STOP and self._told == len(DO[STOP]):
            return None  # it was sent SIGKILL, and takes a moment to be gone
        elif age > patience and self.point and self.point != LEAVE:
            self._forge.signal(self.pid, signal.SIGKILL)
            self._forge.wait(self.pid)
            return "a moment"
        return None

    def _is_coming_up(self) -> bool:
        """A consumer that doesn't listen yet: on a busy machine that may take longer than all of its life."""
        if self._listens or self._settings["kind"] == "publisher" or time.monotonic() - self._born > STUCK:
            return False
        self._listens = listens(self.pid)
        return not self._listens

    def _tell(self, age: float) -> None:
        """The next signal, if it is time for it, counted from when it listens to them."""
        after, number = DO[self.point][self._told]
        if age > after:
            self._told += 1
            self._forge.signal(self.pid, number)

    def leave(self) -> int:
        """Told to stop; its exit code."""
        self._forge.signal(self.pid, signal.SIGTERM)
        return self._forge.wait(self.pid)


def listens(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM: a consumer that has begun to run."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


class Roster:
    """
    Which point is next: the one hit least often, and tried least often, that nobody else is armed with.

    Args:
        each: hits that each must have; points without them go first, however often they were tried in vain.
    """

    def __init__(self, points: Iterable[str], each: int = 0) -> None:
        self._each = each
        self.hits = Counter(dict.fromkeys(points, 0))
        self.tries = Counter(dict.fromkeys(self.hits, 0))
        self.others: Counter[str] = Counter()

    def next(self, allowed: Callable[[str], bool]) -> str:
        """For one seat."""
        candidates = [name for name in self.hits if allowed(name)]
        chosen = min(candidates, key=self._rank)
        self.tries[chosen] += 1
        return chosen

    def _rank(self, name: str) -> tuple[bool, int, int]:
        hits = self.hits[name]
        return hits >= self._each, hits + self.tries[name], hits

    def count(self, death: str) -> None:
        """Somebody died there."""
        (self.hits if death in self.hits else self.others)[death] += 1
