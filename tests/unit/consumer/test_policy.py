# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a handler may ask for, and chains of a key's messages without broker and ledger."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from runner_lab import RunnerLab, until

from tickrelay_consumer import Consumer, Context, DeadLetter, Message
from tickrelay_consumer.engine.work import Work
from tickrelay_consumer.handlers import Handler, Retry
from tickrelay_messaging.errors import CallerError, ConfigurationError
from tickrelay_messaging.ledger.records import Claim, KeyRule, Outcome, Route, Verdict


def nothing(message: Message, ctx: Context) -> None:
    """A handler."""


def registered(**wishes: Any) -> Handler:
    """A handler that asks for these."""
    consumer = Consumer("memory://", "sqlite:///nowhere.db")
    consumer.handler("orders", **wishes)(nothing)
    return consumer.handlers[0]


@pytest.mark.parametrize(
    ("wishes", "rule"),
    [
        ({}, KeyRule.NONE),
        ({"key_order": True}, KeyRule.ORDER),
        ({"key_order": "strict"}, KeyRule.STRICT),
        ({"singleton": True}, KeyRule.SINGLETON),
    ],
)
def test_rules(wishes: dict[str, Any], rule: KeyRule) -> None:
    """What is asked for is the rule the ledger is told."""
    assert rule is registered(**wishes).rule


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"key_order": "sometimes"}, "key_order must be"),
        ({"key_order": True, "singleton": True}, "leave one of them away"),
        ({"key_order": True, "batch": 10}, "batch="),
        ({"singleton": True, "batch": 10}, "batch="),
        ({"on_ambiguous": "hope"}, "on_ambiguous must be one of"),
        ({"on_ambiguous": "verify"}, "verify= function"),
        ({"on_ambiguous": "retry", "verify": nothing}, "verify= function"),
        ({"on_ambiguous": "quarantine", "effect": "transaction"}, "never in doubt"),
        ({"on_ambiguous": "quarantine", "batch": 10}, "batch="),
        ({"effect": "redis", "mode": "process"}, "mode='process'"),
    ],
)
def test_what_doesnt_go_together_is_refused(wishes: dict[str, Any], told: str) -> None:
    """When it is registered, by name and with what to do."""
    with pytest.raises(ConfigurationError, match=told) as caught:
        registered(**wishes)
    assert "nothing" in str(caught.value)


def context(*, ambiguous: bool) -> Context:
    """Of a first attempt."""
    claim = Claim(Outcome.RUN, Route("q", "g", "h"), bytes(16), Message.of(1), ambiguous=ambiguous)
    return Context(claim)


def test_quarantine() -> None:
    """Only what is in doubt isn't run, and a person is told what to do."""
    handler = registered(on_ambiguous="quarantine")
    handler.function(Message.of(1), context(ambiguous=False))
    with pytest.raises(DeadLetter, match="replay this message or discard it"):
        handler.function(Message.of(1), context(ambiguous=True))


@pytest.mark.parametrize(("is_there", "expected"), [(True, []), (False, ["ran"])])
def test_verify(is_there: bool, expected: list[str]) -> None:
    """What has had its effect is done without being run."""
    consumer = Consumer("memory://", "sqlite:///nowhere.db")
    ran: list[str] = []

    @consumer.handler("orders", verify=lambda message, ctx: is_there)
    def run(message: Message, ctx: Context) -> None:
        ran.append("ran")

    consumer.handlers[0].function(Message.of(1), context(ambiguous=True))
    assert expected == ran


@pytest.mark.parametrize("what", ["connection", "publish", "step", "redis"])
def test_what_an_effect_hasnt(what: str) -> None:
    """Said by name, with the effect that has it."""
    ctx = context(ambiguous=False)
    with pytest.raises(CallerError, match=f"has no {what}; declare it with effect="):
        getattr(ctx, what)(*{"publish": ("q", 1), "step": ("s", int), "redis": ("PING",)}.get(what, ()))


def put(lab: RunnerLab, name: str, *ids: str, key: str | None = "k") -> None:
    """Messages of a key."""
    handler = lab.handlers[name]
    route = handler.route("g")
    messages = [replace(Message.of(id_, id=id_), key=key) for id_ in ids]
    lab.dispatcher.put(
        [Work(Claim(Outcome.RUN, route, bytes(16), one, fence=1), handler) for one in messages]
    )


def test_a_key_is_one_after_the_other() -> None:
    """However many threads there are; other keys run beside it."""
    consumer = Consumer("memory://", "sqlite:///nowhere.db")
    running: list[str] = []
    most: list[int] = []
    order: list[str] = []

    @consumer.handler("orders", key_order=True)
    def take(message: Message, ctx: Context) -> None:
        running.append(message.id)
        most.append(len(running))
        order.append(message.id)
        running.remove(message.id)

    count = 40
    ids = [f"m{number}" for number in range(count)]
    with RunnerLab(consumer.handlers, workers=8) as lab:
        put(lab, "take", *ids[: count // 2])
        put(lab, "take", *ids[count // 2 :])
        until(lambda: len(lab.results) == count)
    assert ids == order
    assert 1 == max(most)


@pytest.mark.parametrize(
    ("rule", "attempts", "verdicts"),
    [
        (True, 1, [Verdict.RETRY, Verdict.RELEASE, Verdict.RELEASE]),
        (True, 0, [Verdict.DEAD, Verdict.DONE, Verdict.DONE]),
        ("strict", 0, [Verdict.DEAD, Verdict.RELEASE, Verdict.RELEASE]),
    ],
)
def test_those_behind_a_failure(rule: Any, attempts: int, verdicts: list[Verdict]) -> None:
    """They are given back unbegun, the last one first; a dead one is stepped over, unless the order is strict."""
    consumer = Consumer("memory://", "sqlite:///nowhere.db")
    began: list[str] = []

    @consumer.handler("orders", key_order=rule, retry=Retry(attempts=attempts))
    def take(message: Message, ctx: Context) -> None:
        began.append(message.id)
        if message.id == "a":
            raise ValueError("no")

    with RunnerLab(consumer.handlers, workers=4) as lab:
        put(lab, "take", "a", "b", "c")
        put(lab, "take", "x", "y", key=None)
        until(lambda: len(lab.results) == 5)
        put(lab, "take", "d")
        until(lambda: len(lab.results) == 6)
    found = {result.work.claim.message.id: result.verdict for result in lab.results}
    assert [*verdicts, Verdict.DONE] == [found[name] for name in "abcd"]
    released = [result.work.claim.message.id for result in lab.results if result.verdict is Verdict.RELEASE]
    assert sorted(released, reverse=True) == released
    assert not set(released) & set(began)
