# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Headers as the SQLite broker keeps them: JSON objects in a text column."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tickrelay_messaging.envelope import encode
from tickrelay_messaging.message import Message

_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def write(message: Message) -> str:
    """A message's headers as text."""
    return _write(encode(message))


def read(text: str) -> Mapping[str, str]:
    """Headers again. Unreadable ones become none, so that the message is undecodable and blocks nothing."""
    try:
        headers = json.loads(text)
    except ValueError:
        return {}
    return headers if isinstance(headers, dict) else {}


def read_all(texts: Sequence[str]) -> list[Mapping[str, str]]:
    """`read` for many, in one go."""
    try:
        together: list[Any] = json.loads(f"[{','.join(texts)}]")
    except ValueError:
        together = []
    if len(together) == len(texts) and all(type(headers) is dict for headers in together):
        return together
    return [read(text) for text in texts]
