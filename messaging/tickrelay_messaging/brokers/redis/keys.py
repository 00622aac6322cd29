# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Names of keys in Redis; `scripts` says what they hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """
    The keys of one queue.

    Attributes:
        prefix: of every key of this broker.
        queue: its name.
    """

    prefix: str
    queue: str

    @property
    def queues(self) -> bytes:
        """The set of all queues."""
        return f"{self.prefix}:queues".encode()

    @property
    def stream(self) -> bytes:
        """The messages."""
        return f"{self.prefix}:{{{self.queue}}}".encode("utf-8", "backslashreplace")

    @property
    def bell(self) -> bytes:
        """Rung when messages were given back."""
        return self.stream + b":bell"

    @property
    def settings(self) -> bytes:
        """What was settled when the queue was made."""
        return self.stream + b":settings"

    def members(self, group: str = "") -> bytes:
        """A group's live consumers; without a group, what such keys begin with."""
        return self.stream + b":members:" + group.encode("utf-8", "backslashreplace")
