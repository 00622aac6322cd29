# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Claiming what was just received, and holding what takes long."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tickrelay_messaging.errors import LedgerUnavailable
from tickrelay_messaging.ledger.keys import key_of, other_payload_key
from tickrelay_messaging.ledger.records import Claim, Failure, KeyRule, Outcome, Owner, Route
from tickrelay_messaging.ledger.redis.connecting import Store
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.redis.packing import extras, failure_line, payload_of, special, tail
from tickrelay_messaging.ledger.redis.scripts import CLAIM, HOLD
from tickrelay_messaging.message import Message

CHUNK = 512
"""Messages in one script, so that no other waits long."""
_OUTCOMES = {
    "U": Outcome.DUPLICATE,
    "P": Outcome.PARKED,
    "M": Outcome.MISMATCH,
    "E": Outcome.EXPIRED,
    "V": Outcome.REVOKED,
    "S": Outcome.SKIPPED,
}


_RUN = Outcome.RUN


@dataclass(frozen=True, slots=True)
class _Question:
    """Who asks for which messages; `keys` are those of `messages`."""

    owner: Owner
    route: Route
    rule: KeyRule
    keys: Sequence[bytes]
    messages: Sequence[Message]

    def is_plain(self) -> bool:
        """Whether all that must be told of each is its id."""
        return self.rule is KeyRule.NONE and all(
            message.expires is None and message.deliver_at is None and "scheduleid" not in message.extensions
            for message in self.messages
        )


class Claiming:
    """See `Ledger.claim` and `Ledger.hold`."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self._fence = 0
        self._doubtful: dict[tuple[int, bytes], int] = {}

    def claim(self, owner: Owner, route: Route, messages: Sequence[Message], rule: KeyRule) -> list[Claim]:
        """See `Ledger.claim`."""
        claims: list[Claim] = []
        for at in range(0, len(messages), CHUNK):
            claims += self._claim(owner, route, messages[at : at + CHUNK], rule)
        running = sum([claim.outcome is _RUN for claim in claims])
        self._store.losses.claimed({route: running})
        return claims

    def hold(self, owner: Owner, claims: Sequence[Claim]) -> list[bool]:
        """See `Ledger.hold`."""
        if not claims:
            return []
        packed = [_hand(claim) + payload_of(claim.message) for claim in claims]
        answers = self._store.run(HOLD, owner.number.to_bytes(4, "little"), *packed)
        return [letter == ord("1") for letter in answers]

    def _claim(self, owner: Owner, route: Route, messages: Sequence[Message], rule: KeyRule) -> list[Claim]:
        keys = [key_of(route, message.source, message.id) for message in messages]
        claims: dict[int, Claim] = {}
        wanted: Sequence[int] = range(len(messages))
        asked = _Question(owner, route, rule, keys, messages)
        needed = False
        while wanted:
            try:
                fence, letters = self._ask(owner, route, self._packed_all(asked, wanted, needed=needed))
            except LedgerUnavailable:
                self._doubtful.update({(owner.number, keys[place]): self._fence for place in wanted})
                raise
            wanted = self._answered(asked, fence, zip(wanted, letters, strict=True), claims)
            needed = True
        return [claims[place] for place in range(len(messages))] if needed else []

    def _answered(
        self, asked: _Question, fence: int, answers: Iterable[tuple[int, str]], claims: dict[int, Claim]
    ) -> list[int]:
        """Add the claims that the letters stand for; returns the places to ask for again."""
        route, keys, messages = asked.route, asked.keys, asked.messages
        again: list[int] = []
        for place, letter in answers:
            if letter == "R":
                claims[place] = Claim(_RUN, route, keys[place], messages[place], fence)
            elif letter == "N":
                again.append(place)
            else:
                claims[place] = _not_to_run(route, keys[place], messages[place], letter)
        for place in claims if self._doubtful else ():
            self._doubtful.pop((asked.owner.number, keys[place]), None)
        return again

    def _packed_all(self, asked: _Question, wanted: Sequence[int], *, needed: bool) -> Sequence[bytes | str]:
        """What the script is told of messages: a letter each, a row each, and what is special of some."""
        if not needed and not self._doubtful and asked.is_plain():
            names = self._names
            rows = [
                key + tail(names, message) for key, message in zip(asked.keys, asked.messages, strict=True)
            ]
            return ("." * len(rows), *rows)
        marks, rows, specials = "", [], []
        for place in wanted:
            key, message = asked.keys[place], asked.messages[place]
            own, about = self._packed(asked.route, message, asked.rule, needed=needed)
            about = self._doubted(asked.owner, key, about)
            rows.append(key + own)
            marks += "." if about is None else "s"
            if about is not None:
                specials.append(_special(about, message, key, needed=needed))
        return (marks, *rows, *specials)

    def _ask(self, owner: Owner, route: Route, packed: Sequence[bytes | str]) -> tuple[int, str]:
        fence, letters = self._store.run_as(
            owner,
            CLAIM,
            owner.number.to_bytes(4, "little"),
            owner.number,
            owner.name,
            self._names.route(route),
            self._names.group(route.group),
            *packed,
        )
        self._fence = max(self._fence, fence)
        return fence, letters.decode()

    def _doubted(self, owner: Owner, key: bytes, about: dict[str, Any] | None) -> dict[str, Any] | None:
        """If no answer came when this was claimed before: a claim above that fence is this owner's to be told again."""
        fence = self._doubtful.get((owner.number, key)) if self._doubtful else None
        return about if fence is None else {**(about or {}), "a": str(fence)}

    def _packed(
        self, route: Route, message: Message, rule: KeyRule, *, needed: bool
    ) -> tuple[bytes, dict[str, Any] | None]:
        """A row's tail, and what is special of the message if anything is."""
        is_plain = message.expires is None and message.deliver_at is None and rule is KeyRule.NONE
        if is_plain and not needed and "scheduleid" not in message.extensions:
            return tail(self._names, message), None
        about: dict[str, Any] = {}
        more = extras(route, message, rule)
        if more:
            about["x"] = more
        if message.expires is not None:
            about["e"] = more["e"]
        if message.deliver_at is not None:
            about["d"] = repr(message.deliver_at.timestamp())
        is_special = bool(about) or needed
        return tail(
            self._names, message, json.dumps(more).encode() if more else b""
        ), about if is_special else None


def _special(about: dict[str, Any], message: Message, key: bytes, *, needed: bool) -> bytes:
    """With the payload, as it may have to be parked."""
    digest = message.extensions.get("digest")
    if needed and digest:
        text = f"id {message.id} came before with another payload; give different payloads different ids"
        about["o"] = failure_line(Failure("DigestMismatch", text))
        about["k"] = other_payload_key(key, digest).hex()
    return special(about, payload_of(message))


def _not_to_run(route: Route, key: bytes, message: Message, letter: str) -> Claim:
    outcome = _OUTCOMES[letter]
    if outcome is Outcome.MISMATCH:
        return Claim(outcome, route, other_payload_key(key, message.extensions["digest"]), message)
    return Claim(outcome, route, key, message)


def _hand(claim: Claim) -> bytes:
    return claim.fence.to_bytes(8, "little") + claim.key
