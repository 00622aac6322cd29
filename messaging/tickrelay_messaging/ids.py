# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Ids that survive retries, clears and scheduler failover.

An id is a UUIDv5 (RFC 9562) over what stays the same when a task runs again: deployment, DAG, run, task, map index and
the item itself. Never the try number, never the position alone: a retry may read its rows in another order.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tickrelay_messaging.seen import SeenIds

NAMESPACE = UUID("8f5c1f0e-2f0b-5c57-9c53-3b0f6f2b7a11")
"""Our own UUIDv5 namespace. Changing it would make every known message a new one."""


def digest_of(body: bytes, key: bytes = b"", key_id: str = "") -> str:
    """
    The publisher's fingerprint of a payload, as `<key id>:<hex>`.

    Args:
        body: the payload's bytes before any encryption.
        key: HMAC-SHA-256 key; without one a plain SHA-256, and an empty key id.
        key_id: names the key; digests are only compared under equal key ids.
    """
    digest = hmac.digest(key, body, "sha256") if key else hashlib.sha256(body).digest()
    return f"{key_id}:{digest[:16].hex()}"


def stable_id(*parts: str | int) -> str:
    """UUIDv5 over the parts, in order; no two different lists of parts give the same id."""
    return _uuid(_begun(), parts)


def _begun(*parts: str | int) -> Any:
    """A hash that has seen the namespace and these parts; whoever goes on with a copy of it has them for nothing."""
    return hashlib.sha1(NAMESPACE.bytes + _spelled(parts), usedforsecurity=False)


def _uuid(begun: Any, parts: tuple[str | int, ...]) -> str:
    """UUIDv5 as `uuid.uuid5` makes it."""
    begun.update(_spelled(parts))
    text: str = begun.hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def _spelled(parts: tuple[str | int, ...]) -> bytes:
    return "".join([f"{len(text)}:{text}" for text in map(str, parts)]).encode()


@dataclass(slots=True)
class TaskIdentity:
    """
    Who publishes: one Airflow task instance, or one tick of it, whichever try it is.

    Attributes:
        deployment: name of the Airflow deployment, configured and never derived from a host.
        run_id: the DAG run's id, or the tick's instant.
        generation: 0, or one more for each deliberate republication.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    generation: int = 0
    _seen: SeenIds = field(default_factory=SeenIds, init=False, repr=False, compare=False)
    _again: Counter[bytes] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _begun: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def source(self) -> str:
        """CloudEvents source of this task's messages."""
        return f"/tickrelay/{self.deployment}/{self.dag_id}/{self.task_id}"

    @property
    def batch(self) -> str:
        """Id of the batch this task instance publishes, the same for every try."""
        return stable_id("batch", *self._parts())

    def message_id(self, body: bytes, item: str | None = None) -> str:
        """
        The id of one message.

        Args:
            body: the payload, whose digest names the item where the user gives no name.
            item: the user's own name for the item; giving one name twice gives one id twice.
        """
        if self._begun is None:
            self._begun = _begun("message", *self._parts())
        return _uuid(self._begun.copy(), self._item(body, item))

    def _parts(self) -> tuple[str | int, ...]:
        return self.deployment, self.dag_id, self.run_id, self.task_id, self.map_index, self.generation

    def _item(self, body: bytes, item: str | None) -> tuple[str | int, ...]:
        if item is not None:
            return "named", item
        digest = hashlib.sha256(body)
        key = digest.digest()[:16]
        if not self._seen.add(key):  # only what comes again needs a count
            self._again[key] += 1
        return "digest", digest.hexdigest(), 1 + self._again.get(key, 0)
