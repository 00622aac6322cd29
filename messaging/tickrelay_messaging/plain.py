# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message as plain JSON, for whoever keeps it elsewhere: XCom, asset events, the conf of a DAG run."""

from __future__ import annotations

import base64
import math
from typing import Any

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.message import Message

_LEAST, _MOST = -(1 << 63), (1 << 64) - 1
"""The integers that MessagePack can say, in which Airflow's processes talk to each other."""
_RESERVED = {"__classname__", "__id__"}
"""Names in objects that Airflow keeps for itself; it refuses whatever else has them."""


def as_dict(message: Message) -> dict[str, Any]:
    """
    `id`, `source`, `type`, `key`, `data`, `headers`. A body that isn't JSON, or holds something that Airflow or its
    database can't keep, is `body_base64`, and `data` is None.
    """
    found = {
        "id": message.id,
        "source": message.source,
        "type": message.type,
        "key": message.key,
        "data": _data(message),
        "headers": dict(message.headers),
    }
    if isinstance(found["data"], bytes):
        found |= {"data": None, "body_base64": base64.b64encode(message.body).decode()}
    return found


def _data(message: Message) -> Any:
    try:
        data = message.data
    except UndecodableMessage:
        return message.body
    return data if _can_be_kept(data) else message.body


def _can_be_kept(data: Any) -> bool:
    """
    JSON allows more: a triggerer ends at an integer of more than 64 bits, databases refuse NUL in a text and the
    infinity that `1e999` is read as, and XCom refuses names of its own.
    """
    if isinstance(data, dict):
        return _RESERVED.isdisjoint(data) and all(map(_can_be_kept, (*data, *data.values())))
    if isinstance(data, list):
        return all(map(_can_be_kept, data))
    if isinstance(data, str):
        return "\0" not in data
    if isinstance(data, float):
        return math.isfinite(data)
    return not isinstance(data, int) or _LEAST <= data <= _MOST
