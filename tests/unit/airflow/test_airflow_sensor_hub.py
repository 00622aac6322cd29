# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The hub behind all waiting sensors of a triggerer."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from tests.services.waiting import wait_until
from tests.unit.airflow.sensing import DEADLINE, deferral, fired, sensor

from tickrelay_airflow.connection.settings import Settings
from tickrelay_airflow.triggers.hub import Hub
from tickrelay_airflow.triggers.queue import QueueTrigger
from tickrelay_airflow.waiting.conditions import Arrived, Drained, Settled
from tickrelay_messaging.brokers.base import Delivery, QueueSpec
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.errors import BrokerUnavailable
from tickrelay_messaging.message import Message

pytestmark = pytest.mark.usefixtures("own_hubs")


@dataclass
class Moody(Drained):
    """Of the queue `down` nothing can be said."""

    asked: list[int] = field(default_factory=list)

    def check(self, broker, ledger):
        self.asked.append(1)
        if self.queue == "down":
            raise BrokerUnavailable("down")
        return {}


class TestHub:
    def test_many_sensors_one_hub_few_threads(self, hook, context):
        """Two hundred waiting sensors cost three threads, and the loop stays free."""
        hook.broker.declare(QueueSpec("orders", ("airflow",)))
        before = threading.active_count()

        async def wait():
            triggers = [
                QueueTrigger(condition=Arrived("orders", "airflow", taker=f"t{n}").as_dict())
                for n in range(200)
            ]
            events = [asyncio.create_task(fired(trigger)) for trigger in triggers]
            await asyncio.to_thread(
                until_true, lambda: sum(hub.waiting for hub in Hub._shared.values()) == 200
            )
            threads = threading.active_count() - before
            await asyncio.to_thread(
                hook.broker.publish, "orders", [Message.of(n, id=f"m{n}") for n in range(200)]
            )
            found = await asyncio.gather(*events)
            return threads, {event["outcome"]["message_id"] for event in found}

        threads, found = asyncio.run(wait())

        assert threads <= 4  # three of the hub's, one of asyncio's default executor
        assert 200 == len(found)

    def test_a_service_that_is_down_is_waited_for(self, hook, monkeypatch):
        """Broker or ledger failing is no reason to fail a sensor: it goes on when they are back."""
        from tickrelay_airflow.triggers import hub as module
        from tickrelay_messaging.errors import LedgerUnavailable

        monkeypatch.setattr(module, "PAUSE", 0.05)
        monkeypatch.setattr(module, "SAFETY", 0.05)
        answers = iter([LedgerUnavailable("down"), LedgerUnavailable("down"), {"fine": True}])

        class Flaky(Drained):
            def check(self, broker, ledger):
                answer = next(answers)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        async def wait():
            async with asyncio.timeout(DEADLINE):
                return await Hub.shared(Settings.load("tickrelay_default")).until(Flaky("q", "g"))

        assert {"fine": True} == asyncio.run(wait())

    @pytest.mark.parametrize("fine", [Settled("fine", "g", {}), Moody("fine", "g")])
    def test_a_service_that_is_down_holds_up_nobody_else(self, hook, monkeypatch, fine):
        """
        What can be checked is checked in the same or the next round, whoever waits before it; what fails is asked once
        a round, however many wait.
        """
        from tickrelay_airflow.triggers import hub as module

        monkeypatch.setattr(module, "PAUSE", 0.05)
        monkeypatch.setattr(module, "SAFETY", 0.05)
        asked: list[int] = []
        rounds = counted(monkeypatch, Hub, "_round")

        async def wait():
            hub = Hub.shared(Settings.load("tickrelay_default"))
            before = [asyncio.create_task(hub.until(Moody("down", "g", asked))) for _ in range(50)]
            await asyncio.to_thread(until_true, lambda: hub.waiting == len(before) and asked)
            start = len(asked)
            async with asyncio.timeout(DEADLINE):
                await hub.until(fine)
            return len(asked) - start

        assert asyncio.run(wait()) < 10
        assert len(asked) <= len(rounds)

    def test_old_mail_is_dropped(self, hook, context, monkeypatch):
        """While sensors wait, what is older than the setting is dropped from the mailbox."""
        monkeypatch.setenv("AIRFLOW__TICKRELAY__MAILBOX_DAYS", "0")
        old = Message.of(1, id="old", key="unwanted")
        hook.ledger.mailbox.put(
            "orders", "airflow", [Delivery("orders", "airflow", "1", encode(old), old.body)]
        )
        trigger = deferral(sensor(match={"key": "wanted"}), context())

        async def wait():
            event = asyncio.create_task(fired(trigger))
            await asyncio.to_thread(until_true, lambda: not hook.ledger.mailbox.all("orders", "airflow"))
            event.cancel()

        asyncio.run(wait())

    def test_nobody_left_nothing_received(self, hook, context):
        """When the last sensor gives up, messages stay on the queue for the next one."""
        trigger = deferral(sensor(), context())

        async def give_up():
            event = asyncio.create_task(fired(trigger))
            await asyncio.to_thread(until_true, lambda: any(hub.waiting for hub in Hub._shared.values()))
            event.cancel()
            with suppress(asyncio.CancelledError):
                await event

        asyncio.run(give_up())
        (hub,) = Hub._shared.values()
        until_true(lambda: not hub._receivers and not hub._checking)
        until_true(lambda: all(not row.consumers for row in hook.broker.stats("orders")))


def counted(monkeypatch, owner: type, name: str) -> list[int]:
    """One item for each call of a method from now on."""
    calls: list[int] = []
    called = getattr(owner, name)

    def call(*arguments):
        calls.append(1)
        return called(*arguments)

    monkeypatch.setattr(owner, name, call)
    return calls


def until_true(condition) -> None:
    """For what another thread does."""
    wait_until(
        condition, lambda last: f"it did not happen; last answer: {last!r}", within=DEADLINE, every=0.02
    )
