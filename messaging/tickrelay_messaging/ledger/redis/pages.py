# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The pages of history: what was done, a page a settled batch, and what else came to an end."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

from tickrelay_messaging.ledger.redis.connecting import Store

_HEAD = Struct("<dHH")
PLACES = 1_024
"""More than a page has entries: an entry's number is its page's times this, plus its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message with one handler at its end. Route, source and batch by number; `code` as in a mark."""

    number: int
    message_id: str
    source: int
    route: int
    batch: int
    code: int
    attempts: int
    ended_at: float
    owner: str
    claimed_at: float | None = None
    published_at: float | None = None


class Pages:
    """Reads pages, and what failed on the way."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chapters(self) -> list[tuple[int, int]]:
        """First page and name of each part of history that is still kept, oldest first."""
        (flat,) = self._store.read(("HGETALL", "histories"))
        return sorted((int(first), int(name)) for name, first in zip(flat[::2], flat[1::2], strict=True))

    def read(self, numbers: Sequence[int]) -> dict[int, list[Entry]]:
        """Entries by page; pages that are gone are missing."""
        chapters = self.chapters()
        firsts = [first for first, _ in chapters]
        places = {n: chapters[at - 1][1] for n in numbers if (at := bisect_right(firsts, n))}
        answers = self._store.read(*[("HGET", f"h:{name}", number) for number, name in places.items()])
        return {
            number: list(_entries(number, blob))
            for number, blob in zip(places, answers, strict=True)
            if blob is not None
        }

    def of_batches(self, batches: Sequence[int], after: int) -> list[int]:
        """Pages on which any of these batches is, in their order."""
        commands = [
            ("LRANGE", f"hb:{name}:{batch}", 0, -1) for _, name in self.chapters() for batch in batches
        ]
        found = {int(number) for answer in self._store.read(*commands) for number in answer}
        return sorted(number for number in found if number >= after // PLACES)

    def failures(self, keys: Sequence[bytes]) -> dict[bytes, list[tuple[list[Any], dict[str, str]]]]:
        """What failed by key: [at, attempt, what, by] and the failure."""
        found: dict[bytes, list[tuple[list[Any], dict[str, str]]]] = {}
        if not keys:
            return found
        chapters = self.chapters()
        commands: list[Sequence[str | bytes | int]] = [("HMGET", f"f:{name}", *keys) for _, name in chapters]
        answers = self._store.read(*commands)
        for answer in answers:
            for key, lines in zip(keys, answer, strict=True):
                for line in (lines or b"").splitlines():
                    head, _, failure = line.partition(b"\t")
                    found.setdefault(key, []).append((json.loads(head), json.loads(failure)))
        return found


def _entries(page: int, blob: bytes) -> Iterator[Entry]:
    if blob[:1] == b"J":
        one = json.loads(blob[1:])
        yield Entry(
            number=page * PLACES,
            message_id=one["i"],
            source=one["s"],
            route=one["r"],
            batch=one["b"],
            code=one["z"],
            attempts=one["a"],
            ended_at=float(one["e"]),
            owner=one["o"],
        )
        return
    ended_at, count, name_size = _HEAD.unpack_from(blob, 1)
    results = blob[1 + _HEAD.size : 1 + _HEAD.size + count]
    rest = blob[1 + _HEAD.size + count :]
    columns = json.loads(zlib.decompress(rest[name_size:]))
    for place in range(count):
        if results[place] == ord("2"):
            row = {name: _at(column, place) for name, column in columns.items()}
            yield Entry(
                number=page * PLACES + place,
                message_id=row["i"],
                source=row["s"],
                route=row["r"],
                batch=row["b"],
                code=1,
                attempts=row["a"],
                ended_at=ended_at,
                owner=rest[:name_size].decode(),
                claimed_at=row["c"] / 1e6,
                published_at=row["p"] / 1000 if row["p"] else None,
            )


def _at(column: Any, place: int) -> Any:
    return column[place] if isinstance(column, list) else column
