# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The sensors' mailbox in Redis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b

from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.keys import SIZE
from tickrelay_messaging.ledger.mailbox import PAGE, Mailbox
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.packing import raw_payload, split_payload
from tickrelay_messaging.ledger.redis.scripts import FORGET_MAIL, GIVE_MAIL, PUT_MAIL


class RedisMailbox(Mailbox):
    """See `ledger.mailbox.Mailbox`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, queue: str, group: str, deliveries: Sequence[Delivery]) -> None:
        packed: list[bytes] = []
        for item in deliveries:
            packed += [_key(item), raw_payload(dict(item.headers), item.body)]
        self._store.run(PUT_MAIL, _place(queue, group), *packed)

    def free(self, queue: str, group: str, *, after: int = 0, limit: int = PAGE) -> list[Mail]:
        return self._page("freemail:" + _place(queue, group), after, limit, since=0.0)

    def all(
        self, queue: str, group: str, *, since: float = 0.0, after: int = 0, limit: int = PAGE
    ) -> list[Mail]:
        return self._page("allmail:" + _place(queue, group), after, limit, since)

    def held(self, queue: str, group: str, takers: Sequence[str]) -> dict[str, Mail]:
        if not takers:
            return {}
        (numbers,) = self._store.read(("HMGET", "takers:" + _place(queue, group), *takers))
        holding = [(taker, int(found)) for taker, found in zip(takers, numbers, strict=True) if found]
        mails = self._read([number for _, number in holding])
        return {taker: mails[number] for taker, number in holding if number in mails}

    def give(self, queue: str, group: str, gifts: Sequence[tuple[int, str]]) -> list[Mail | None]:
        if not gifts:
            return []
        pairs = [argument for gift in gifts for argument in gift]
        numbers = self._store.run(GIVE_MAIL, _place(queue, group), *pairs)
        mails = self._read([number for number in numbers if number])
        return [mails.get(number) for number in numbers]

    def forget(self, before: float, *, limit: int = PAGE) -> int:
        (places,) = self._store.read(("SMEMBERS", "mailplaces"))
        return sum(int(self._store.run(FORGET_MAIL, place, repr(before), limit)) for place in places)

    def _page(self, name: str, after: int, limit: int, since: float) -> list[Mail]:
        """The next page with anything readable in it."""
        while True:
            scope = (f"({after}", "+inf", "LIMIT", 0, limit)
            (numbers,) = self._store.read(("ZRANGEBYSCORE", name, *scope))
            found = self._read([int(number) for number in numbers])
            mails = [mail for mail in found.values() if mail.received_at >= since]
            if mails or len(numbers) < limit:
                return mails
            after = int(numbers[-1])

    def _read(self, numbers: Sequence[int]) -> dict[int, Mail]:
        """
        A message that can't be read fits no sensor; it stays in the mailbox to be looked at. One that was forgotten
        since its number was read isn't there any more.
        """
        if not numbers:
            return {}
        (kept,) = self._store.read(("HMGET", "mail", *numbers))
        found: dict[int, Mail] = {}
        for number, raw in zip(numbers, kept, strict=True):
            if raw is not None:
                with suppress(UndecodableMessage):
                    found[number] = _mail(number, raw)
        return found


def _place(queue: str, group: str) -> str:
    return json.dumps([queue, group])


def _key(item: Delivery) -> bytes:
    """By source and id where the message has them; one without is known by its place on the queue."""
    try:
        message = envelope.decode(item.headers, item.body)
        name = (message.source, message.id)
    except UndecodableMessage:
        name = ("", item.position)
    return blake2b(json.dumps(name).encode(), digest_size=SIZE).digest()


def _mail(number: int, kept: bytes) -> Mail:
    received, payload = kept.split(b"\n", 1)
    return Mail(number=number, message=envelope.decode(*split_payload(payload)), received_at=float(received))
