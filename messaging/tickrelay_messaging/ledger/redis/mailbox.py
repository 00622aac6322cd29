# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The sensors' mailbox in Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.base import Mailbox
from tickrelay_messaging.ledger.keys import SIZE
from tickrelay_messaging.ledger.records import Mail
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.packing import raw_payload, split_payload
from tickrelay_messaging.ledger.redis.scripts import PUT_MAIL, TAKE_MAIL
from tickrelay_messaging.message import Message

_CHUNK = 200


class RedisMailbox(Mailbox):
    """See `base.Mailbox`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, queue: str, group: str, deliveries: Sequence[Delivery]) -> None:
        packed: list[bytes] = []
        for item in deliveries:
            packed += [_key(item), raw_payload(dict(item.headers), item.body)]
        self._store.run(PUT_MAIL, _place(queue, group), *packed)

    def take(self, queue: str, group: str, taker: str, match: Callable[[Message], bool]) -> Mail | None:
        place = _place(queue, group)
        # No number at all: only what it took before.
        if mine := self._store.run(TAKE_MAIL, place, taker, "-"):
            return _mail(*mine)
        for mail in self._free(place):
            if match(mail.message) and (taken := self._store.run(TAKE_MAIL, place, taker, mail.number)):
                return _mail(*taken)
        return None

    def _free(self, place: str) -> Iterator[Mail]:
        """A message that can't be read fits no sensor; it stays in the mailbox to be looked at."""
        after = b"0"
        while True:
            scope = (b"(" + after, "+inf", "LIMIT", 0, _CHUNK)
            (numbers,) = self._store.read(("ZRANGEBYSCORE", "freemail:" + place, *scope))
            if not numbers:
                return
            (found,) = self._store.read(("HMGET", "mail", *numbers))
            for number, kept in zip(numbers, found, strict=True):
                try:
                    yield _mail(int(number), kept)
                except UndecodableMessage:
                    continue
            after = numbers[-1]


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
