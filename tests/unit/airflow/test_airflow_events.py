# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages as asset events: batches, acknowledged once Airflow's own shared-stream manager says they are stored."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import msgspec
import pytest

from tickrelay_airflow.triggers import follow_ups, stream
from tickrelay_airflow.triggers.events import WATCHERS_GROUP, QueueEventTrigger, TickrelayMessageQueueProvider
from tickrelay_airflow.triggers.follow_ups import FollowUps
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.errors import BrokerUnavailable
from tickrelay_messaging.message import Message

WITHIN = 20.0


def trigger(**arguments) -> QueueEventTrigger:
    return QueueEventTrigger(**{"queue_name": "inbox", **arguments})


class Triggerer:
    """Airflow's manager with one watcher, and the events it fired, stored when told to."""

    def __init__(self) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.manager = SharedStreamManager(ack_timeout=60)
        self.events: list[dict] = []
        self.pending: list[int] = []
        self.error: Exception | None = None
        self.is_logging = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def watch(self, watcher: QueueEventTrigger) -> None:
        key = watcher.shared_stream_key()
        raw = self.manager.subscribe(trigger_id=1, trigger=watcher, key=key)
        try:
            async for event in watcher.filter_shared_stream(raw):
                self.is_logging.set()  # the triggerer awaits its log here, and may be cancelled
                await self.may_go_on.wait()
                self.pending.append(self.manager.bind_pending_event(trigger_id=1, key=key))
                self.events.append(event.payload)
        except Exception as error:  # noqa: BLE001 - as the triggerer does
            self.error = error
        finally:
            await self.manager.unsubscribe(1, key)

    def store(self) -> None:
        self.manager.confirm_persisted(self.pending)
        self.pending.clear()

    @property
    def ids(self) -> list[str]:
        return [message["id"] for event in self.events for message in event["messages"]]


@asynccontextmanager
async def watching(watcher):
    triggerer = Triggerer()
    task = asyncio.create_task(triggerer.watch(watcher))
    try:
        yield triggerer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition) -> None:
    async with asyncio.timeout(WITHIN):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.02)


@pytest.fixture
def send(hook):
    """Put messages on the queue: `send("a", "b")`."""
    hook.broker.declare(QueueSpec("inbox", (WATCHERS_GROUP,)))

    def publish(*ids: str, **attributes) -> None:
        hook.broker.publish("inbox", [Message.of({"id": one}, id=one, **attributes) for one in ids])

    return publish


def left(hook) -> int:
    """Messages that aren't acknowledged."""
    (row,) = (row for row in hook.broker.stats("inbox") if row.group == WATCHERS_GROUP)
    return row.ready + (row.in_flight or 0)


def test_acknowledged_when_stored(hook, send):
    """Messages become events in batches, and stay the broker's until Airflow has stored the events."""

    async def run():
        async with watching(trigger(batch=3)) as triggerer:
            send("a", "b", "c", "d")
            await until(lambda: len(triggerer.ids) == 4)
            before = left(hook)
            triggerer.store()
            await until(lambda: left(hook) == 0)
            return triggerer.events, before

    events, before = asyncio.run(run())

    assert 4 == before
    assert ["a", "b", "c", "d"] == [message["id"] for event in events for message in event["messages"]]
    assert all(len(event["messages"]) <= 3 for event in events)
    assert {"inbox"} == {event["queue"] for event in events}


def test_what_was_not_stored_comes_again(hook, send):
    """A watcher that ends before its event is stored has acknowledged nothing; the next one gets the same messages."""

    async def run():
        async with watching(trigger()) as first:
            send("a", "b")
            await until(lambda: first.ids == ["a", "b"])
        async with watching(trigger()) as second:
            await until(lambda: second.ids == ["a", "b"])
            second.store()
            await until(lambda: left(hook) == 0)

    asyncio.run(run())


def test_ended_before_airflow_had_the_event(hook, send):
    """
    A triggerer that ends between taking an event from the watcher and noting it counts the event as done with, though
    it is nowhere: its messages aren't acknowledged all the same, and the next watcher gets them.
    """

    async def run():
        async with watching(trigger()) as first:
            first.may_go_on.clear()
            send("a", "b")
            await asyncio.wait_for(first.is_logging.wait(), WITHIN)
        assert first.events == []
        async with watching(trigger()) as second:
            await until(lambda: second.ids == ["a", "b"])
            second.store()
            await until(lambda: left(hook) == 0)

    asyncio.run(run())


def test_not_more_than_airflow_can_hold(hook, send, monkeypatch):
    """While Airflow stores nothing, little is received: its own limit, which fails a watcher, is never reached."""
    monkeypatch.setattr(stream, "OUTSTANDING", 2)

    async def run():
        async with watching(trigger(batch=1)) as triggerer:
            send(*(f"m{number}" for number in range(5)))
            await until(lambda: len(triggerer.ids) == 2)
            await asyncio.sleep(0.2)
            held = list(triggerer.ids)
            while len(triggerer.ids) < 5:
                triggerer.store()
                await asyncio.sleep(0.02)
            return held, triggerer.ids

    assert (["m0", "m1"], [f"m{number}" for number in range(5)]) == asyncio.run(run())


def test_a_broker_that_is_down_is_waited_for(hook, send, monkeypatch):
    """Nothing fails the watcher, which Airflow would make anew every second: it tries again with pauses of its own."""
    monkeypatch.setattr(stream, "SHORTEST_PAUSE", 0.05)
    subscribe, failed = hook.broker.subscribe, []

    def fail(*arguments):
        if len(failed) < 3:
            failed.append(1)
            raise BrokerUnavailable("down")
        return subscribe(*arguments)

    monkeypatch.setattr(hook.broker, "subscribe", fail)

    async def run():
        async with watching(trigger()) as triggerer:
            send("a")
            await until(lambda: triggerer.ids == ["a"])
            return triggerer.error

    assert asyncio.run(run()) is None
    assert 3 == len(failed)


def test_an_acknowledgement_that_fails_begins_anew(hook, send, monkeypatch):
    """Where the broker takes no acknowledgement the stream ends, and the next watcher gets all of it again."""
    monkeypatch.setattr(stream, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(stream, "ACKNOWLEDGE_WITHIN", 2)
    subscribe = hook.broker.subscribe

    def fail(*_):
        raise BrokerUnavailable("gone")

    def deaf(*arguments):
        subscription = subscribe(*arguments)
        monkeypatch.setattr(subscription, "acknowledge", fail, raising=False)
        return subscription

    monkeypatch.setattr(hook.broker, "subscribe", deaf)

    async def run():
        async with watching(trigger()) as triggerer:
            send("a")
            await until(lambda: triggerer.ids == ["a"])
            triggerer.store()
            await until(lambda: triggerer.error)
        monkeypatch.setattr(hook.broker, "subscribe", subscribe)
        async with watching(trigger()) as again:
            await until(lambda: again.ids == ["a"])
        return triggerer.error

    assert isinstance(asyncio.run(run()), BrokerUnavailable)


def test_what_can_t_be_read_arrives_as_bytes(hook, send):
    """Other bodies than JSON, and what is no message of ours, block nothing behind them."""
    odd = Message(id="odd", body=b"\xff\x00", content_type="application/octet-stream")
    broken = Message(id="broken", body=b"{nonsense")

    async def run():
        async with watching(trigger()) as triggerer:
            hook.broker.publish("inbox", [odd, broken])
            send("fine")
            await until(lambda: len(triggerer.ids) == 3)
            return [message for event in triggerer.events for message in event["messages"]]

    first, second, third = asyncio.run(run())

    assert ("odd", "/wA=", None) == (first["id"], first["body_base64"], first["data"])
    assert ("broken", "e25vbnNlbnNl") == (second["id"], second["body_base64"])
    assert {"id": "fine"} == third["data"]


def test_what_airflow_can_t_hold_arrives_as_bytes(hook, send):
    """
    An integer of more than 64 bits would end the triggerer, an infinite number or a NUL be refused by the database, a
    name of its own by Airflow: wherever they are, what an event holds can be kept, and what just fits is data.
    """
    fits = {"most": [(1 << 64) - 1], "least": -(1 << 63), "large": 1e308, "true": True}
    odd = {
        "big": b"18446744073709551616",
        "small": b'{"a": [{"b": -9223372036854775809}]}',
        "infinite": b"[[], [1e999]]",
        "negative": b'{"a": -1e999}',
        "nul": b'["a\\u0000b"]',
        "nul in a name": b'{"\\u0000": 1}',
        "reserved": b'[{"__classname__": "builtins.tuple"}]',
    }

    async def run():
        async with watching(trigger()) as triggerer:
            hook.broker.publish("inbox", [Message(id=name, body=body) for name, body in odd.items()])
            hook.broker.publish("inbox", [Message.of(fits, id="fits")])
            await until(lambda: len(triggerer.ids) == 8)
            return triggerer.events

    events = asyncio.run(run())
    msgspec.msgpack.encode(events)
    json.dumps(events, allow_nan=False)
    *others, last = (message for event in events for message in event["messages"])

    assert fits == last["data"]
    assert "body_base64" not in last
    assert [None] * 7 == [one["data"] for one in others]
    assert odd == {one["id"]: base64.b64decode(one["body_base64"]) for one in others}


def test_sizes_decide_too(hook, send, monkeypatch):
    """An event stays small enough for a database's row, whatever the number of messages."""
    monkeypatch.setattr(stream, "MOST_BYTES", 30)

    async def run():
        async with watching(trigger()) as triggerer:
            bodies = [Message.of("x" * size, id=f"m{size}") for size in (5, 5, 40, 5)]
            hook.broker.publish("inbox", bodies)
            await until(lambda: len(triggerer.ids) == 4)
            return [len(event["messages"]) for event in triggerer.events]

    assert [2, 1, 1] == asyncio.run(run())


class TestFollowUps:
    """Airflow leaves events of a burst behind; an empty one brings their run."""

    def waits(self, clock, *instants: float) -> list[float]:
        """When follow-ups are due after events at these instants; the process has started at 0."""
        clock.now = 0.0
        following = FollowUps(lambda: clock.now)
        found = []
        for instant in instants:
            while clock.now + following.wait(1e9) < instant:
                clock.now += following.wait(1e9)
                assert following.take()
                found.append(clock.now)
            clock.now = instant
            following.note()
        while following.wait(1e9) < 1e9:
            clock.now += following.wait(1e9)
            assert following.take()
            found.append(clock.now)
        assert not following.take()
        return found

    @pytest.mark.parametrize(
        ("instants", "due"),
        [
            ([], [3]),
            ([100], [3]),
            ([100, 101, 102], [3, 105, 162]),
            ([100, 130], [3, 133, 190]),
            ([100, 101, 300], [3, 104, 161]),
            ([2], [5, 62]),
            ([100, 101, 110], [3, 104, 113, 170]),
        ],
    )
    def test_a_burst_is_followed(self, instants, due):
        """Once soon and once late after its last event; a lone event isn't; and once after the start."""
        assert due == self.waits(SimpleNamespace(), *instants)

    def test_an_empty_event_is_an_event(self, hook, send, monkeypatch):
        """It comes after the burst, holds nothing, and what came before is acknowledged all the same."""
        monkeypatch.setattr(follow_ups, "DELAYS", (0.3, 0.6))

        async def run():
            async with watching(trigger(batch=1)) as triggerer:
                send("a", "b")
                await until(lambda: len(triggerer.events) >= 4)
                triggerer.store()
                await until(lambda: left(hook) == 0)
                return [[one["id"] for one in event["messages"]] for event in triggerer.events]

        assert [["a"], ["b"], [], []] == asyncio.run(run())[-4:]


class TestTrigger:
    def test_survives_storage(self):
        """What goes through Airflow's database as JSON is the same trigger."""
        path, kwargs = trigger(group="g", conn_id="c", batch=7).serialize()
        again = QueueEventTrigger(**json.loads(json.dumps(kwargs)))

        assert (path, kwargs) == again.serialize()
        assert trigger(newer_argument=1).serialize() == trigger().serialize()

    def test_siblings_are_equal_in_all(self):
        """Only what is the same in every argument shares a stream: nobody misses what a sibling has had."""
        keys = {
            one.shared_stream_key()
            for one in (
                trigger(),
                trigger(batch=1),
                trigger(group="g"),
                trigger(conn_id="c"),
                trigger(queue_name="o"),
            )
        }

        assert 5 == len(keys)
        assert trigger().shared_stream_key() == trigger().shared_stream_key()

    def test_for_assets_only(self):
        """Deferred to by a task it could acknowledge nothing; it says what to use instead."""
        with pytest.raises(NotImplementedError, match="QueueSensor"):
            trigger().run()

    def test_the_scheme_finds_it(self):
        """`MessageQueueTrigger(scheme="tickrelay")` is this trigger."""
        from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

        made = MessageQueueTrigger(scheme="tickrelay", queue_name="inbox", group="g")

        assert QueueEventTrigger is TickrelayMessageQueueProvider().trigger_class()
        assert trigger(group="g").serialize() == made.serialize()
