# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What goes between the consumer and its children: frames of JSON and bytes, each behind its lengths. Never objects.

A work travels as its claim's numbers, its message's CloudEvents headers and its body; a result as its verdict and the
failure's three texts. A runner on another host may carry the same.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from tickrelay_consumer.engine.work import Result, Work
from tickrelay_consumer.handlers import Handler
from tickrelay_messaging import envelope
from tickrelay_messaging.ledger.records import Claim, Failure, Outcome, Route, Verdict

_HEAD = struct.Struct("!II")
READ = 1 << 16

Frame = tuple[dict[str, Any], list[bytes]]
"""What it says, and the bytes that go with it."""


def pack(says: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """A frame as it travels."""
    text = json.dumps(says | {"sizes": [len(blob) for blob in blobs]}, separators=(",", ":")).encode()
    return b"".join((_HEAD.pack(len(text), sum(map(len, blobs))), text, *blobs))


class Unpacker:
    """Makes frames of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with these bytes."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            text, blobs = _HEAD.unpack_from(self._buffer)
            end = _HEAD.size + text + blobs
            if len(self._buffer) < end:
                return
            yield _frame(bytes(self._buffer[_HEAD.size : end]), text)
            del self._buffer[:end]


class Line:
    """A child's end of the line to the consumer: one asks, one answers."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._unpacker = Unpacker()
        self._frames: list[Frame] = []

    def tell(self, says: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a frame."""
        self._line.sendall(pack(says, blobs))

    def hear(self) -> Frame | None:
        """Wait for a frame; None if the consumer is gone."""
        while not self._frames:
            data = self._line.recv(READ)
            if not data:
                return None
            self._frames += self._unpacker.feed(data)
        return self._frames.pop(0)


def _frame(data: bytes, at: int) -> Frame:
    says = json.loads(data[:at])
    blobs = []
    for size in says.pop("sizes"):
        blobs.append(data[at : at + size])
        at += size
    return says, blobs


def pack_call(call: Sequence[Work]) -> bytes:
    """A call, for a child."""
    route = call[0].claim.route
    works = [
        [work.claim.attempt, work.claim.fence, work.claim.key.hex(), work.claim.ambiguous, work.claim.suspect]
        for work in call
    ]
    headers = [envelope.encode(work.claim.message) for work in call]
    says = {
        "is": "call",
        "route": [route.queue, route.group, route.handler],
        "works": works,
        "heads": headers,
    }
    return pack(says, [work.claim.message.body for work in call])


def read_call(frame: Frame, handlers: dict[tuple[str, str], Handler]) -> list[Work]:
    """The call in a child's hands."""
    says, bodies = frame
    route = Route(*says["route"])
    handler = handlers[route.queue, route.handler]
    found = []
    for (attempt, fence, key, ambiguous, suspect), head, body in zip(
        says["works"], says["heads"], bodies, strict=True
    ):
        claim = Claim(
            Outcome.RUN,
            route,
            bytes.fromhex(key),
            envelope.decode(head, body),
            fence=fence,
            attempt=attempt,
            ambiguous=ambiguous,
            suspect=suspect,
        )
        found.append(Work(claim, handler))
    return found


def results_of(results: Sequence[Result]) -> dict[str, Any]:
    """What a frame says of them, in their order."""
    return {"is": "results", "results": [_say(result) for result in results]}


def read_results(says: dict[str, Any], call: Sequence[Work]) -> list[Result]:
    """The results of a call, in the consumer's hands again."""
    return [_read(work, *one) for work, one in zip(call, says["results"], strict=True)]


def _say(result: Result) -> list[Any]:
    failure = result.failure
    why = [failure.kind, failure.text, failure.stack] if failure else None
    commands = [[_say_argument(one) for one in command] for command in result.commands]
    return [result.verdict.value, result.delay, why, result.seconds, result.late, commands]


def _read(work: Work, *said: Any) -> Result:
    verdict, delay, why, seconds, late, commands = said
    return Result(
        work,
        Verdict(verdict),
        seconds,
        late,
        delay=delay,
        failure=Failure(*why) if why else None,
        commands=tuple(tuple(_read_argument(one) for one in command) for command in commands),
    )


def _say_argument(value: str | bytes | float) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _read_argument(value: Any) -> str | bytes | int | float:
    found: str | bytes | int | float = bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
    return found
