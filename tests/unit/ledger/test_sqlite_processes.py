# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Owners in other processes: killed, stopped and forked."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.ledger.records import Outcome, Owner, Route, Settlement, State, Verdict
from tickrelay_messaging.ledger.sqlite import SqliteLedger
from tickrelay_messaging.message import Message
from tickrelay_messaging.testing._children import forked

MESSAGE = Message(id="m")


@pytest.mark.parametrize("lease", [3_600.0])
def test_a_killed_owner_is_noticed_at_once(
    ledger: SqliteLedger, owner: Owner, route: Route, path: Path, lease: float
) -> None:
    """Its claims change hands long before its lease is over, as nobody answers its bell."""

    def claim_and_hang(say: Callable[[], None]) -> None:
        mine = SqliteLedger(path)
        mine.claim(mine.enroll("child", [route], lease=lease), route, [MESSAGE])
        say()
        signal.pause()

    with forked(claim_and_hang) as child:
        child.wait_until_said()
        assert Outcome.PARKED == ledger.claim(owner, route, [MESSAGE])[0].outcome
        assert 0 == ledger.reap()
        child.kill()
        assert [False] == [one.alive for one in ledger.history.consumers() if one.owner.name == "child"]
        assert 1 == ledger.reap()
    (claim,) = ledger.claim_due(owner, route, 1, suspects=True)
    assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DONE)])


def test_a_stopped_owner_keeps_its_lease(
    ledger: SqliteLedger, owner: Owner, route: Route, path: Path
) -> None:
    """It may go on any moment, so only its lease's end proves anything; what it settles later is refused."""
    lease = 1.5

    def claim_and_settle(say: Callable[[], None]) -> None:
        mine = SqliteLedger(path)
        me = mine.enroll("child", [route], lease=lease)
        (claim,) = mine.claim(me, route, [MESSAGE])
        say()
        os.kill(os.getpid(), signal.SIGSTOP)
        assert [False] == mine.settle(me, [Settlement(claim, Verdict.DONE)])
        with pytest.raises(ClaimLost):
            mine.renew(me)
        mine.retire(me)

    with forked(claim_and_settle) as child:
        child.wait_until_said()
        os.waitpid(child.pid, os.WUNTRACED)
        ledger.claim(owner, route, [MESSAGE])
        renewed = next(one for one in ledger.history.consumers() if one.owner.name == "child").seen_at
        while not (reaped := ledger.reap()):
            assert time.time() < renewed + 20
            threading.Event().wait(0.01)
        assert (1, True) == (reaped, time.time() >= renewed + lease)
        (claim,) = ledger.claim_due(owner, route, 1, suspects=True)
        os.kill(child.pid, signal.SIGCONT)
        assert 0 == child.join()
        assert [True] == ledger.settle(owner, [Settlement(claim, Verdict.DONE)])
    assert State.DONE == ledger.history.life("m")[0].state


def test_a_forked_child_may_use_its_parents_ledger(ledger: SqliteLedger, owner: Owner, route: Route) -> None:
    """With connections, locks and bells of its own, while the parent's threads write; the parent stays alive."""
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            ledger.claim(owner, route, [Message(id=f"parent-{number}", source=f"/{number % 50}")])

    def use(say: Callable[[], None]) -> None:
        assert ledger.wait(20)  # the first time in this process
        me = ledger.enroll("child", [route])
        (claim,) = ledger.claim(me, route, [Message(id=f"child-{os.getpid()}")])
        assert [True] == ledger.settle(me, [Settlement(claim, Verdict.DONE)])
        assert 0 == ledger.reap()
        with pytest.raises(ClaimLost):
            ledger.wait_for_work(owner, 0)
        ledger.retire(me)
        ledger.close()

    ledger.wait(0)
    with ThreadPoolExecutor(2) as pool:
        try:
            writers = [pool.submit(write) for _ in range(2)]
            for _ in range(5):
                with forked(use) as child:
                    assert 0 == child.join()
        finally:
            stop.set()
        assert [None, None] == [writer.result(20) for writer in writers]
    assert [("one", True)] == [(one.owner.name, one.alive) for one in ledger.history.consumers()]
    assert 5 == ledger.history.stats()[0].done


def test_processes_open_a_new_ledger_together(path: Path) -> None:
    """Whoever is first makes it; all of them get the same one."""
    go, tell = os.pipe()

    def open_it(say: Callable[[], None]) -> None:
        say()
        os.read(go, 1)
        SqliteLedger(path).close()

    with forked(open_it) as one, forked(open_it) as two, forked(open_it) as three:
        children = (one, two, three)
        for child in children:
            child.wait_until_said()
        os.write(tell, b"!!!")
        assert [0, 0, 0] == [child.join() for child in children]
    os.close(go)
    os.close(tell)
