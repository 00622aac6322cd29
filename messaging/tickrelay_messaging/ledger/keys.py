# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The 16 bytes that stand for (group, handler, source, id) in every store."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tickrelay_messaging.ledger.records import Route

SIZE = 16
"""Bytes of a key: at 10^10 messages the odds of any two sharing one are about 10^-19."""


def key_of(route: Route, source: str, message_id: str) -> bytes:
    """The key under which a handler knows a message. The queue isn't part of it: an id is the same wherever it came."""
    hasher = _scope(route.group, route.handler, source).copy()
    hasher.update(message_id.encode())
    return hasher.digest()


def hash_of(*parts: str) -> bytes:
    """A key of any names together, however long they are."""
    return _hashed(*parts).digest()


def key_of_tick(schedule: str, tick: float, task_id: str) -> bytes:
    """The key of one task's decision about one tick."""
    return hash_of(schedule, repr(float(tick)), task_id)


def other_payload_key(key: bytes, digest: str) -> bytes:
    """The key of a message that came under a known id with another payload."""
    return blake2b(digest.encode(), digest_size=SIZE, key=key).digest()


def _hashed(*parts: str) -> blake2b:
    """Length before text, so that no two lists of parts run together."""
    return blake2b(
        b"".join(b"%d:%s" % (len(raw), raw) for raw in (part.encode() for part in parts)), digest_size=SIZE
    )


_scope = lru_cache(maxsize=4096)(_hashed)
