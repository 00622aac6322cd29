# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix beyond SIGKILL: a zombie, leaving in mid-work, a wrong clock, a full disk, a takeover in time."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.scenes import leaving, scene, until, zombie

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

HOUR = 3600.0
FAILING = 13
LATE = range(10, 210, 10)
"""Numbers of messages that the ledger keeps for a moment."""


@pytest.mark.parametrize(("ledger", "effect"), [("sqlite", "external"), ("postgresql", "transaction")])
def test_a_zombie_is_refused(ledger: str, effect: str, tmp_path: Path) -> None:
    """
    SIGSTOP past the lease, another takes over, SIGCONT: whatever the first brings is refused, every time; a
    transaction's effect is there once. (In SQLite, who stands still inside a transaction keeps everybody waiting.)
    """
    with scene(Cell(ledger=ledger, effect=effect), tmp_path / "scene") as lab:
        brought = zombie(lab)
        assert [] == [one for one in brought if one.accepted and one.verdict == "done"]
        assert {} == lab.faults()


def test_leaving_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM with sixty in hand: it ends with code 0 within its grace, and what it hadn't begun costs no attempt."""
    with scene(Cell(effect="external"), tmp_path / "scene") as lab:
        code, seconds = leaving(lab)
        assert 0 == code
        assert seconds < 20
        assert {} == lab.faults()
        assert {} == lab.verdict().duplicated


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_wrong_clock_changes_nothing(ahead: float, tmp_path: Path) -> None:
    """
    One consumer's host is an hour ahead or behind: nothing is lost, no transaction's effect is there twice, nobody is
    taken for dead, and a retry comes when it's due by the server's clock.
    """
    with scene(Cell(ledger="postgresql"), tmp_path / "scene") as lab:
        right, wrong = lab.consumer(pause=0.005), lab.consumer(pause=0.005, clock=ahead)
        assert until(lambda: len(lab.ledger.history.consumers()) == 2)
        lab.publish(range(200))
        assert until(lab.is_over), lab.done()
        assert {} == lab.faults()
        failed_once = sum(number % FAILING == 1 for number in range(200))
        assert len(lab.ids) + failed_once == lab.granted()
        assert [0, 0] == [lab.leave(pid) for pid in (right, wrong)]


def test_a_clock_that_jumps_on_one_host(tmp_path: Path) -> None:
    """SQLite has the host's clock: a process an hour ahead takes others for dead, and fences keep effects single."""
    with scene(Cell(), tmp_path / "scene") as lab:
        right, wrong = lab.consumer(pause=0.005), lab.consumer(pause=0.005, clock=HOUR)
        assert until(lab.ledger.history.consumers)
        lab.publish(range(100))
        assert until(lambda: lab.done() >= 50)
        lab.place.forge.signal(wrong, signal.SIGKILL)
        # What it gave a time, it gave its own: that waits for an hour, in the ledger.
        assert until(lambda: lab.done() + lab.waiting() == len(lab.ids)), lab.done()
        assert until(lambda: len(lab.verdict().lost) == lab.waiting())
        assert {} == {name: found for name, found in lab.faults().items() if name != "lost"}
        lab.leave(right)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A consumer that can't write another byte carries on once there is room; what it had begun is done once."""
    with scene(Cell(), tmp_path / "scene") as lab:
        size = max(path.stat().st_size for path in (tmp_path / "scene").rglob("*.db*"))
        cramped = lab.consumer(fsize=size + 40_000)
        lab.publish(range(300))
        until(lambda: b"trying again" in (tmp_path / "scene" / "log").read_bytes())
        assert not lab.is_over()
        lab.place.forge.signal(cramped, signal.SIGKILL)
        roomy = lab.consumer()
        assert until(lab.is_over), lab.done()
        assert {} == lab.faults()
        lab.leave(roomy)


def test_takeover_after_a_hosts_death(tmp_path: Path) -> None:
    """
    Within one and a half leases from its last sign of life: here it stands still for good, as a host does that is
    gone, and what the ledger holds for it is begun by another.
    """
    lease = 4.0
    with scene(Cell(lease=lease, effect="external"), tmp_path / "scene") as lab:
        gone = lab.consumer(pause=30.0)
        assert until(lab.ledger.history.consumers)
        lab.publish(LATE)
        assert until(lambda: lab.granted() >= len(LATE))
        heir = lab.consumer()
        assert until(lambda: len(lab.ledger.history.consumers()) == 2)
        held = lab.granted()
        lab.place.forge.signal(gone, signal.SIGSTOP)
        began = time.monotonic()
        assert until(lambda: lab.granted() > held)
        assert time.monotonic() - began <= 1.5 * lease
        lab.leave(heir)


def test_a_flushed_redis_ledger_is_noticed(tmp_path: Path) -> None:
    """FLUSHALL: its epoch is missing; consumption stops, and its error says what is lost, by name and number."""
    with scene(Cell(ledger="redis", effect="external"), tmp_path / "scene") as lab:
        consumer = lab.consumer(pause=0.1)
        assert until(lab.ledger.history.consumers)
        lab.publish(LATE)
        assert until(lab.granted)
        with lab.place.store.server.client() as bare:
            bare.flushall()
        assert 1 == lab.place.forge.wait(consumer)
        log = (tmp_path / "scene" / "log").read_text()
        assert "Lost, as last seen here: campaign/default/external: " in log


@pytest.mark.parametrize("effect", ["transaction", "external"])
def test_a_distorting_broker(effect: str, tmp_path: Path) -> None:
    """Deliveries come out of order, twice in a call and late: each effect is there once, and nothing is left."""
    with scene(Cell(effect=effect), tmp_path / "scene") as lab:
        consumers = [lab.consumer(distort=seed) for seed in (1, 2)]
        lab.publish(range(300))
        assert until(lab.is_over), lab.done()
        assert [0, 0] == [lab.leave(pid) for pid in consumers]
        assert {} == lab.faults()
        assert {} == lab.verdict().duplicated
