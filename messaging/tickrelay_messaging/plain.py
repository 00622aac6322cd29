# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message as plain JSON, for whoever keeps it elsewhere: XCom, asset events, the conf of a DAG run."""

from __future__ import annotations

import base64
from typing import Any

from tickrelay_messaging.errors import UndecodableMessage
from tickrelay_messaging.message import Message


def as_dict(message: Message) -> dict[str, Any]:
    """`id`, `source`, `type`, `key`, `data`, `headers`; a body that isn't JSON is `body_base64`, and `data` is None."""
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
        return message.data
    except UndecodableMessage:
        return message.body
