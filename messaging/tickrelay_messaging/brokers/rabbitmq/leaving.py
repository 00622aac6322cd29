# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
How a place in a lane's line is left: what was acknowledged is gone for good, the rest goes back to where it was.

Two ways of RabbitMQ stand against that:

- pika cancels a channel's consumers before it closes it. RabbitMQ serves the next in line from the cancel on, though
  what the channel had brought goes back only at its end: too late, behind what the next has got by then.
- RabbitMQ keeps acknowledgements back while more than 32 frames of them aren't in the queue's log yet, and forgets
  them if the channel ends in that time. A cancel would have sent them.

So another consumer takes its place at the end of the line, and leaves it: its coming and its going are entries in the
same log, answered once they are in. With the answer to the second the channel has heard of all entries before the
first, and has sent the acknowledgements it kept back. Then it is closed, without a cancel.
"""

from __future__ import annotations

from typing import Any


def leave_line(channel: Any, queue: str) -> None:
    """
    Close the channel of a lane's consumer once RabbitMQ has all acknowledgements.

    Args:
        channel: nothing is acknowledged on it any more.
        queue: the lane's.
    """
    # It is not its turn before the channel's other consumer is gone, so it is pushed nothing to speak of.
    channel.basic_consume(queue, _ignore, callback=lambda answer: _go(channel, answer.method.consumer_tag))


def _go(channel: Any, last: str) -> None:
    if channel.is_open:
        channel.basic_cancel(last, callback=lambda _: _close(channel))


def _close(channel: Any) -> None:
    if channel.is_open:
        channel._cancelled.update(channel._consumers)  # noqa: SLF001 - no public way to close without a cancel
        channel.close()


def _ignore(*_: object) -> None:
    """Not acknowledged, so it goes back with the rest."""
