# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The fault matrix beyond SIGKILL: a zombie, leaving in mid-work, a wrong clock, a full disk, a takeover in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.campaign import faults, takeovers
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.scenes import leaving, scene, until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("ledger", "effect"), [("sqlite", "external"), ("postgresql", "transaction")])
def test_a_zombie_is_refused(ledger: str, effect: str, tmp_path: Path) -> None:
    """
    SIGSTOP past the lease, another takes over, SIGCONT: whatever the first brings is refused, every time; a
    transaction's effect is there once. (In SQLite, who stands still inside a transaction keeps everybody waiting.)
    """
    brought, wrong = faults.zombies(tmp_path / "scene", ledger, effect)
    assert brought
    assert ([], {}) == (faults.accepted(brought), wrong)


def test_leaving_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM with sixty in hand: it ends with code 0 within its grace, and what it hadn't begun costs no attempt."""
    with scene(Cell(effect="external"), tmp_path / "scene") as lab:
        code, seconds = leaving(lab)
        assert 0 == code
        assert seconds < 20
        assert {} == lab.faults()
        assert {} == lab.verdict().duplicated


@pytest.mark.parametrize("ahead", [faults.HOUR, -faults.HOUR])
def test_a_wrong_clock_changes_nothing(ahead: float, tmp_path: Path) -> None:
    """
    One consumer's host is an hour ahead or behind: nothing is lost, no transaction's effect is there twice, nobody is
    taken for dead, and a retry comes when it's due by the server's clock.
    """
    assert {} == faults.wrong_clock(tmp_path / "scene", ahead)


def test_a_clock_that_jumps_on_one_host(tmp_path: Path) -> None:
    """SQLite has the host's clock: a process an hour ahead takes others for dead, and fences keep effects single."""
    assert {} == faults.jumping_clock(tmp_path / "scene")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A consumer that can't write another byte carries on once there is room; what it had begun is done once."""
    assert {} == faults.full_disk(tmp_path / "scene")


def test_takeover_after_a_hosts_death(tmp_path: Path) -> None:
    """
    Within one and a half leases from its last sign of life: here it stands still for good, as a host does that is
    gone, and what the ledger holds for it is begun by another.
    """
    lease = 4.0
    (seconds,) = takeovers.after_host(tmp_path / "scene", "sqlite", lease=lease)
    assert seconds <= 1.5 * lease


def test_takeover_after_a_childs_death(tmp_path: Path) -> None:
    """Its consumer lives, so its message is begun again at once: within a second, where others don't hold it up."""
    assert min(takeovers.after_child(tmp_path / "scene", rounds=3)) <= 1


def test_a_flushed_redis_ledger_is_noticed(tmp_path: Path) -> None:
    """FLUSHALL: its epoch is missing; consumption stops, and its error says what is lost, by name and number."""
    code, told = faults.flushed(tmp_path / "scene")
    assert 1 == code
    assert told.startswith("campaign/default/external: ")


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
