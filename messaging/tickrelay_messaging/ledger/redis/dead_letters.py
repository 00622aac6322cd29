# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Dead letters in Redis: a record each, in their order; conditions are looked at here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.ledger.base import DeadLetters
from tickrelay_messaging.ledger.keys import key_of
from tickrelay_messaging.ledger.records import DeadFilter, DeadGroup, DeadLetter, Failure, Route
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.packing import failure_line, raw_payload, split_payload, tail
from tickrelay_messaging.ledger.redis.scripts import BURY, DISCARD, REPLAY
from tickrelay_messaging.message import Message

_CHUNK = 500
Groups = list[DeadGroup]


class RedisDeadLetters(DeadLetters):
    """See `base.DeadLetters`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def list(self, where: DeadFilter, *, after: int = 0, limit: int = 50) -> list[DeadLetter]:
        found: list[DeadLetter] = []
        for letter, _, _ in self._matching(where, after):
            if len(found) == limit:
                break
            found.append(replace(letter, stack=""))
        return found

    def show(self, number: int) -> DeadLetter | None:
        for letter, key, stack in self._matching(DeadFilter(numbers=(number,)), 0):
            (kept,) = self._store.read(("HGET", "payloads", key))
            headers, body = split_payload(kept or b"")
            return replace(letter, headers=headers, body=body, stack=stack)
        return None

    def count(self, where: DeadFilter) -> int:
        if where == DeadFilter():
            return int(self._store.read(("ZCARD", "deads"))[0])
        return sum(1 for _ in self._matching(where, 0))

    def groups(self, where: DeadFilter) -> Groups:
        found: dict[tuple[Route, str, str], DeadGroup] = {}
        for letter, _, _ in self._matching(where, 0):
            kind, _, text = letter.error.partition(": ")
            place, at = (letter.route, letter.reason, kind), letter.died_at
            known = found.get(place)
            if known is None:
                found[place] = DeadGroup(
                    route=letter.route,
                    reason=letter.reason,
                    kind=kind,
                    count=1,
                    oldest=at,
                    newest=at,
                    example=text,
                )
            else:
                found[place] = replace(
                    known,
                    count=known.count + 1,
                    newest=max(known.newest, at),
                    oldest=min(known.oldest, at),
                    example=text,
                )
        return sorted(found.values(), key=lambda group: -group.count)

    def replay(self, where: DeadFilter, *, by: str) -> int:
        failure = failure_line(Failure(by, ""))
        return self._change(where, lambda numbers: self._store.run(REPLAY, by, failure, *numbers))

    def discard(self, where: DeadFilter, *, by: str, reason: str) -> int:
        failure = failure_line(Failure(by, reason))
        return self._change(where, lambda numbers: self._store.run(DISCARD, by, failure, reason, *numbers))

    def bury(self, route: Route, deliveries: Sequence[Delivery], failure: Failure) -> None:
        """See `Ledger.bury`."""
        if not deliveries:
            return
        source = f"/tickrelay/undecodable/{route.queue}"
        packed: list[bytes] = []
        for item in deliveries:
            packed += _packed(self._names, route, source, item)
        where = (self._names.route(route), self._names.group(route.group), source)
        self._store.run(BURY, *where, failure_line(failure), *packed)

    def keys_of(self, where: DeadFilter) -> Sequence[tuple[bytes, Route]]:
        """Keys of those that match."""
        return [(key, letter.route) for letter, key, _ in self._matching(where, 0)]

    def _change(self, where: DeadFilter, change: Callable[[Sequence[int]], Sequence[bytes]]) -> int:
        """Those there are now: what dies again meanwhile isn't taken twice."""
        numbers = [letter.number for letter, _, _ in self._matching(where, 0)]
        chunks = [numbers[at : at + _CHUNK] for at in range(0, len(numbers), _CHUNK)]
        return sum(len(change(chunk)) for chunk in chunks)

    def _matching(self, where: DeadFilter, after: int) -> Iterator[tuple[DeadLetter, bytes, str]]:
        """Letter, key and stack of each, oldest first."""
        for numbers in self._numbers(where, after):
            (found,) = self._store.read(("HMGET", "dead", *numbers))
            for number, kept in zip(numbers, found, strict=True):
                if kept is not None:
                    letter, stack = self._letter(int(number), kept[16:])
                    if _fits(where, letter):
                        yield letter, kept[:16], stack

    def _numbers(self, where: DeadFilter, after: int) -> Iterator[Sequence[bytes]]:
        """In chunks; those asked for by number, or all of now."""
        if where.numbers:
            wanted = sorted(number for number in set(where.numbers) if number > after)
            chunks = [wanted[at : at + _CHUNK] for at in range(0, len(wanted), _CHUNK)]
            yield from ([b"%d" % number for number in chunk] for chunk in chunks)
            return
        (last,) = self._store.read(("ZREVRANGE", "deads", 0, 0))
        while last:
            scope = (f"({after}", last[0])
            (numbers,) = self._store.read(("ZRANGEBYSCORE", "deads", *scope, "LIMIT", 0, _CHUNK))
            if not numbers:
                return
            yield numbers
            after = int(numbers[-1])

    def _letter(self, number: int, kept: bytes) -> tuple[DeadLetter, str]:
        head, failed = (json.loads(part) for part in kept.split(b"\n", 1))
        letter = DeadLetter(
            number=number,
            route=self._names.route_of(head["r"]),
            message_id=head["i"],
            source=head["s"],
            reason=head["w"],
            error=f"{failed['k']}: {failed['x']}",
            attempts=head["a"],
            crashes=head["c"],
            died_at=float(head["t"]),
        )
        return letter, failed["t"]


def _fits(where: DeadFilter, letter: DeadLetter) -> bool:
    route = letter.route
    wanted = (where.queue, where.group, where.handler, where.message_id, where.kind)
    have = (route.queue, route.group, route.handler, letter.message_id, letter.error.partition(": ")[0])
    if any(want and want != has for want, has in zip(wanted, have, strict=True)):
        return False
    return not where.error or where.error.lower() in letter.error.lower()


def _packed(names: Names, route: Route, source: str, item: Delivery) -> tuple[bytes, bytes, bytes]:
    name = item.headers.get("ce_id") or item.headers.get("ce-id") or f"position-{item.position}"
    batch = item.headers.get("ce_batchid") or item.headers.get("ce-batchid")
    extensions = {"batchid": batch} if batch else {}
    message = Message(id=name, source=source, body=item.body, content_type=None, extensions=extensions)
    key = key_of(route, source, f"{item.position}/{name}")
    return key, tail(names, message), raw_payload(dict(item.headers), item.body)
