# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What becomes of ticks that come late, overlap or were taken back: decided, published and recorded by the task."""

from __future__ import annotations

import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.base import DataInterval
from tests.unit.airflow.ticking import SCHEDULE_ID, W, ahead, interval_of, run_task, second, task_of

from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Revocation
from tickrelay_messaging.ledger.schedules import TickFilter, TickOutcome

FIRED, MISFIRED, OVERLAPPED = TickOutcome.FIRED, TickOutcome.MISFIRED, TickOutcome.OVERLAPPED
SKIPPED, REVOKED = TickOutcome.SKIPPED, TickOutcome.REVOKED
EVERY_GENERATION = 2**31 - 1


@pytest.fixture
def tried(hook, context, received):
    """
    Run a task of ticks ahead (or of an hourly schedule) at an instant, and get the seconds it published and whether it
    was skipped: `tried(now, misfire=...)`.
    """

    def attempt(now, *, schedule=None, interval=None, run_type="scheduled", ti=None, **arguments):
        before = len(received("orders"))
        schedule = schedule or ahead()
        task = task_of(schedule, **{"ticks": True, "data": 1, **arguments})
        try:
            run_task(
                task, context, interval or interval_of(schedule), now=now, run_type=run_type, **(ti or {})
            )
        except AirflowSkipException as skip:
            return str(skip)
        instants = [message.deliver_at for message in received("orders")[before:]]
        return [at and (at - W).total_seconds() for at in instants]

    hook.broker.declare(QueueSpec("orders"))
    return attempt


@pytest.fixture
def recorded(hook):
    """What the ledger tells of each tick, by seconds: `recorded()`."""

    def tell():
        found = hook.ledger.schedules.list(TickFilter(schedule=SCHEDULE_ID), limit=100)
        return {one.tick - W.timestamp(): (one.outcome, one.reason) for one in reversed(found)}

    return tell


def revoke(hook, since, until=None, *, generation=EVERY_GENERATION, reason="holiday"):
    """As `tickrelay schedule` does."""
    return hook.ledger.revocations.revoke(
        Revocation(
            schedule=SCHEDULE_ID,
            since=since.timestamp(),
            until=None if until is None else until.timestamp(),
            generation=generation,
            by="ann",
            reason=reason,
        )
    )


class TestMisfires:
    def test_by_default_all_are_published(self, tried, recorded):
        """However late; the record says how late."""
        assert [0, 10, 20, 30, 40, 50] == tried(second(100))
        assert ((FIRED, "1 minute 40 seconds late"), (FIRED, "")) == (recorded()[0], recorded()[40])

    def test_none(self, tried, recorded, caplog):
        """Those later than the threshold are left out, told to the log and recorded; the others go out."""
        with caplog.at_level(logging.INFO):
            assert [40, 50] == tried(second(100), misfire="none")
        assert [MISFIRED] * 4 + [FIRED] * 2 == [outcome for outcome, _ in recorded().values()]
        assert "1 minute 40 seconds late, misfire='none'" == recorded()[0][1]
        (line,) = [
            one for one in caplog.records if one.levelno == logging.WARNING and "isfired" in one.message
        ]
        assert f"Misfired: 4 of 6 ticks of schedule {SCHEDULE_ID} aren't published" in line.message

    def test_latest(self, tried, recorded):
        """Of late ticks only one that no later tick has overtaken, in this run or any other."""
        schedule = ahead(expression="0,30 * * * * ?")
        arguments = {"schedule": schedule, "misfire": "latest", "misfire_threshold": "5s"}
        assert [30] == tried(second(50), **arguments)
        assert {0: MISFIRED, 30: FIRED} == {at: outcome for at, (outcome, _) in recorded().items()}
        assert "misfire='latest'" in tried(second(95), **arguments, ti={"task_id": "other"})

    def test_a_retry_decides_as_the_first_try_did(self, hook, tried, recorded, monkeypatch):
        """Its messages may be out though it died before it could say so: no tick is told as missed that went out."""
        with monkeypatch.context() as patch:
            patch.setattr("tickrelay_airflow.publishing.desk.Desk.fired", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                tried(second(70), misfire="none")
        assert {0: MISFIRED} == {at: outcome for at, (outcome, _) in recorded().items()}
        hook.ledger.database.clock = lambda: second(900).timestamp()
        assert [10, 20, 30, 40, 50] == tried(second(900), misfire="none", ti={"try_number": 2})
        assert [MISFIRED] + [FIRED] * 5 == [recorded()[at][0] for at in range(0, 60, 10)]

    def test_nothing_left_skips_the_task(self, tried, recorded):
        """With the reason in its log."""
        assert "tick 2026-07-01T12:30:00+00:00, and 5 more: misfired: 15 minutes late" in tried(
            second(900), misfire="none"
        )
        assert {MISFIRED} == {outcome for outcome, _ in recorded().values()}

    @pytest.mark.parametrize("threshold", [30, "30s", timedelta(seconds=30)])
    def test_the_threshold(self, tried, threshold):
        """Late by exactly that isn't a misfire."""
        assert [20, 30, 40, 50] == tried(second(50), misfire="none", misfire_threshold=threshold)

    def test_late_counts_from_the_delayed_tick(self, tried):
        """Jitter isn't lateness."""
        schedule = ahead(expression="0 * * * * ?", jitter="50s", seed="beat")
        due = schedule.due_of(W)
        assert 1 == len(tried(due + timedelta(seconds=60), schedule=schedule, misfire="none"))
        late = {"schedule": schedule, "misfire": "none", "ti": {"task_id": "other"}}
        assert "misfired" in tried(due + timedelta(seconds=61), **late)

    @pytest.mark.parametrize(
        ("run_type", "ti"), [("backfill", {}), ("manual", {}), ("scheduled", {"max_tries": 1})]
    )
    def test_what_is_late_on_purpose_isnt_late(self, tried, recorded, run_type, ti):
        """Backfills, runs by hand and cleared runs."""
        interval = DataInterval.exact(W) if run_type == "manual" else None
        assert 0 == tried(second(9_000), misfire="none", run_type=run_type, ti=ti, interval=interval)[0]
        assert (FIRED, "by hand" if run_type == "manual" else "again") == recorded()[0]

    def test_a_run_per_tick(self, tried, recorded):
        """The tick is the run's logical date; each task of the run decides for itself."""
        hourly = {
            "schedule": CronSchedule("@hourly"),
            "interval": DataInterval.exact(second(1800)),
            "ticks": False,
        }
        assert [1800] == tried(second(1850), **hourly, misfire="none")
        assert (FIRED, "") == recorded()[1800]
        for at, misfire, told in ((1861, "none", True), (5000, "latest", False), (5401, "latest", True)):
            found = tried(second(at), **hourly, misfire=misfire, ti={"task_id": f"task-{at}"})
            assert told is ("misfired" in found)


HOURLY = {"schedule": CronSchedule("@hourly"), "interval": DataInterval.exact(W), "ticks": False}
BUSY = {"previous": SimpleNamespace(run_id="scheduled__before")}


class TestOverlaps:
    def test_skip(self, tried, recorded):
        """While an earlier run is at work; else, and by default, nothing is left out."""
        assert "run scheduled__before is still at work" in tried(W, **HOURLY, overlap="skip", ti=BUSY)
        assert (OVERLAPPED, "run scheduled__before is still at work") == recorded()[0]
        assert [0] == tried(W, **HOURLY, overlap="skip")
        assert [0] == tried(W, **HOURLY, ti=BUSY)

    def test_on_purpose_isnt_skipped(self, tried):
        """A backfill beside the regular runs, or a run by hand."""
        assert [[0], [None]] == [
            tried(W, **HOURLY, overlap="skip", run_type=run_type, ti=BUSY)
            for run_type in ("backfill", "manual")
        ]

    def test_queue_is_airflow_s_own(self):
        """The DAG must let its runs queue; said where it is parsed."""
        with pytest.raises(ConfigurationError, match="max_active_runs=1"):
            task_of(CronSchedule("@hourly"), data=1, overlap="queue")
        task_of(CronSchedule("@hourly"), data=1, overlap="queue", max_active_runs=1)

    @pytest.mark.parametrize("overlap", ["skip", "queue"])
    def test_ticks_ahead_overlap_at_the_consumer(self, overlap):
        """Nobody knows beforehand how long one will take: refused, with what to do instead."""
        with pytest.raises(ConfigurationError, match="singleton=True"):
            task_of(ahead(), ticks=True, data=1, overlap=overlap, max_active_runs=1)


class TestTakenBack:
    def test_one_tick_is_skipped(self, hook, tried, recorded):
        """Exactly that one, with who and why."""
        revoke(hook, second(20), second(20.000001))
        assert [0, 10, 30, 40, 50] == tried(second(-29))
        assert (SKIPPED, "holiday (ann)") == recorded()[20]

    def test_a_pause(self, hook, tried, recorded):
        """From its beginning on; lifted, a cleared run fires what was left out."""
        number = revoke(hook, second(25), reason="stocktaking")
        assert [0, 10, 20] == tried(second(-29))
        assert (REVOKED, "stocktaking (ann)") == recorded()[30]
        assert "revoked: stocktaking (ann)" in tried(second(40), interval=interval_of(ahead(), second(60)))
        hook.ledger.revocations.lift(number, by="ann")
        assert 6 == len(tried(second(400), ti={"max_tries": 1}))
        assert (FIRED, "again") == recorded()[30]

    def test_a_pause_of_an_older_form_isnt_one_of_this(self, hook, tried):
        """Generations above a revocation's aren't meant."""
        revoke(hook, second(0), generation=0)
        assert "revoked" in tried(second(-29))
        edited = ahead(expression="*/20 * * * * ?")
        assert 3 == len(tried(second(31), schedule=edited, interval=interval_of(edited, second(60))))

    def test_a_run_per_tick_is_skipped_too(self, hook, tried):
        """And its messages are delivered at the tick, so that a revocation of the tick means them as well."""
        hourly = {"schedule": CronSchedule("@hourly"), "ticks": False}
        revoke(hook, W, second(0.000001))
        assert "skipped: holiday" in tried(second(1), **hourly, interval=DataInterval.exact(W))
        assert [3600] == tried(second(3601), **hourly, interval=DataInterval.exact(second(3600)))

    def test_nobody_takes_back_a_run_by_hand(self, hook, tried):
        """Whoever triggers a paused schedule means it."""
        revoke(hook, second(-100))
        assert [0] == tried(second(1), interval=DataInterval.exact(W), run_type="manual")

    def test_a_tick_delayed_by_jitter_is_meant_by_either_instant(self, hook, tried):
        """The tick itself, and when its messages are to be delivered, which the ledger goes by."""
        schedule = ahead(expression="0,30 * * * * ?", jitter="5s", seed="beat")
        for at in (W, schedule.due_of(second(30))):
            revoke(hook, at, at + timedelta(microseconds=1))
        assert "skipped" in tried(second(-29), schedule=schedule)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"misfire": "some"}, "misfire='some' is not known; write one of 'all', 'latest', 'none'"),
            ({"overlap": "never"}, "overlap='never' is not known"),
            ({"misfire_threshold": "soon"}, "misfire_threshold: 'soon' is no duration"),
        ],
    )
    def test_what_cant_be_used_is_refused(self, arguments, text):
        """Where the DAG is parsed."""
        with pytest.raises(ConfigurationError, match=text):
            task_of(ahead(), data=1, **arguments)

    @pytest.mark.parametrize("arguments", [{"misfire": "none"}, {"overlap": "skip"}])
    def test_policies_need_our_schedule(self, arguments):
        """Another timetable's ticks aren't known here."""
        with pytest.raises(ConfigurationError, match="CronSchedule"):
            task_of("@daily", data=1, **arguments)
