# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What holds for a handler on a broker and a ledger, and which windows are left, in words. Asks nobody.

Delivery is at least once, always. An effect is there once where it commits together with the message's done-mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tickrelay_consumer.durability import Durability
from tickrelay_consumer.handlers import Effect, Handler
from tickrelay_consumer.modes import Mode
from tickrelay_consumer.policy import IN_ORDER, Ambiguity
from tickrelay_messaging.ledger.records import KeyRule, Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """
    A broker as far as promises go.

    Attributes:
        lanes: of each queue, as it is declared; empty where nobody was asked.
        keeps_scattered_acks: an acknowledgement behind an open message counts for good.
    """

    name: str
    durable: bool
    has_lanes: bool
    replay: bool = False
    keeps_scattered_acks: bool = True
    lanes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFacts:
    """A ledger as far as promises go."""

    name: str
    effects: frozenset[str]
    durability: Durability
    several_hosts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """
    What holds for one handler.

    Attributes:
        refused: why a consumer wouldn't start like this; empty if it would.
        windows: when it doesn't hold, and what happens then.
    """

    queue: str
    handler: str
    broker: str
    ledger: str
    delivery: str
    effect: str
    order: str
    runs: str
    dedup: str
    windows: tuple[str, ...]
    refused: tuple[str, ...] = ()


def guarantee(
    handler: Handler, broker: BrokerFacts, ledger: LedgerFacts, retention: Retention | None = None
) -> Guarantee:
    """For one handler on one broker and one ledger."""
    return Guarantee(
        queue=handler.queue,
        handler=handler.name,
        broker=broker.name,
        ledger=ledger.name,
        delivery=_delivery(broker),
        effect=_effect(handler),
        order=_order(handler, broker),
        runs=_RUNS[handler.mode].format(seconds=handler.timeout),
        dedup=_dedup(retention or Retention()),
        windows=tuple(_windows(handler, broker, ledger)),
        refused=tuple(_refused(handler, broker, ledger)),
    )


_RUNS = {
    Mode.THREAD: "in a thread: past {seconds:g} s the attempt counts as failed, but a thread can't be killed",
    Mode.PROCESS: "in a child process: killed at {seconds:g} s, a hard deadline",
    Mode.ASYNCIO: "in the event loop: cancelled at {seconds:g} s, at its next await",
}

_EFFECTS = {
    Effect.TRANSACTION: "effect once: effect and done-mark commit together in the ledger's database",
    Effect.REDIS: "effect once: effect and done-mark are written by one script in the ledger's Redis",
    Effect.EXTERNAL: "effect at least once, with an idempotency key that is the same at every attempt",
}


def _delivery(broker: BrokerFacts) -> str:
    if broker.durable:
        return "at least once"
    return "at least once while the broker lives; what it holds is lost with it"


def _effect(handler: Handler) -> str:
    text = _EFFECTS[handler.effect]
    if handler.effect is Effect.EXTERNAL and handler.ambiguity is Ambiguity.QUARANTINE:
        return "effect at most once where its outcome is unknown (quarantined), else once"
    return text


def _order(handler: Handler, broker: BrokerFacts) -> str:
    rule = handler.rule
    if rule is KeyRule.SINGLETON:
        return "one at a time of a key; what comes meanwhile is skipped"
    if rule is KeyRule.NONE:
        return "none: messages of a key may run side by side"
    dead = "a dead one holds its followers up" if rule is KeyRule.STRICT else "a dead one is stepped over"
    lanes = broker.lanes.get(handler.queue)
    how = f"{lanes} lanes" if lanes else "lanes"
    return f"messages of a key one after the other ({how}); {dead}"


def _dedup(retention: Retention) -> str:
    return (
        f"by source and id, for at least {_span(retention.dedup)} after it is done and as long as the group lags; "
        "a duplicate published later runs again"
    )


def _windows(handler: Handler, broker: BrokerFacts, ledger: LedgerFacts) -> list[str]:
    found = []
    if handler.effect is Effect.EXTERNAL:
        found += _external_windows(handler)
    if ledger.durability.window:
        found.append(f"ledger ({ledger.durability.setting}): {ledger.durability.window}")
    if not broker.durable:
        found.append(
            "broker: it keeps nothing beyond its process or a restart; unfinished messages die with it"
        )
    if not broker.keeps_scattered_acks:
        found.append(
            "after a crash messages behind an unfinished one come again; the ledger knows them, no effect is repeated"
        )
    return found


def _external_windows(handler: Handler) -> list[str]:
    unit = "its whole batch" if handler.batch is not None else "it"
    then = {
        Ambiguity.VERIFY: "the handler's verify is asked whether it happened",
        Ambiguity.QUARANTINE: "it becomes a dead letter and isn't run again",
    }.get(handler.ambiguity, f"{unit} is run again under the same key")
    found = [f"the process dies, or is taken for dead, between the effect and its mark: {then}"]
    if handler.mode is Mode.THREAD:
        found.append(
            f"it runs past {handler.timeout:g} s: its thread goes on and may still act, beside the next attempt"
        )
    else:
        found.append(f"it is ended at {handler.timeout:g} s: what it had done by then stays; then {then}")
    return found


def _refused(handler: Handler, broker: BrokerFacts, ledger: LedgerFacts) -> list[str]:
    found = []
    if handler.effect not in ledger.effects:
        found.append(
            f"effect={handler.effect.value!r} can't be had on this ledger; it has {', '.join(sorted(ledger.effects))}"
        )
    if handler.rule in IN_ORDER:
        if not broker.has_lanes:
            found.append("key order needs a queue with lanes, which this broker doesn't have")
        elif broker.lanes.get(handler.queue) == 0:
            found.append(f"key order needs lanes: tickrelay queue declare {handler.queue} --lanes N")
    return found


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds / size
            return f"{count:g} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:g} s"
