# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whole consumers with batch handlers, over a real queue and ledger."""

from __future__ import annotations

from collections import Counter

from consumer_lab import QUEUE, Lab, until
from sqlalchemy import text

from tickrelay_consumer import DeadLetter, Message, Retry
from tickrelay_consumer.batching import BatchContext

INSERT = text("INSERT INTO effects (handler, id) VALUES ('many', :id)")
QUICK = Retry(first=0.02, factor=1, attempts=2)


def test_a_batch_commits_as_one_and_each_effect_is_there_once(lab: Lab) -> None:
    """In one savepoint; one that was failed by name leaves it whole without that one, a raise undoes all of it."""
    consumer = lab.consumer()
    sizes: list[int] = []

    @consumer.handler(QUEUE, effect="transaction", batch=20, batch_wait=0.1, retry=QUICK)
    def many(messages: list[Message], ctx: BatchContext) -> None:
        sizes.append(len(messages))
        for message in messages:
            ctx.connection.execute(INSERT, {"id": message.id})
            if message.data == 3:
                ctx.fail(message, DeadLetter("never this one"))
            if message.data == 33:
                raise ValueError("the whole batch")

    ids = lab.publish_many(100)
    with lab.running(consumer):
        until(lambda: lab.done("many") == 98 and len(lab.dead()) == 2, "98 done, 2 dead")
    assert Counter(ids[:3] + ids[4:33] + ids[34:]) == Counter(lab.effects())
    assert max(sizes) == 20


def test_an_external_batch_is_settled_message_by_message(lab: Lab) -> None:
    """Done, retried and dead as the handler said of each."""
    consumer = lab.consumer(workers=1)
    seen: Counter[object] = Counter()

    @consumer.handler(QUEUE, batch=50, batch_wait=0.1, retry=QUICK)
    def many(messages: list[Message], ctx: BatchContext) -> None:
        for message in messages:
            seen[message.data] += 1
            if message.data == 7 and ctx.of(message).attempt < 3:
                ctx.fail(message, "not yet")

    lab.publish_many(200)
    with lab.running(consumer):
        until(lambda: lab.done("many") == 200, "all of them")
        until(lab.is_idle, "acknowledged")
    assert 3 == seen.pop(7)
    assert {1} == set(seen.values())
