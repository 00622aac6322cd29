# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Messages as entries of a stream: a field a header (`ce_id`, `ce_source`, ...) and, last, `data` with the body.

So an entry is readable with `XRANGE`, can be written by any client (`XADD tickrelay:{orders} * ce_specversion 1.0
ce_id 7 ce_source me ce_type t data {}`), and takes little room: Redis stores equal field names once a node. In a queue
with lanes a field `tickrelay-lane` comes first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tickrelay_messaging.brokers.lanes import lane_of
from tickrelay_messaging.brokers.redis.wire import pack as pack_command
from tickrelay_messaging.envelope import encode
from tickrelay_messaging.message import Message

BODY = b"data"
MOST_FIELDS = 1000
"""Headers beyond this travel in one field, because a script can't pass on any number of arguments."""
_OURS = "tickrelay-"
_TOGETHER = f"{_OURS}headers"
_LANE = f"{_OURS}lane"
"""The first field of an entry in a queue with lanes; the scripts know it too."""


def pack(message: Message, lanes: int = 0) -> tuple[int, bytes]:
    """
    How many arguments a message takes in a script's call, and these as they travel.

    Args:
        lanes: of the queue it goes to.
    """
    headers = encode(message)
    if len(headers) > MOST_FIELDS:
        headers = {_TOGETHER: json.dumps(headers)}
    if lanes:
        headers = {_LANE: str(lane_of(message, lanes)), **headers}
    count = 2 * len(headers) + 2
    text = "".join(
        [f"${len(name)}\r\n{name}\r\n${len(value)}\r\n{value}\r\n" for name, value in headers.items()]
    )
    packed = text.encode() if text.isascii() else _pack_bytes(headers)
    number = b"%d" % count
    body = b"$4\r\ndata\r\n$%d\r\n%s\r\n" % (len(message.body), message.body)
    return count + 1, b"$%d\r\n%s\r\n%s%s" % (len(number), number, packed, body)


def _pack_bytes(headers: Mapping[str, str]) -> bytes:
    flat = [part for pair in headers.items() for part in pair]
    return pack_command(*flat).partition(b"\r\n")[2]


def unpack(fields: Sequence[bytes]) -> tuple[dict[str, str], bytes]:
    """
    Headers and body of an entry.

    An entry without `data` that is no CloudEvent either comes out without headers and with all it says as a JSON
    body, so that it can't be decoded and yet nothing of it is lost.
    """
    if len(fields) > 1 and fields[-2] == BODY:
        names = _names(b"\0".join(fields[:-2:2]))
        values = b"\0".join(fields[1:-2:2]).decode("utf-8", "backslashreplace").split("\0")
        if len(values) == len(names):
            headers = dict(zip(names, values))  # noqa: B905 - just compared, and saying so takes a sixth of the time
            return (_without_ours(headers) if names[0].startswith(_OURS) else headers), fields[-1]
    return _unpack_foreign(fields)


@lru_cache(256)
def _names(joined: bytes) -> list[str]:
    """Remembered, as a publisher's entries mostly have the same names; not too many, as they may be long."""
    return joined.decode("utf-8", "backslashreplace").split("\0") if joined else []


def _unpack_foreign(fields: Sequence[bytes]) -> tuple[dict[str, str], bytes]:
    texts = [part.decode("utf-8", "backslashreplace") for part in fields]
    headers = dict(zip(texts[::2], texts[1::2], strict=True))
    bodies = [value for name, value in zip(fields[::2], fields[1::2], strict=True) if name == BODY]
    if bodies:
        del headers["data"]
        return headers, bodies[-1]
    if any(name in headers for name in ("ce_specversion", "ce-specversion")):
        return headers, b""
    return {}, json.dumps(headers, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _without_ours(headers: dict[str, str]) -> dict[str, str]:
    headers.pop(_LANE, None)
    return _together(headers[_TOGETHER]) if _TOGETHER in headers else headers


def _together(text: str) -> dict[str, str]:
    try:
        headers = json.loads(text)
    except ValueError:
        return {}
    return headers if isinstance(headers, dict) else {}
