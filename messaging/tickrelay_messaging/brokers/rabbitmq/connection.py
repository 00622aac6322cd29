# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""pika's connection, hardened where a foreign message could break it."""

from __future__ import annotations

import logging
import socket
import struct
from typing import Any

from pika import BasicProperties, SelectConnection, frame
from pika.exceptions import ProtocolSyntaxError

UNREADABLE = "x-tickrelay-unreadable"
"""Header put on a message whose AMQP properties can't be decoded."""
_HEADER, _AROUND = 2, 8

# Every error is reported by us, once and in words; pika's own reports are many, with stacks.
if (_log := logging.getLogger("pika")).level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)


class Connection(SelectConnection):  # type: ignore[misc]  # pika has no types
    """
    A connection that survives a header pika can't decode (a NaN, an instant after the year 9999).

    pika would drop the connection, and after the reconnect the same message would come again, for ever.
    """

    def _read_frame(self) -> tuple[int, Any]:
        try:
            return super()._read_frame()  # type: ignore[no-any-return]
        except (
            ValueError,
            OverflowError,
            OSError,
            ArithmeticError,
            struct.error,
            ProtocolSyntaxError,
        ) as error:
            return _header_without_properties(bytes(self._frame_buffer), error)

    def socket(self) -> socket.socket | None:
        """What it talks through; None between connections."""
        return getattr(self._transport, "_sock", None)

    def send(self, frames: bytes) -> None:
        """Frames that are marshalled already."""
        self._output_marshaled_frames([frames])


def _header_without_properties(buffer: bytes, error: Exception) -> tuple[int, Any]:
    kind, channel, size = struct.unpack_from(">BHI", buffer)
    if kind != _HEADER or len(buffer) < size + _AROUND:
        raise error
    _, _, body_size = struct.unpack_from(">HHQ", buffer, _AROUND - 1)
    why = BasicProperties(headers={UNREADABLE: f"{type(error).__name__}: {error}"})
    return size + _AROUND, frame.Header(channel, body_size, why)
