# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Rows, payloads and failures between Python and Lua; `scripts.core` says how a row is laid out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any

from tickrelay_messaging import envelope
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.ledger.records import Failure, KeyRule, Route
from tickrelay_messaging.ledger.redis.names import Names
from tickrelay_messaging.ledger.schedules import tick_of
from tickrelay_messaging.message import Message

CLAIMED, WAITING, DEAD, ORPHAN = 1, 2, 3, 4
HELD, SUSPECT, STEPS, AMBIGUOUS = 1, 2, 4, 8
_HEADER = Struct("<QIHHBBBd")
_SIZE = Struct("<I")
_SHORT = Struct("<H")
_NO_DIGEST = bytes(6)
_NOTHING = _SHORT.pack(0)
_STACK_LIMIT = 16_000
_TEXT_LIMIT = 2_000
_MOST = 10_000


def tail(names: Names, message: Message, extras: bytes = b"") -> bytes:
    """What a row ends with: all that is the message's own."""
    extensions = message.extensions
    batch = extensions.get("batchid")
    start = names.memo.get((batch, message.source)) or _start(names, batch, message.source)
    if "digest" in extensions and (digest := extensions["digest"]):
        start = bytes((start[0] + 2,)) + start[1:4] + short_digest(digest) + start[10:]
    if extras:
        return b"%s%s%s%s" % (start, _SHORT.pack(len(extras)), extras, message.id.encode())
    return start + _NOTHING + message.id.encode()


def _start(names: Names, batch: str | None, source: str) -> bytes:
    """What messages of one batch and source have in common."""
    if len(names.memo) > _MOST:
        names.memo.clear()
    number = names.batch(batch).to_bytes(3, "little")
    made = bytes((1 if batch else 0,)) + number + _NO_DIGEST + _SIZE.pack(names.source(source))
    names.memo[(batch, source)] = made
    return made


def short_digest(digest: str) -> bytes:
    """Two bytes for the key it was made with, four for the rest."""
    key, _, rest = digest.partition(":")
    return _short_key(key) + blake2b(rest.encode(), digest_size=4).digest()


@lru_cache(256)
def _short_key(key: str) -> bytes:
    """Remembered, as there are few."""
    return blake2b(key.encode(), digest_size=2).digest()


def extras(route: Route, message: Message, rule: KeyRule) -> dict[str, Any]:
    """What only some messages have: an end, a rule for their key, a schedule."""
    found: dict[str, Any] = {}
    if message.expires is not None:
        found["e"] = _text(message.expires)
    schedule = message.extensions.get("scheduleid")
    if schedule:
        instant = message.deliver_at or message.time
        generation = message.extensions.get("generation", "0")
        found["s"], found["t"] = schedule, _text(instant) if instant else "0"
        tick = tick_of(message)
        if tick is not None and tick != instant:
            found["k"] = _text(tick)
        found["g"] = int(generation) if generation.isascii() and generation.isdigit() else 0
    is_ordered = rule in (KeyRule.ORDER, KeyRule.STRICT)
    if rule is KeyRule.SINGLETON or (is_ordered and message.key):
        found["r"], found["l"] = rule.value, _lane(route, message.key)
    return found


def _lane(route: Route, key: str | None) -> str:
    parts = json.dumps([route.group, route.handler, key]).encode()
    return blake2b(parts, digest_size=12).hexdigest()


def _text(instant: datetime) -> str:
    return repr(instant.timestamp())


def special(about: dict[str, Any], payload: bytes = b"") -> bytes:
    """An argument of the claim script: size, JSON, payload."""
    written = json.dumps(about).encode()
    return _SIZE.pack(len(written)) + written + payload


def payload_of(message: Message) -> bytes:
    """A message as it's kept."""
    return raw_payload(envelope.encode(message), message.body)


def raw_payload(headers: Any, body: bytes) -> bytes:
    """Headers and body as they're kept, decodable or not."""
    written = json.dumps(headers).encode()
    return _SIZE.pack(len(written)) + written + body


def split_payload(kept: bytes) -> tuple[dict[str, str], bytes]:
    """Back from `raw_payload`."""
    if not kept:
        return {}, b""
    end = 4 + _SIZE.unpack_from(kept)[0]
    return json.loads(kept[4:end]), kept[end:]


def readable(kept: bytes, message_id: str) -> Message:
    """Back from `payload_of`, or a stand-in for what never could be decoded."""
    headers, body = split_payload(kept)
    try:
        return envelope.decode(headers, body)
    except UndecodableMessage:
        return Message(id=message_id, body=body, content_type=None)


def failure_line(failure: Failure | None) -> str:
    """A failure as JSON without line ends; half a surrogate and NUL are spelled out."""
    given = failure or Failure("", "")
    texts = {"k": given.kind, "x": given.text[:_TEXT_LIMIT], "t": given.stack[-_STACK_LIMIT:]}
    clean = {n: t.encode(errors="backslashreplace").decode().replace("\0", "\\0") for n, t in texts.items()}
    return json.dumps(clean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row as Python reads it."""

    fence: int
    owner: int
    route: int
    attempt: int
    crashes: int
    flags: int
    state: int
    due: float
    batch: int
    source: int
    message_id: str
    extras: dict[str, Any] = field(default_factory=dict)


def row_of(raw: bytes) -> Row:
    """Take a row apart."""
    fence, owner, route, attempt, crashes, flags, state, due = _HEADER.unpack_from(raw)
    (source,) = _SIZE.unpack_from(raw, 37)
    (size,) = _SHORT.unpack_from(raw, 41)
    return Row(
        fence=fence,
        owner=owner,
        route=route,
        attempt=attempt,
        crashes=crashes,
        flags=flags,
        state=state,
        due=due,
        batch=int.from_bytes(raw[28:31], "little"),
        source=source,
        message_id=raw[43 + size :].decode(),
        extras=json.loads(raw[43 : 43 + size]) if size else {},
    )
