# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ticks ahead: one run publishes the messages of many ticks, each once, whoever publishes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import task as task_decorators
from airflow.sdk.exceptions import AirflowSkipException
from airflow.timetables.base import DataInterval, TimeRestriction
from tests.unit.airflow.ticking import SCHEDULE_ID, W, ahead, interval_of, run_task, second, task_of

from tickrelay_airflow.decorators import publish_task
from tickrelay_airflow.publish import Item
from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Outcome, Route
from tickrelay_messaging.ledger.schedules import TickFilter, TickOutcome
from tickrelay_messaging.testing.ledger_case import Clock

EARLY = second(-29)
"""Just after the run began."""


@pytest.fixture
def published(hook, context, received):
    """Run a schedule's task and get what it put on the queue: `published(schedule, data=...)`."""

    def publish(schedule, begin=W, *, now=EARLY, interval=None, run_type="scheduled", ti=None, **arguments):
        before = len(received("orders")) if hook.broker.stats else 0
        task = task_of(schedule, ticks=True, **arguments)
        run_task(
            task, context, interval or interval_of(schedule, begin), now=now, run_type=run_type, **(ti or {})
        )
        return received("orders")[before:]

    hook.broker.declare(QueueSpec("orders"))
    return publish


class TestMessages:
    def test_one_message_for_each_tick(self, published):
        """Of the run's window, to be delivered at the tick, by the schedule's id."""
        messages = published(ahead(), data={"at": "{{ tick }}"})

        assert [second(10 * n) for n in range(6)] == [message.deliver_at for message in messages]
        assert {SCHEDULE_ID} == {message.extensions["scheduleid"] for message in messages}
        assert ["generation" in message.extensions for message in messages] == [False] * 6

    def test_data_headers_and_key_are_rendered_for_each_tick(self, published):
        """By the operator itself: `tick` is in UTC, `tick_local` in the schedule's zone, and the rest as ever."""
        messages = published(
            ahead(expression="0,30 * * * * ?", timezone="Europe/Berlin"),
            data={"utc": "{{ tick.isoformat() }}", "local": ["{{ tick_local.time() }}"], "run": "{{ run_id }}"},
            headers={"second": "{{ tick.second }}"},
            key="half-{{ tick.second }}",
        )  # fmt: skip

        assert ["2026-07-01T12:30:00+00:00", "2026-07-01T12:30:30+00:00"] == [m.data["utc"] for m in messages]
        assert [["14:30:00"], ["14:30:30"]] == [m.data["local"] for m in messages]
        assert {"scheduled__2026-07-01T12:29:30+00:00"} == {m.data["run"] for m in messages}
        assert [({"second": "0"}, "half-0"), ({"second": "30"}, "half-30")] == [
            (m.headers, m.key) for m in messages
        ]

    def test_a_function_is_called_for_each_tick(self, published):
        """It may name `tick` and `tick_local`; each of its payloads is a message of that tick."""

        def payloads(tick, tick_local, run_id):
            yield {"n": tick.second, "zone": tick_local.timezone_name}
            if tick.second:
                yield Item(data={"run": run_id}, id="extra")

        messages = published(ahead(expression="0,30 * * * * ?"), data=payloads)
        assert [0, 30, 30] == [message.deliver_at.second for message in messages]
        assert {"n": 0, "zone": "UTC"} == messages[0].data
        assert {"run": "scheduled__2026-07-01T12:29:30+00:00"} == messages[2].data

    def test_expires_counts_from_the_tick(self, published):
        """A message published long before its tick is fresh at it."""
        messages = published(ahead(), data=1, expires=timedelta(seconds=5))

        assert [timedelta(seconds=5)] * 6 == [m.expires - m.deliver_at for m in messages]

    def test_jitter_moves_delivery_and_nothing_else(self, published):
        """By what the schedule says for the tick; `tick` stays what it is."""
        schedule = ahead(jitter="5s", seed="beat")
        messages = published(schedule, data="{{ tick.isoformat() }}")

        ticks = [second(10 * n) for n in range(6)]
        assert [tick.isoformat() for tick in ticks] == [message.data for message in messages]
        assert [schedule.due_of(tick) for tick in ticks] == [message.deliver_at for message in messages]
        assert [tick.isoformat() for tick in ticks] == [message.extensions["tick"] for message in messages]
        assert ticks != [message.deliver_at for message in messages]

    def test_a_run_by_hand_is_one_tick_now(self, published):
        """Neither lead nor window, and none of the schedule's: a pause doesn't take it back."""
        (message,) = published(
            ahead(),
            data="{{ tick }}",
            interval=DataInterval.exact(second(3)),
            now=second(4),
            run_type="manual",
        )

        assert (second(3), "scheduleid" in message.extensions) == (message.deliver_at, False)

    def test_without_a_window_the_tick_is_the_logical_date(self, published):
        """`ticks=True` is of use on any `CronSchedule`: its ids are the tick's."""
        (message,) = published(
            CronSchedule("@hourly"), data="{{ tick }}", interval=DataInterval.exact(W), now=second(1)
        )

        assert W == message.deliver_at

    def test_a_decorated_function(self, hook, context, received):
        """`@task.publish(ticks=True)` is called for each tick."""
        assert task_decorators is not None

        def make(**arguments):
            @publish_task(**arguments)
            def publish(region, tick=None):
                return {"region": region, "second": tick.second}

            return publish("eu").operator

        run_task(task_of(ahead(), make, ticks=True), context, interval_of(ahead()), now=EARLY)

        assert [{"region": "eu", "second": 10 * n} for n in range(6)] == [m.data for m in received("orders")]


class TestIds:
    def test_every_run_that_covers_a_tick_publishes_the_same_ids(self, published):
        """A retry, a backfill, another scheduler's run of another window: no tick is doubled."""
        first = published(ahead(), data={"same": 1})
        retried = published(ahead(), data={"same": 1}, ti={"try_number": 3}, now=second(5))
        backfill = published(ahead(), data={"same": 1}, run_type="backfill", now=second(5000))
        wider = DataInterval(second(-40), second(30))
        other = published(ahead(), data={"same": 1}, interval=wider)

        names = [message.id for message in first]
        assert (6, names, names) == (len(set(names)), [m.id for m in retried], [m.id for m in backfill])
        assert names == [message.id for message in other][1:]

    def test_a_tick_s_id_hangs_on_its_task_and_item(self, published):
        """Other tasks, map indices and items are other messages."""
        arguments = {"data": lambda tick: [{"n": 1}, {"n": 2}], "id": "n"}
        found = published(ahead(), **arguments)
        found += published(ahead(), **arguments, ti={"task_id": "other"})
        found += published(ahead(), **arguments, ti={"map_index": 3})

        assert 3 * 12 == len({(message.source, message.id) for message in found})

    def test_consumers_carry_a_tick_out_once(self, hook, published, carry_out):
        """Published by two runs, done once."""
        published(ahead(), data=1, now=second(70))
        published(ahead(), data=1, now=second(70), run_type="backfill")

        hook.ledger.now = lambda: second(70).timestamp()
        assert 6 == carry_out("orders")


class TestDecisionsAreKept:
    def test_fired(self, hook, published):
        """Each tick once, however often it's published, with who published it first."""
        for _ in range(2):
            published(ahead(), data=1)

        found = hook.ledger.schedules.list(TickFilter(schedule=SCHEDULE_ID))
        assert [second(10 * n).timestamp() for n in reversed(range(6))] == [one.tick for one in found]
        assert {TickOutcome.FIRED} == {one.outcome for one in found}
        assert {("beat", "scheduled__2026-07-01T12:29:30+00:00", "publish")} == {
            (one.dag_id, one.run_id, one.task_id) for one in found
        }

    def test_only_what_the_broker_confirmed_has_fired(self, hook, published, monkeypatch):
        """A task that fails to publish leaves its ticks open."""
        monkeypatch.setattr(type(hook), "publish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            published(ahead(), data=1)

        assert [] == hook.ledger.schedules.list(TickFilter())

    def test_without_a_ledger_it_publishes_all_the_same(self, connection, context, hook, received):
        """Nothing can be recorded or taken back then."""
        connection({"broker": hook.settings.broker})
        run_task(
            task_of(ahead(), ticks=True, data=1, misfire="none"),
            context,
            interval_of(ahead()),
            now=second(75),
        )

        assert [second(20), second(30), second(40), second(50)] == [m.deliver_at for m in received("orders")]


class TestForms:
    """A schedule that was edited while ticks of its older form are out."""

    def test_an_edit_takes_back_what_is_out_and_replaces_it(self, hook, published):
        """From the new window on; what was out for before it stays."""
        published(ahead(), data=1)
        messages = published(ahead(expression="*/20 * * * * ?"), begin=second(60), data=1, now=second(35))
        (one,) = hook.ledger.revocations.list(SCHEDULE_ID)

        assert (second(60).timestamp(), None, 0) == (one.since, one.until, one.generation)
        assert ["1"] * 3 == [message.extensions["generation"] for message in messages]

    def test_each_tick_runs_once_through_an_edit(self, hook, published):
        """
        Parked under the older form, taken back, carried out under the newer: what both have once, what only the older
        has never, and what lay before the edit's window as it was.
        """
        clock = Clock()
        clock.now = EARLY.timestamp()
        hook.ledger.database.clock = clock
        route = Route("orders", "default", "sync")
        owner = hook.ledger.enroll("one", [route], lease=1e9)
        wide = DataInterval(second(-30), second(90))
        claims = hook.ledger.claim(owner, route, published(ahead(), data=1, interval=wide))
        claims += hook.ledger.claim(
            owner,
            route,
            published(ahead(expression="*/20 * * * * ?"), begin=second(60), data=1, now=second(35)),
        )
        clock.now = second(200).timestamp()
        due = hook.ledger.claim_due(owner, route, 100)

        assert {Outcome.PARKED} == {claim.outcome for claim in claims}
        expected = [second(10 * n) for n in range(6)] + [second(60), second(80), second(100)]
        assert expected == sorted(claim.message.deliver_at for claim in due)
        assert 6 + 3 == len({claim.message.id for claim in due})

    def test_the_next_edit_needs_a_revocation_of_its_own(self, hook, published):
        """Runs of the same form add none."""
        for number, expression in enumerate(["0 * * * * ?", "1 * * * * ?", "1 * * * * ?", "2 * * * * ?"]):
            published(
                ahead(expression=expression), begin=second(60 * number), data=1, now=second(60 * number)
            )

        assert [0, 1] == [one.generation for one in hook.ledger.revocations.list(SCHEDULE_ID)]

    def test_a_task_that_died_before_it_took_anything_back(self, hook, published, monkeypatch):
        """Its retry does it."""
        published(ahead(), data=1)
        with monkeypatch.context() as patch:
            patch.setattr(type(hook.ledger.revocations), "revoke", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                published(ahead(window="2m"), begin=second(120), data=1)
        assert [] == hook.ledger.revocations.list(SCHEDULE_ID)
        published(ahead(window="2m"), begin=second(120), data=1)

        assert [0] == [one.generation for one in hook.ledger.revocations.list(SCHEDULE_ID)]

    def test_a_late_retry_of_the_older_form(self, hook, published):
        """It changes nothing, and leaves the newer form's stretch of time to it."""
        published(ahead(window="1m"), data=1)
        published(ahead(window="30s"), begin=second(30), data=1, interval=DataInterval(second(0), second(30)))
        again = published(ahead(window="1m"), data=1, now=second(-20))

        assert [second(0), second(10), second(20)] == [message.deliver_at for message in again]
        assert 1 == len(hook.ledger.revocations.list(SCHEDULE_ID))

    def test_a_retry_that_finds_an_edit_takes_nothing_from_later_windows(self, hook, published):
        """They are out, and nobody would publish them again; the run after them begins with the new form."""
        failing = pytest.raises(ZeroDivisionError)
        with failing, pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(hook), "publish", lambda *_, **__: 1 / 0)
            published(ahead(), data=1)
        published(ahead(), begin=second(60), data=1, now=second(31))
        edited = ahead(expression="*/20 * * * * ?")
        own = published(edited, data=1, now=second(35))
        assert [] == hook.ledger.revocations.list(SCHEDULE_ID)
        assert [second(0), second(20), second(40)] == [message.deliver_at for message in own]
        published(edited, begin=second(120), data=1, now=second(91))

        assert [second(120).timestamp()] == [one.since for one in hook.ledger.revocations.list(SCHEDULE_ID)]

    def test_a_backfill_was_the_first_to_be_heard_of(self, hook, published):
        """Then an edit, and another backfill: neither takes anything back."""
        published(ahead(), data=1, run_type="backfill")
        published(ahead(expression="*/20 * * * * ?"), begin=second(60), data=1, run_type="backfill")

        assert [] == hook.ledger.revocations.list(SCHEDULE_ID)

    def test_one_tick_s_task_beside_the_ticks(self, hook, context, published):
        """Both say from which tick on the new form holds, whichever comes first."""
        edited = ahead(expression="*/20 * * * * ?")
        published(ahead(), data=1)
        run_task(task_of(edited, data=1), context, interval_of(edited, second(60)), now=second(31))

        assert [second(60).timestamp()] == [one.since for one in hook.ledger.revocations.list(SCHEDULE_ID)]

    def test_work_that_is_late_for_its_tick_survives_an_edit(self, hook, published, carry_out):
        """A tick before the new form's first is delayed beyond it by jitter, and lies in no window of the new form."""
        old = ahead(jitter="5m", seed="beat")
        late = [message for message in published(old, data=1) if message.deliver_at > second(60)]
        edited = ahead(expression="*/20 * * * * ?", jitter="5m", seed="beat")
        published(edited, begin=second(60), data=1, now=second(35))
        hook.ledger.now = hook.ledger.database.clock = lambda: second(600).timestamp()

        assert late
        assert 6 + 3 == carry_out("orders")

    def test_the_worker_has_a_longer_lead_before_the_scheduler(self, published):
        """The run's interval is of the old form: its ticks are all there, and those up to where the next run begins."""
        old, new = ahead(), ahead(lead="50s")
        ours = published(new, data=1, interval=interval_of(old))
        following = new.next_dagrun_info(
            last_automated_data_interval=interval_of(old),
            restriction=TimeRestriction(earliest=W, latest=None, catchup=True),
        )
        theirs = published(new, data=1, interval=following.data_interval, now=second(20))

        dues = {message.deliver_at for message in [*ours, *theirs]}
        assert {second(10 * number) for number in range(8)} <= dues

    def test_a_cleared_task_that_publishes_anew_is_its_schedule_s_all_the_same(self, published):
        """A message's generation is the schedule's form; an edit's revocation goes by it."""
        (first, *_) = published(ahead(), data=1, republish=True, ti={"max_tries": 1})

        assert "generation" not in first.extensions

    def test_a_window_that_an_edit_has_emptied(self, published):
        """A cleared run of before: skipped, with a reason."""
        with pytest.raises(AirflowSkipException, match="no tick of the schedule as it is now"):
            published(ahead(expression="0 0 6 * * ?"), data=1)


class TestRefusals:
    @pytest.mark.parametrize("schedule", [None, "@daily"])
    def test_ticks_need_our_schedule(self, schedule):
        """Said where the DAG is parsed."""
        with pytest.raises(ConfigurationError, match=r"ticks=True needs a DAG with schedule=CronSchedule"):
            task_of(schedule, ticks=True, data=1)

    def test_ticks_are_when_they_are(self):
        """An instant of the user's own would contradict."""
        with pytest.raises(ConfigurationError, match="leave deliver_at= out"):
            task_of(ahead(), ticks=True, deliver_at=timedelta(seconds=1))
