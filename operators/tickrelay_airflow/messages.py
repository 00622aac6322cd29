# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Messages as Airflow holds them: plain dictionaries, in XCom and in asset events."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from tickrelay_messaging.brokers.base import Delivery
from tickrelay_messaging.envelope import decode
from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.plain import as_dict

_UNREADABLE = "undecodable/"


def delivery_as_dict(delivery: Delivery) -> dict[str, Any]:
    """One that can't be decoded is there all the same: by its place on the queue, with its bytes as `body_base64`."""
    try:
        return as_dict(decode(delivery.headers, delivery.body))
    except UndecodableMessage:
        return {
            "id": delivery.position,
            "source": f"{_UNREADABLE}{delivery.queue}",
            "type": None,
            "key": None,
            "data": None,
            "headers": dict(delivery.headers),
            "body_base64": base64.b64encode(delivery.body).decode(),
        }


def messages_of(triggering_asset_events: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """
    The messages that have started a run, oldest first, each once in it; `QueueHook.triggering_messages` gives each to
    one run only. One that can't be decoded has no id to be known by: two of them may be one that came twice.

    Args:
        triggering_asset_events: what Airflow gives a task under this name. Events of other triggers are left out.
    """
    known: set[tuple[str, str]] = set()
    found = []
    for payload in _payloads(triggering_asset_events):
        for message in payload["messages"]:
            name = name_of(message)
            if name not in known:
                found.append(message)
            if name is not None:
                known.add(name)
    return found


def name_of(message: Mapping[str, Any]) -> tuple[str, str] | None:
    """Source and id; None for one that can't be decoded, as its place on the queue may be another's as well."""
    source, name = message["source"], message["id"]
    return None if source.startswith(_UNREADABLE) else (source, name)


def _payloads(triggering_asset_events: Mapping[Any, Any]) -> Iterator[Mapping[str, Any]]:
    for events in triggering_asset_events.values():
        for event in events:
            payload = (event.extra or {}).get("payload")
            if isinstance(payload, Mapping) and isinstance(payload.get("messages"), list):
                yield payload
