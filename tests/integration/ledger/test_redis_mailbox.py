# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The mailbox in Redis, where its numbers and what they stand for are read one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from tests.services.redis import RedisServer, emptied, running_server

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.ledger.mailbox import Mailbox
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.ledger.redis import RedisLedger
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.testing.ledger_case import some


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def ledger(server: RedisServer) -> Iterator[RedisLedger]:
    """An empty one."""
    with emptied(server), RedisLedger(f"redis://127.0.0.1:{server.port}/0") as ledger:
        yield ledger


def free(mailbox: Mailbox) -> Sequence[Mail | None]:
    return mailbox.free("q", "g")


def free_in_pages(mailbox: Mailbox) -> Sequence[Mail | None]:
    return mailbox.free("q", "g", limit=1)


def shown(mailbox: Mailbox) -> Sequence[Mail | None]:
    return mailbox.all("q", "g")


def held(mailbox: Mailbox) -> Sequence[Mail | None]:
    found = mailbox.held("q", "g", ["ann", "bob"])
    return [found.get("ann"), found.get("bob")]


def given(mailbox: Mailbox) -> Sequence[Mail | None]:
    return mailbox.give("q", "g", [(1, "ann"), (2, "bob")])


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (free, ["m1"]),
        (free_in_pages, ["m1"]),
        (shown, ["m1"]),
        (held, [None, "m1"]),
        (given, [None, "m1"]),
    ],
)
def test_what_is_forgotten_meanwhile_is_left_out(
    ledger: RedisLedger,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Mailbox], Sequence[Mail | None]],
    expected: list[str | None],
) -> None:
    """Mail that goes between the look for its number and the look for it isn't there; the rest is."""
    messages = some(2)
    ledger.mailbox.put("q", "g", [Delivery("q", "g", one.id, encode(one), one.body) for one in messages])
    if ask is held:
        given(ledger.mailbox)
    read = Store.read

    def forget_first(self: Store, *commands: Sequence[Any]) -> list[Any]:
        if commands[0][1] == "mail":
            monkeypatch.undo()
            assert 1 == ledger.mailbox.forget(ledger.now() + 60, limit=1)
        return read(self, *commands)

    monkeypatch.setattr(Store, "read", forget_first)

    assert expected == [mail and mail.message.id for mail in ask(ledger.mailbox)]
