# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From what a person typed or piped to checked messages: JSON lines in batches, errors naming lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO
from uuid import uuid4

from tickrelay_messaging import strict_json
from tickrelay_messaging.errors import InvalidMessage, MessageTooLarge, UndecodableMessage
from tickrelay_messaging.ids import digest_of
from tickrelay_messaging.message import JSON, MAX_BODY, Message, check_publishable

_BATCH_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """
    What all messages of one command have in common.

    Attributes:
        id: the one message's id.
        id_field: field of the JSON object that holds each message's id.
        raw: the body isn't JSON and isn't looked into.
    """

    source: str
    type: str
    id: str | None = None
    id_field: str | None = None
    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    deliver_at: datetime | None = None
    raw: bool = False

    def message(self, body: bytes) -> Message:
        """
        A message with this body, whose bytes stay as they were written.

        Raises:
            InvalidMessage: the body is no strict JSON, or the message can't be published.
        """
        message = Message(
            id=self._id(None if self.raw else _parse(body)),
            source=self.source,
            type=self.type,
            body=body,
            content_type=None if self.raw else JSON,
            time=datetime.now(UTC),
            key=self.key,
            deliver_at=self.deliver_at,
            extensions={"digest": digest_of(body)},
            headers=self.headers,
        )
        check_publishable(message)
        return message

    def _id(self, data: Any) -> str:
        if self.id is not None:
            return self.id
        if self.id_field is None:
            return str(uuid4())
        value = data.get(self.id_field) if isinstance(data, dict) else None
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise InvalidMessage(
                f"field {self.id_field!r} of the JSON object must hold its id, as text or a whole number"
            )
        return str(value)


def batches(lines: BinaryIO, template: Template, size: int) -> Iterator[tuple[int, list[Message]]]:
    """
    Messages of up to `size` lines, bounded in bytes too, with the number of the last line.

    Empty lines are passed over.

    Raises:
        InvalidMessage: names the line.
    """
    found: list[Message] = []
    held = number = 0
    for number, line in _numbered(lines):
        message = _checked(template, line, number)
        found.append(message)
        held += len(message.body)
        if len(found) >= size or held >= _BATCH_BYTES:
            yield number, found
            found, held = [], 0
    if found:
        yield number, found


def _numbered(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; never more than one message's worth of a line is read."""
    number = 0
    while line := lines.readline(MAX_BODY + 2):
        number += 1
        if len(line) > MAX_BODY + 1:
            raise MessageTooLarge(f"line {number}: over the limit of {MAX_BODY:,} bytes for one message")
        if text := (line.removeprefix(_BOM) if number == 1 else line).strip():
            yield number, text


def _checked(template: Template, line: bytes, number: int) -> Message:
    try:
        return template.message(line)
    except InvalidMessage as error:
        raise type(error)(f"line {number}: {error}") from None


def _parse(body: bytes) -> Any:
    try:
        return strict_json.loads(body)
    except UndecodableMessage as error:
        hint = "" if body.strip() else "; it is empty"
        raise InvalidMessage(f"{error}{hint}; text needs quotes of its own, or use --raw") from None
