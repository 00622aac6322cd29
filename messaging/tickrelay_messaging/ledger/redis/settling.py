# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ending claims: one script for a batch, with one page of history for what is done."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.records import Claim, Failure, Owner, Settlement, Verdict
from tickrelay_messaging.ledger.redis import commands
from tickrelay_messaging.ledger.redis.claiming import CHUNK
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.packing import failure_line, payload_of, special
from tickrelay_messaging.ledger.redis.scripts import SETTLE

_DONE = Verdict.DONE
_PLAINLY_DONE = ord("D")
_LETTERS = {
    Verdict.RETRY: ord("T"),
    Verdict.DEAD: ord("X"),
    Verdict.RELEASE: ord("B"),
    Verdict.CRASHED: ord("C"),
}
_REFUSED = ord("0")
_HEAD = Struct("<BQ4s16s")


class Settling:
    """See `Ledger.settle`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        """See `Ledger.settle`."""
        results: list[bool] = []
        if any(item.commands for item in settlements):
            settlements = [_allowed(item) for item in settlements]
        for at in range(0, len(settlements), CHUNK):
            results += self._settle(owner, settlements[at : at + CHUNK])
        return results

    def _settle(self, owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        number = owner.number.to_bytes(4, "little")
        claims = [item.claim for item in settlements]
        letters = [_letter(item) for item in settlements]
        heads = [
            _HEAD.pack(letter, claim.fence, number, claim.key)
            for letter, claim in zip(letters, claims, strict=True)
        ]
        specials = [
            _special(item)
            for item, letter in zip(settlements, letters, strict=True)
            if letter != _PLAINLY_DONE
        ]
        page = self._page(claims) if any(item.verdict is _DONE for item in settlements) else b""
        answer = self._store.run(SETTLE, owner.name, page, b"".join(heads), *specials)
        accepted = [letter != _REFUSED for letter in answer]
        self._settled(claims, accepted)
        return accepted

    def _settled(self, claims: Sequence[Claim], accepted: Sequence[bool]) -> None:
        # A route itself is slow to hash; mostly all claims have the same one.
        by_object = Counter([id(claim.route) for claim, is_ok in zip(claims, accepted, strict=True) if is_ok])
        routes = {id(claim.route): claim.route for claim in claims}
        for name, number in by_object.items():
            self._store.losses.claimed({routes[name]: -number})

    def _page(self, claims: Sequence[Claim]) -> bytes:
        """What people may want to read of them, by columns; the script adds when, by whom and which."""
        names = self._names
        messages = [claim.message for claim in claims]
        columns = {
            "i": [message.id for message in messages],
            "s": _short([message.source for message in messages], names.source),
            "r": _short([claim.route for claim in claims], names.route),
            "b": _short([message.extensions.get("batchid") for message in messages], names.batch),
            "a": _short([claim.attempt for claim in claims], int),
            "c": _short([claim.fence for claim in claims], int),
            "p": [message.time and int(message.time.timestamp() * 1000) for message in messages],
        }
        return zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), 1)


def _short(values: Sequence[Any], translate: Callable[[Any], Any]) -> Any:
    """A column: one value where all are the same."""
    if values.count(values[0]) == len(values):
        return translate(values[0])
    return [translate(value) for value in values]


def _allowed(item: Settlement) -> Settlement:
    """One message's commands that aren't allowed mustn't keep its batch: it dies of them."""
    try:
        commands.packed(item.commands)
    except ConfigurationError as error:
        failure = Failure("CommandRefused", str(error))
        return Settlement(item.claim, Verdict.DEAD, failure=failure)
    return item


def _letter(item: Settlement) -> int:
    if item.verdict is _DONE:
        return ord("E") if item.commands else _PLAINLY_DONE
    return _LETTERS[item.verdict]


def _special(item: Settlement) -> bytes:
    about: dict[str, Any] = {}
    if item.verdict in (Verdict.RETRY, Verdict.CRASHED):
        about["d"] = repr(item.due)
    if item.ambiguous:
        about["m"] = True
    if item.verdict not in (Verdict.RELEASE, Verdict.DONE):
        about["f"] = failure_line(item.failure)
    payload = b"" if item.claim.held else payload_of(item.claim.message)
    sized = len(payload).to_bytes(4, "little") + payload
    return special(about, sized + commands.packed(item.commands))
