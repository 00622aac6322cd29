# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The desk: one pass over new mail gives messages out to any number of waiting sensors."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tickrelay_airflow.triggers import wishes
from tickrelay_airflow.triggers.desk import Desk
from tickrelay_airflow.waiting.conditions import Arrived
from tickrelay_airflow.waiting.matching import matcher
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.errors import LedgerUnavailable
from tickrelay_messaging.ledger.mailbox import PAGE
from tickrelay_messaging.message import Message


class Somebody:
    """Waits, and remembers what it was told."""

    def __init__(self, name: str, match=None, **arguments) -> None:
        self.condition = Arrived("q", "g", taker=name, match=match, **arguments)
        self.told: list = []

    def fulfil(self, outcome) -> None:
        self.told.append(outcome["message_id"])

    def fail(self, error) -> None:
        self.told.append(type(error).__name__)


class Counting:
    """The mailbox, and how often it was asked what."""

    def __init__(self, mailbox) -> None:
        self._mailbox = mailbox
        self.asked: list[str] = []

    def __getattr__(self, name):
        self.asked.append(name)
        return getattr(self._mailbox, name)


class Asked:
    """A ledger that counts."""

    def __init__(self, ledger) -> None:
        self.mailbox = Counting(ledger.mailbox)


@pytest.fixture
def ledger(hook):
    return Asked(hook.ledger)


@pytest.fixture
def put(hook):
    """Put messages into the mailbox: `put(Message, ...)`."""

    def enter(*messages: Message) -> None:
        hook.ledger.mailbox.put("q", "g", [Delivery("q", "g", m.id, encode(m), m.body) for m in messages])

    return enter


def joined(*waiters: Somebody) -> Desk:
    desk = Desk("q", "g")
    for waiter in waiters:
        desk.join(waiter)
    return desk


def test_a_message_goes_to_who_has_waited_longest(ledger, put):
    """Among all it is for, however they describe it."""
    first, second, third = (
        Somebody("1", {"key": "other"}),
        Somebody("2", {"data": {"n": 1}}),
        Somebody("3"),
    )
    desk = joined(first, second, third)
    put(Message.of({"n": 1}, id="a"), Message.of({"n": 1}, id="b"))
    desk.serve(ledger)

    assert ([], ["a"], ["b"]) == (first.told, second.told, third.told)


def test_who_comes_later_gets_what_was_left(ledger, put):
    """What nobody wanted is kept in mind, also for a kind of wish that is new; each is given once."""
    desk = joined(Somebody("nobody", {"type": "never"}))
    put(*(Message.of({"n": number}, id=f"m{number}", key=f"k{number}") for number in range(4)))
    desk.serve(ledger)
    late = [
        Somebody("a", {"key": "k2"}),
        Somebody("b", {"data": {"n": 2}}),
        Somebody("c", {"key": "k3"}),
        Somebody("d"),
        Somebody("e", {"type": "never"}),
    ]
    for waiter in late:
        desk.join(waiter)
        desk.serve(ledger)

    assert [["m2"], [], ["m3"], ["m0"], []] == [waiter.told for waiter in late]


def test_questions_don_t_grow_with_who_waits(ledger, put):
    """A thousand waiting and ten thousand unwanted messages: a round without news costs one question."""
    put(*(Message.of(number, id=f"m{number}", key="unwanted") for number in range(1_000)))
    crowd = [Somebody(f"{number}", {"key": f"k{number}"}) for number in range(1_000)]
    desk = joined(*crowd)
    desk.serve(ledger)
    ledger.mailbox.asked.clear()
    desk.serve(ledger)
    idle = list(ledger.mailbox.asked)
    put(*(Message.of(number, id=f"w{number}", key=f"k{number}") for number in range(0, 1_000, 10)))
    ledger.mailbox.asked.clear()
    desk.serve(ledger)

    assert ["held", "free"] == [name for name in idle if name != "give"]
    assert 3 >= ledger.mailbox.asked.count("free")
    assert [f"w{number}" for number in range(0, 1_000, 10)] == [one for w in crowd for one in w.told]


def test_another_is_quicker(ledger, put, hook):
    """What another process has taken meanwhile isn't given; the waiter gets the next one that fits."""
    waiter = Somebody("w")
    desk = joined(Somebody("x", {"type": "never"}))
    put(*(Message.of(number, id=f"m{number}") for number in range(3)))
    desk.serve(ledger)
    numbers = [mail.number for mail in hook.ledger.mailbox.free("q", "g")]
    hook.ledger.mailbox.give("q", "g", [(numbers[0], "else"), (numbers[1], "somebody")])
    desk.join(waiter)
    desk.serve(ledger)

    assert ["m2"] == waiter.told


def test_an_answer_that_is_lost(ledger, put, hook, monkeypatch):
    """An answer of the ledger got lost: the taker is told of the message it holds, and isn't given a second."""
    waiter = Somebody("w")
    desk = joined(waiter)
    desk.serve(ledger)
    put(Message.of(1, id="m1"), Message.of(2, id="m2"))
    give = hook.ledger.mailbox.give

    def lose(*arguments):
        monkeypatch.undo()
        give(*arguments)
        raise LedgerUnavailable("the answer is lost")

    monkeypatch.setattr(hook.ledger.mailbox, "give", lose)
    with suppress(LedgerUnavailable):
        desk.serve(ledger)
    desk.serve(ledger)

    assert ["m1"] == waiter.told
    assert ["m2"] == [mail.message.id for mail in hook.ledger.mailbox.free("q", "g")]


def test_more_than_can_be_kept_in_mind(ledger, put, monkeypatch):
    """Then the ledger is looked through: slower, and right."""
    monkeypatch.setattr(wishes, "MOST_KEPT", 2)
    desk = joined(Somebody("x", {"type": "never"}))
    put(*(Message.of(number, id=f"m{number}", key=f"k{number}") for number in range(6)))
    desk.serve(ledger)
    late = [Somebody("a", {"key": "k5"}), Somebody("b"), Somebody("c"), Somebody("d")]
    for waiter in late:
        desk.join(waiter)
    desk.serve(ledger)

    assert [["m5"], ["m0"], ["m1"], ["m2"]] == [waiter.told for waiter in late]


def test_who_has_left_gets_nothing(ledger, put, hook):
    """A message is left for the others."""
    gone, stays = Somebody("gone"), Somebody("stays")
    desk = joined(gone, stays)
    assert 1 == desk.leave(gone)
    put(Message.of(1, id="m1"))
    desk.serve(ledger)

    assert ([], ["m1"]) == (gone.told, stays.told)


def test_a_later_onlooker_hides_nothing_from_the_others(ledger, put, hook):
    """What came for those who wait, and wasn't shown yet, is shown, though it came before the newcomer's instant."""
    first = Somebody("1", consume=False)
    later = Somebody("2", consume=False, since=hook.ledger.now() + 3_600)
    desk = joined(first)
    desk.serve(ledger)
    put(Message.of(1, id="m1"))
    desk.join(later)
    desk.serve(ledger)

    assert (["m1"], []) == (first.told, later.told)


def test_an_onlooker_sees_what_others_saw_before(ledger, put, hook):
    """Who comes late sees the first that has come since its instant, though the desk has shown it to others."""
    now = hook.ledger.now()
    late = Somebody("late", {"key": "b"}, consume=False, since=now - 3_600)
    desk = joined(Somebody("x", {"type": "never"}, consume=False, since=now - 60))
    put(Message.of(0, id="m0", key="a"), Message.of(1, id="m1", key="b"))
    desk.serve(ledger)
    put(Message.of(2, id="m2", key="b"))
    desk.join(late)
    desk.serve(ledger)

    assert ["m1"] == late.told


def test_looking_back_no_further_than_who_has_come(ledger, put, hook):
    """What was long seen by who waits isn't read again for one who wants news only."""
    desk = joined(Somebody("old", {"type": "never"}, consume=False))
    put(*(Message.of(number, id=f"m{number}") for number in range(3 * PAGE)))
    desk.serve(ledger)
    ledger.mailbox.asked.clear()
    desk.join(Somebody("new", {"type": "never"}, consume=False, since=hook.ledger.now() + 3_600))
    desk.serve(ledger)

    assert ledger.mailbox.asked.count("all") <= 2


def test_nonsense_fails_alone(ledger, put):
    """A wish that can't be read, as from another version, fails its own sensor only; so does a missing ledger."""
    odd, fine = Somebody("odd", "what?"), Somebody("fine")
    desk = joined(odd, fine)
    put(Message.of(1, id="m1"))
    desk.serve(ledger)
    bare = Somebody("bare")
    joined(bare).serve(None)

    assert (["AttributeError"], ["m1"], ["ConfigurationError"]) == (odd.told, fine.told, bare.told)


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        (None, True),
        ({}, True),
        ({"type": "t", "key": None}, True),
        ({"data": {"list": [1, {"a": None}], "n": 1}}, True),
        ({"data": {"n": 1.0}}, True),
        ({"data": {"n": "1"}}, False),
        ({"data": {"missing": None}}, False),
        ({"data": {"null": None}}, True),
        ({"headers": {"h": "v"}, "extensions": {"e": "x"}}, True),
        ({"headers": {"H": "v"}}, False),
    ],
)
def test_equality(match, wanted):
    """Everything named is equal, as JSON is: lists by order, mappings by content, and what is missing is no null."""
    data = {"n": 1, "list": [1, {"a": None}], "null": None}
    message = Message.of(data, id="m", type="t", headers={"h": "v"}, extensions={"e": "x"})

    assert wanted == matcher(match)(message)
