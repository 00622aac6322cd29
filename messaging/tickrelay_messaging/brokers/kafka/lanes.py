# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What one member knows of a partition while it has it: what it handed out, and how far everything is finished."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Lane:
    """
    One partition during one assignment. Every field but `live` is used with the member's lock held.

    Kafka keeps one number a partition and group: everything below it is finished. So it may only be set to the oldest
    message that isn't, however many later ones are.

    Attributes:
        member: whose it is.
        again: messages below this offset were handed out before, by this broker object.
        live: False as soon as the partition is taken away; nothing is committed after that.
        next: behind the last message handed out, or None before the first.
        floor: messages below it aren't handed out: they were purged.
        open: offsets handed out and not finished, in their order.
        sent: the offset last committed or on its way.
        confirmed: the offset Kafka has confirmed.
    """

    member: object
    partition: int
    again: int = 0
    live: bool = True
    next: int | None = None
    floor: int = 0
    open: dict[int, None] = field(default_factory=dict)
    sent: int = -1
    confirmed: int = -1

    def hand_out(self, offset: int) -> None:
        """Note a message as handed out and unfinished."""
        self.open[offset] = None
        self.next = offset + 1

    def finish(self, offset: int) -> None:
        """Note it as finished; again is no error."""
        self.open.pop(offset, None)

    def skip_to(self, end: int) -> None:
        """Never hand out what is below `end`; counts as finished."""
        self.floor = self.next = max(end, self.next or 0)

    def due(self) -> int | None:
        """The offset to commit now, or None if there is nothing new."""
        finished = next(iter(self.open), self.next)
        return finished if finished is not None and finished > self.sent else None
