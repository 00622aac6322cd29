# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Bugs put into a consumer process on purpose: a campaign that doesn't find them proves nothing.

Each sits below the recorder, which writes down what the consumer was told. They spoil the two seams, broker and ledger,
so that they outlive changes of the engine; those that need its insides say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tickrelay_messaging.brokers import Broker, Delivery, Subscription, open_broker
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import Claim, Outcome, Owner, Settlement, Verdict

Spoil = Callable[[Broker, Any], None]


def plant(name: str, url: str, ledger: Ledger) -> str | Broker:
    """Put one in; returns what the consumer gets as its broker."""
    if not name:
        return url
    broker = open_broker(url)
    PLANTS[name](broker, ledger)
    return broker


def ack_before_effect(broker: Broker, _: Any) -> None:
    """What is received is acknowledged at once."""

    def spoil(subscription: Subscription) -> None:
        receive = subscription.receive

        def received(limit: int, timeout: float | None = 0.0) -> list[Delivery]:
            deliveries = receive(limit, timeout)
            subscription.acknowledge(deliveries)
            return deliveries

        subscription.receive = received  # type: ignore[method-assign]

    _on_subscribe(broker, spoil)


def ack_before_settle(broker: Broker, ledger: Any) -> None:
    """What is claimed is acknowledged, before its result is anywhere."""
    taken: list[tuple[Subscription, list[Delivery]]] = []

    def spoil(subscription: Subscription) -> None:
        receive = subscription.receive

        def received(limit: int, timeout: float | None = 0.0) -> list[Delivery]:
            deliveries = receive(limit, timeout)
            taken.append((subscription, deliveries))
            return deliveries

        subscription.receive = received  # type: ignore[method-assign]

    def after(claims: list[Claim]) -> list[Claim]:
        while taken:
            subscription, deliveries = taken.pop()
            subscription.acknowledge(deliveries)
        return claims

    _on_subscribe(broker, spoil)
    _after_claim(ledger, after)


def ack_on_close(broker: Broker, _: Any) -> None:
    """Whoever leaves acknowledges what it has in hand."""

    def spoil(subscription: Subscription) -> None:
        receive, close = subscription.receive, subscription.close
        taken: list[Delivery] = []

        def received(limit: int, timeout: float | None = 0.0) -> list[Delivery]:
            deliveries = receive(limit, timeout)
            taken.extend(deliveries)
            return deliveries

        def closed() -> None:
            subscription.acknowledge(taken)
            close()

        subscription.receive, subscription.close = received, closed  # type: ignore[method-assign]

    _on_subscribe(broker, spoil)


def mark_before_effect(_: Broker, ledger: Any) -> None:
    """What is claimed is marked as done at once: the recipe with SET NX."""
    settle = ledger.settle
    owners: list[Owner] = []
    claim = ledger.claim

    def claimed(owner: Owner, *given: Any, **more: Any) -> list[Claim]:
        claims: list[Claim] = claim(owner, *given, **more)
        owners.append(owner)
        settle(owner, [Settlement(one, Verdict.DONE) for one in claims if one.outcome is Outcome.RUN])
        return claims

    ledger.claim = claimed
    ledger.settle = lambda owner, settlements: settle(owner, settlements) and [True] * len(settlements)


def no_fence_check(_: Broker, ledger: Any) -> None:
    """A zombie's result counts, whoever has the message now; an SQL ledger's insides."""
    from tickrelay_messaging.ledger.sql import settling

    held_claims = settling.held_claims

    def held(connection: Any, owner: Owner, claims: Sequence[Claim]) -> Any:
        found = held_claims(connection, owner, claims)
        rows = connection.exec_driver_sql("SELECT key, fence, owner FROM active WHERE state = 1").all()
        for claim in claims:
            for row in rows:
                if bytes(row[0]) == claim.key and (claim.key, claim.fence) not in found:
                    other = replace(claim, fence=row[1])
                    there = held_claims(connection, replace(owner, number=row[2]), [other])
                    found |= dict.fromkeys([(claim.key, claim.fence)], next(iter(there.values())))
        return found

    settling.held_claims = held


def refusals_ignored(_: Broker, ledger: Any) -> None:
    """Whatever the ledger answers to a result, it is taken for accepted."""
    settle = ledger.settle
    ledger.settle = lambda owner, settlements: [True for _ in settle(owner, settlements)]


def done_is_not_remembered(_: Broker, ledger: Any) -> None:
    """A done message is dropped instead of marked."""
    _verdicts(ledger, {Verdict.DONE: Verdict.RELEASE})


def retry_forgets_payload(_: Broker, ledger: Any) -> None:
    """A message that must wait isn't kept, and acknowledged all the same."""
    _verdicts(ledger, {Verdict.RETRY: Verdict.RELEASE})


def retry_is_done(_: Broker, ledger: Any) -> None:
    """A failed message counts as done."""
    _verdicts(ledger, {Verdict.RETRY: Verdict.DONE})


def parked_is_dropped(_: Broker, ledger: Any) -> None:
    """What is due later is said to be parked, and stored nowhere."""
    claim = ledger.claim

    def claimed(owner: Owner, route: Any, messages: Sequence[Any], **more: Any) -> list[Claim]:
        now = [message for message in messages if message.deliver_at is None]
        answers = iter(claim(owner, route, now, **more))
        parked = Claim(Outcome.PARKED, route, b"", messages[0]) if messages else None
        return [next(answers) if message.deliver_at is None else parked for message in messages]  # type: ignore[misc]

    ledger.claim = claimed


def claim_ignores_done(_: Broker, ledger: Any) -> None:
    """A duplicate is carried out again, under a new fence."""
    claim = ledger.claim

    def claimed(owner: Owner, route: Any, messages: Sequence[Any], **more: Any) -> list[Claim]:
        claims: list[Claim] = claim(owner, route, messages, **more)
        again = [one for one in claims if one.outcome is Outcome.DUPLICATE]
        others = [replace(one.message, id=f"{one.message.id}-again") for one in again]
        runs = iter(claim(owner, route, others, **more)) if again else iter(())
        return [
            replace(next(runs), message=one.message) if one.outcome is Outcome.DUPLICATE else one
            for one in claims
        ]

    ledger.claim = claimed


def due_is_given_twice(_: Broker, ledger: Any) -> None:
    """A claim taken from the ledger is carried out by two threads."""
    claim_due = ledger.claim_due
    ledger.claim_due = lambda *given, **more: [one for one in claim_due(*given, **more) for _ in (1, 2)]


def reap_takes_the_living(_: Broker, ledger: Any) -> None:
    """Every other consumer counts as dead; an SQL ledger's insides."""
    ledger._owners._is_dead = lambda *_: True


def release_acks(_: Broker, ledger: Any) -> None:
    """What was released without being carried out is acknowledged; the engine's insides."""
    from tickrelay_consumer.engine.settler import Settler

    acknowledge = Settler._acknowledge

    def acknowledged(self: Settler, accepted: Sequence[Any]) -> None:
        for result in accepted:
            if result.verdict is Verdict.RELEASE and (received := result.work.received):
                received.subscription.acknowledge([received.delivery])
        acknowledge(self, accepted)

    Settler._acknowledge = acknowledged  # type: ignore[method-assign,assignment]


def _on_subscribe(broker: Any, spoil: Callable[[Subscription], None]) -> None:
    subscribe = broker.subscribe

    def subscribed(*given: Any) -> Subscription:
        subscription: Subscription = subscribe(*given)
        spoil(subscription)
        return subscription

    broker.subscribe = subscribed


def _after_claim(ledger: Any, then: Callable[[list[Claim]], list[Claim]]) -> None:
    claim = ledger.claim
    ledger.claim = lambda *given, **more: then(claim(*given, **more))


def _verdicts(ledger: Any, instead: dict[Verdict, Verdict]) -> None:
    settle = ledger.settle

    def settled(owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        changed = [replace(one, verdict=instead.get(one.verdict, one.verdict)) for one in settlements]
        answers: list[bool] = settle(owner, changed)
        return answers

    ledger.settle = settled


PLANTS: dict[str, Spoil] = {
    spoil.__name__: spoil
    for spoil in (
        ack_before_effect,
        ack_before_settle,
        ack_on_close,
        mark_before_effect,
        no_fence_check,
        refusals_ignored,
        done_is_not_remembered,
        retry_forgets_payload,
        retry_is_done,
        parked_is_dropped,
        claim_ignores_done,
        due_is_given_twice,
        reap_takes_the_living,
        release_acks,
    )
}
