# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
A consumer is killed at each named point of its path and started again: nothing is lost, no transaction's effect twice.

How often a point is hit in a short run differs: `HITS` names the hits that each can be relied on to have.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from checker import check
from consumer_lab import Lab, until

from tickrelay_consumer import Message
from tickrelay_messaging import envelope
from tickrelay_messaging.failpoints import NAMES

pytestmark = pytest.mark.chaos

ELSEWHERE = {"publish.before_send", "publish.after_confirm", "consumer.after_reap"}
"""Reached by those who publish, or beside another consumer that dies: in `tests/chaos/campaign`."""

RELAY = {"relay.after_take", "relay.after_publish"}
"""On the way of what transactions publish."""

MESSAGES = 200
NONE: frozenset[str] = frozenset()
LIMITS = {"batch": 16, "prefetch": 64, "workers": 2}
EARLY, LATE = 1, 5
START = 4.0
"""Seconds within which a consumer has started and received, on a busy machine too: what is due by then isn't parked."""

HITS: dict[str, tuple[int, ...]] = {
    "consumer.after_receive": (EARLY, LATE),
    "consumer.after_decode": (EARLY, LATE),
    "consumer.after_claim": (EARLY, LATE),
    "consumer.before_handler": (EARLY, 77),
    "consumer.after_effect": (EARLY, 77),
    "consumer.before_settle": (EARLY, LATE),
    "consumer.after_settle": (EARLY, LATE),
    "consumer.after_acknowledge": (EARLY, LATE),
    "consumer.after_park": (EARLY, 2),
    "consumer.after_claim_due": (EARLY, 2),
    "consumer.transaction.before_commit": (EARLY, 3),
    "consumer.transaction.after_commit": (EARLY, 3),
    "consumer.before_renew": (EARLY,),
    "consumer.draining": (EARLY,),
}
"""Hits at which the process dies, by point."""

ONLY_IN = {
    "consumer.transaction.before_commit": "transaction",
    "consumer.transaction.after_commit": "transaction",
}

PARKED = {"consumer.after_park", "consumer.after_claim_due"}
"""Reached only where something is still to be parked when the consumer receives it."""

CASES = [
    pytest.param(point, hit, effect, id=f"{point.removeprefix('consumer.')}@{hit}-{effect}")
    for point, hits in HITS.items()
    for hit, effect in itertools.product(hits, ("transaction", "external"))
    if effect == ONLY_IN.get(point, effect)
]


def test_every_point_is_visited() -> None:
    """A failpoint that somebody adds must be killed at here, or be named as somebody else's."""
    assert set(NAMES) == HITS.keys() | ELSEWHERE | RELAY


@pytest.mark.parametrize(("point", "hit", "effect"), CASES)
def test_killed_at_a_point(lab: Lab, point: str, hit: int, effect: str) -> None:
    """
    SIGKILL there, and a new start: every message has its effect, once if it is a transaction's; of external effects
    only what was in hand may be repeated. The point must have been reached.
    """
    ids = _publish(lab, START if point in PARKED else 0.3)
    first = lab.spawn(effects=[effect], limits=LIMITS, failpoints=f"{point}=kill@{hit}")
    if point == "consumer.draining":
        until(lambda: lab.done(effect), "it works")
        first.send_signal(signal.SIGTERM)
    assert -signal.SIGKILL == first.wait(), f"{point} was not hit {hit} times"

    lab.spawn(effects=[effect], limits=LIMITS)
    until(lambda: lab.done(effect) == MESSAGES and lab.is_idle(), "all done", within=30)
    finding = check(ids, lab.effects(), [one.message_id for one in lab.dead()])
    assert (NONE, NONE, NONE) == (finding.lost, finding.foreign, finding.contradicted)
    if effect == "transaction":
        assert {} == finding.duplicated
    assert sum(finding.duplicated.values()) <= LIMITS["prefetch"] + LIMITS["batch"]


@pytest.mark.parametrize("point", sorted(RELAY))
@pytest.mark.parametrize("hit", [EARLY, 2])
def test_killed_while_relaying(lab: Lab, point: str, hit: int) -> None:
    """What committed transactions want published reaches the queue whoever dies, each under one id."""
    ids = _publish(lab)
    settings = {"effects": ["transaction"], "limits": LIMITS, "publishes": "out"}
    first = lab.spawn(**settings, failpoints=f"{point}=kill@{hit}")
    assert -signal.SIGKILL == first.wait(), f"{point} was not hit {hit} times"

    lab.spawn(**settings)
    until(lambda: lab.done("transaction") == MESSAGES and lab.ledger.outbox.count() == 0, "all", within=30)
    with lab.broker.subscribe("out", "default") as subscription:
        out: dict[str, str] = {}
        while taken := subscription.receive(100, 0.5):
            decoded = [envelope.decode(one.headers, one.body) for one in taken]
            out.update({message.id: message.data for message in decoded})
            subscription.acknowledge(taken)
    assert sorted(ids) == sorted(out.values())


def _publish(lab: Lab, ahead: float = 0.3) -> list[str]:
    """Some for so many seconds later, so that messages are parked and taken from the ledger when due."""
    soon = datetime.now(UTC) + timedelta(seconds=ahead)
    later = [Message.of(n, deliver_at=soon + timedelta(seconds=0.1 * (n % 4))) for n in range(20)]
    now = [Message.of(n) for n in range(20, MESSAGES)]
    return lab.publish(*(now[:100] + later[:10] + now[100:] + later[10:]))


def test_killed_again_and_again(lab: Lab) -> None:
    """Thirty deaths at random moments, with two handlers, retries and a second consumer: each effect is right."""
    dice = random.Random(7)
    settings = {"effects": ["transaction", "external"], "limits": LIMITS, "failing": True}
    ids: list[str] = []
    for _ in range(30):
        process = lab.spawn(**settings)
        ids += lab.publish_many(10)
        time.sleep(dice.uniform(0.02, 0.25))
        process.kill()
        process.wait()
    lab.spawn(**settings)
    until(lambda: lab.done("transaction") == len(ids) and lab.done("external") == len(ids), "all", within=60)
    until(lab.is_idle, "idle")

    assert check(ids, lab.effects("transaction"), [one.message_id for one in lab.dead()]).is_clean
    outside = check(ids, lab.effects("external"))
    assert (NONE, NONE) == (outside.lost, outside.foreign)


@pytest.mark.parametrize("effect", ["transaction", "external"])
def test_a_message_that_kills_becomes_poison(lab: Lab, effect: str) -> None:
    """
    A supervisor starts the consumer again whenever it dies. After three deaths with that message alone in hand it is a
    dead letter, and every neighbour, which died with it at first, has been carried out once.
    """
    messages = [Message.of(n) for n in range(20)]
    poison = messages[7].id
    ids = lab.publish(*messages)
    deaths = _supervise(lab, effect, poison, until_done=len(ids) - 1)

    (dead,) = lab.dead()
    assert (poison, "poison", 3) == (dead.message_id, dead.reason, dead.crashes)
    assert 4 == deaths
    effects = lab.effects()
    finding = check(ids, effects, [dead.message_id])
    assert (NONE, NONE, NONE) == (finding.lost, finding.foreign, finding.contradicted)
    if effect == "transaction":
        assert Counter(set(ids) - {poison}) == Counter(effects)


def _supervise(lab: Lab, effect: str, poison: str, until_done: int) -> int:
    """Start it whenever it has died, until so many are done and one is dead; returns how often it died."""
    deaths, deadline = 0, time.monotonic() + 30
    process = lab.spawn(effects=[effect], poison=poison)
    while not (lab.done(effect) == until_done and lab.dead() and lab.is_idle()):
        assert time.monotonic() < deadline, f"{deaths} deaths, {lab.stats(effect)}"
        if process.poll() is not None:
            deaths += 1
            process = lab.spawn(effects=[effect], poison=poison)
        time.sleep(0.02)
    return deaths
