# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Batch handlers in threads: what is handed over at once, and what their end means for each message."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from runner_lab import RunnerLab, until

from tickrelay_consumer import Consumer, DeadLetter, Message, Retry
from tickrelay_consumer.batching import BatchContext
from tickrelay_messaging.errors import CallerError, ConfigurationError
from tickrelay_messaging.ledger.records import Verdict


def batches(seen: list[list[Any]], **settings: Any) -> Consumer:
    """A consumer that keeps what it was handed over, and fails what is told to."""
    consumer = Consumer()

    @consumer.handler("orders", retry=Retry(first=1, jitter=0), **settings)
    def many(messages: list[Message], ctx: BatchContext) -> None:
        seen.append([message.data for message in messages])
        for message in messages:
            if message.data == "fail":
                ctx.fail(message, DeadLetter("never"))
            if message.data == "raise":
                raise ValueError("all of it")

    return consumer


def test_full_batches_go_at_once() -> None:
    """Seven by three are two full ones now, and the last when it has waited enough."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=3, batch_wait=0.2).handlers, workers=1) as lab:
        ids = lab.put("many", *range(7))
        assert {Verdict.DONE} == {lab.result(id_).verdict for id_ in ids}
    assert [[0, 1, 2], [3, 4, 5], [6]] == seen


def test_what_comes_in_time_goes_along() -> None:
    """Single messages make a batch as soon as it is full, long before it has waited enough."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=2, batch_wait=60).handlers) as lab:
        (first,), (second,) = lab.put("many", 1), lab.put("many", 2)
        assert Verdict.DONE is lab.result(second).verdict is lab.result(first).verdict
    assert [[1, 2]] == seen


def test_no_more_is_out_than_workers_can_have_in_hand() -> None:
    """Until the ledger has answered for an external batch the next isn't begun: a death repeats one a worker."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=2, batch_wait=0.01).handlers, workers=1) as lab:
        lab.settles = False
        ids = lab.put("many", *range(5))
        assert Verdict.DONE is lab.result(ids[1]).verdict
        lab.put("many", 5)
        assert [[0, 1]] == seen
        lab.settle(lab.results[:1])
        assert [[0, 1]] == seen, "half a batch is no room for a whole one"
        lab.settles = True
        lab.settle(list(lab.results))
        until(lambda: len(lab.results) == 6, "the rest")
    assert [[0, 1], [2, 3], [4, 5]] == seen


def test_one_may_fail_alone() -> None:
    """`ctx.fail` is that message's end only, as if a handler of single messages had raised."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=3).handlers) as lab:
        results = [lab.result(id_) for id_ in lab.put("many", 1, "fail", 3)]
    assert [Verdict.DONE, Verdict.DEAD, Verdict.DONE] == [one.verdict for one in results]


def test_raising_fails_all_and_a_second_attempt_is_alone() -> None:
    """A message that makes its batch fail can't make its neighbours dead letters: each is tried again by itself."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=3, batch_wait=60).handlers) as lab:
        results = [lab.result(id_) for id_ in lab.put("many", 1, "raise", 3)]
        assert {Verdict.RETRY} == {one.verdict for one in results}
        again = [lab.result(id_) for id_ in lab.put("many", 1, "raise", 3, attempt=2)]
        assert [Verdict.DONE, Verdict.RETRY, Verdict.DONE] == [one.verdict for one in again]
        assert Verdict.DONE is lab.result(lab.put("many", 9, ambiguous=True)[0]).verdict


def test_a_batch_that_hangs_has_failed_as_a_whole() -> None:
    """Its timeout is the call's, and each of its messages is ambiguous."""
    consumer = Consumer()
    free = threading.Event()

    @consumer.handler("orders", timeout=0.2, batch=2, batch_wait=60)
    def many(messages: list[Message], ctx: BatchContext) -> None:
        free.wait(60)

    with RunnerLab(consumer.handlers, workers=1) as lab:
        results = [lab.result(id_) for id_ in lab.put("many", 1, 2)]
        assert {(Verdict.RETRY, True)} == {(one.verdict, one.ambiguous) for one in results}
        assert 1 == lab.shared.stuck
        free.set()
        until(lambda: lab.shared.stuck == 0, "it has ended")


def test_an_open_batch_is_released_when_it_stops() -> None:
    """What waits for company hasn't begun."""
    seen: list[list[Any]] = []
    with RunnerLab(batches(seen, batch=3, batch_wait=60).handlers) as lab:
        (id_,) = lab.put("many", 1)
        lab.stop(20)
        assert Verdict.RELEASE is lab.result(id_, 1).verdict
    assert [] == seen


def test_a_message_of_another_batch_is_refused() -> None:
    """`ctx.fail` of a message that isn't in the batch is a mistake, and fails the batch."""
    consumer = Consumer()

    @consumer.handler("orders", batch=3, batch_wait=0)
    def many(messages: list[Message], ctx: BatchContext) -> None:
        assert 1 == ctx.of(messages[0]).attempt
        ctx.fail(Message.of(1), "not mine")

    with RunnerLab(consumer.handlers) as lab:
        result = lab.result(lab.put("many", 1)[0])
    assert result.failure
    assert CallerError.__name__ == result.failure.kind


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": 10_001}, {"batch_wait": -1.0}])
def test_a_batch_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """The error names the argument; so does the one about middlewares, which go around single messages."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Consumer().handler("orders", **wrong)(lambda messages, ctx: None)
    with pytest.raises(ConfigurationError, match="middlewares"):
        Consumer(middlewares=[lambda m, c, call: call(m, c)]).handler("orders", batch=2)(lambda m, c: None)
