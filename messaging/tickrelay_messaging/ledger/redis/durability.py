# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Whether a server may hold the only copy of what waits: asked when a ledger is opened."""

from __future__ import annotations

from collections.abc import Mapping

from tickrelay_messaging.brokers.redis.wire import Wire, pairs
from tickrelay_messaging.errors import BrokerRefused, ConfigurationError, TickrelayError
from tickrelay_messaging.ledger.redis.settings import ALWAYS, RELAXED, LedgerSettings

_WANTED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def check(wire: Wire, settings: LedgerSettings) -> int:
    """
    Returns:
        how many replicas are to be waited for.

    Raises:
        ConfigurationError: the server may lose what it has confirmed.
    """
    if settings.durability == ALWAYS:
        _check_settings(wire, settings.server.where)
    if settings.wait is not None:
        return settings.wait
    if settings.durability == RELAXED:
        return 0
    answer = wire.call("INFO", "replication").decode("utf-8", "replace")
    info = dict(line.split(":", 1) for line in answer.splitlines() if ":" in line)
    return min(1, int(info.get("connected_slaves", "0")))


def _check_settings(wire: Wire, where: str) -> None:
    found = _config(wire, where)
    wrong = {name: value for name, value in _WANTED.items() if found.get(name) != value}
    if wrong:
        told = ", ".join(f"{name} is {found.get(name, 'unknown')}" for name in wrong)
        cure = "; ".join(f"CONFIG SET {name} {value}" for name, value in wrong.items())
        raise ConfigurationError(
            f"{where}: a ledger holds the only copy of what waits, and this server may lose it: {told}; "
            f"`{cure}`, in redis.conf too, or say ?durability=relaxed"
        )


def _config(wire: Wire, where: str) -> Mapping[str, str]:
    try:
        answer = wire.call("CONFIG", "GET", *_WANTED)
    except BrokerRefused as error:
        raise _hidden(where) from error
    except TickrelayError as error:
        if wire.is_open and "unknown command" in str(error):
            raise _hidden(where) from error
        raise
    return {name.decode(): value.decode("utf-8", "replace") for name, value in pairs(answer).items()}


def _hidden(where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: this user may not read the server's settings (CONFIG GET), so nobody knows whether it keeps what it "
        "confirms; say ?durability=assured if you know that it does, or ?durability=relaxed if it needn't"
    )
