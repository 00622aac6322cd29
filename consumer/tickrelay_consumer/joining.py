# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which queues a consumer joins: an ordinary group is declared, a replay's is only found."""

from __future__ import annotations

from collections.abc import Sequence

from tickrelay_consumer.handlers import Handler
from tickrelay_consumer.policy import IN_ORDER
from tickrelay_messaging.brokers import Broker, QueueSpec
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger import Ledger


def join(broker: Broker, handlers: Sequence[Handler], group: str) -> tuple[Handler, ...]:
    """
    Make the group exist in every handler's queue, or find out where a replay's group (`default~r1`) does.

    Returns:
        the handlers that have something to do: in a replay only those of queues that are replayed.

    Raises:
        ConfigurationError: no queue of theirs has the replay's group.
    """
    queues = dict.fromkeys(handler.queue for handler in handlers)
    if "~" in group:
        return _of_replay(broker, handlers, group)
    for queue in queues:
        broker.declare(QueueSpec(queue, (group,)))
    _check_lanes(broker, handlers)
    return tuple(handlers)


def _check_lanes(broker: Broker, handlers: Sequence[Handler]) -> None:
    """Without lanes a key's messages reach several consumers at once, and who claims first is chance."""
    ordered = [handler for handler in handlers if handler.rule in IN_ORDER]
    lanes = {spec.name: spec.lanes for spec in broker.queues()} if ordered else {}
    for handler in ordered:
        if not lanes.get(handler.queue):
            raise ConfigurationError(
                f"handler {handler.name!r}: key_order needs a queue with lanes, {handler.queue!r} has none; "
                f"make it with: tickrelay queue declare {handler.queue} --lanes 8"
            )


def check_effects(ledger: Ledger, handlers: Sequence[Handler]) -> None:
    """
    Refuse, before anything is begun, what the ledger can't keep.

    Raises:
        ConfigurationError: an effect that it hasn't; it's said which it has.
    """
    for handler in handlers:
        if handler.effect not in ledger.effects:
            raise ConfigurationError(
                f"handler {handler.name!r}: effect={handler.effect.value!r} can't be had on this ledger "
                f"({type(ledger).__name__}), it has {', '.join(sorted(ledger.effects))}; "
                "choose one of these, or another ledger"
            )


def _of_replay(broker: Broker, handlers: Sequence[Handler], group: str) -> tuple[Handler, ...]:
    replayed = {spec.name for spec in broker.queues() if group in spec.groups}
    found = tuple(handler for handler in handlers if handler.queue in replayed)
    if found:
        return found
    queues = sorted({handler.queue for handler in handlers})
    origin, _, name = group.rpartition("~")
    raise ConfigurationError(
        f"no queue of this consumer ({', '.join(queues)}) has a replay {group!r}; "
        f"begin one with: tickrelay queue replay {queues[0]} --group {origin} --as {name}"
    )
