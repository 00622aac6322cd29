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


def delivery_as_dict(delivery: Delivery) -> dict[str, Any]:
    """One that can't be decoded is there all the same: by its place on the queue, with its bytes as `body_base64`."""
    try:
        return as_dict(decode(delivery.headers, delivery.body))
    except UndecodableMessage:
        return {
            "id": delivery.position,
            "source": f"undecodable/{delivery.queue}",
            "type": None,
            "key": None,
            "data": None,
            "headers": dict(delivery.headers),
            "body_base64": base64.b64encode(delivery.body).decode(),
        }


def messages_of(triggering_asset_events: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """
    The messages that have started a run, oldest first, each once.

    Args:
        triggering_asset_events: what Airflow gives a task under this name. Events of other triggers are left out.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for payload in _payloads(triggering_asset_events):
        for message in payload["messages"]:
            found.setdefault((message["source"], message["id"]), message)
    return list(found.values())


def _payloads(triggering_asset_events: Mapping[Any, Any]) -> Iterator[Mapping[str, Any]]:
    for events in triggering_asset_events.values():
        for event in events:
            payload = (event.extra or {}).get("payload")
            if isinstance(payload, Mapping) and isinstance(payload.get("messages"), list):
                yield payload
