# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a ledger's store has promised to survive, read from its settings. Asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durability:
    """
    Attributes:
        setting: the settings it was read from, for people.
        window: what a crash of the machine or the server may undo; empty if nothing that was confirmed.
    """

    setting: str
    window: str = ""


UNKNOWN = Durability("not asked", "nobody was asked how durable it is")
_LOST = "what was settled or parked then is undone, though the broker was told it is finished"


def durability_of(kind: str, settings: Mapping[str, str]) -> Durability:
    """
    Judge a store.

    Args:
        kind: the ledger URL's scheme.
        settings: the store's own names and values, as it tells them; those missing count as not asked.
    """
    judge = {
        "sqlite": _sqlite,
        "postgresql": _postgresql,
        "mariadb": _mariadb,
        "mysql": _mariadb,
        "redis": _redis,
        "rediss": _redis,
    }.get(kind)
    return judge(settings) if judge and settings else UNKNOWN


def _sqlite(settings: Mapping[str, str]) -> Durability:
    level = {"0": "OFF", "1": "NORMAL", "2": "FULL", "3": "EXTRA"}.get(settings["synchronous"], "unknown")
    setting = f"synchronous={level}"
    if level in {"FULL", "EXTRA"}:
        return Durability(setting)
    return Durability(setting, f"a power failure may lose the last commits: {_LOST}")


def _postgresql(settings: Mapping[str, str]) -> Durability:
    commit, fsync = settings["synchronous_commit"], settings["fsync"]
    setting = f"synchronous_commit={commit}, fsync={fsync}"
    if fsync != "on":
        return Durability(setting, f"a crash of the machine may damage or lose anything: {_LOST}")
    if commit == "off":
        return Durability(setting, f"a crash of the server may lose the last commits (under 1 s): {_LOST}")
    if commit == "local":
        return Durability(setting, f"a failover to a standby may lose the last commits: {_LOST}")
    return Durability(setting)


def _mariadb(settings: Mapping[str, str]) -> Durability:
    flush = settings["innodb_flush_log_at_trx_commit"]
    setting = f"innodb_flush_log_at_trx_commit={flush}"
    if flush in {"1", "3"}:
        return Durability(setting)
    return Durability(setting, f"a crash of the machine may lose the last commits (about 1 s): {_LOST}")


def _redis(settings: Mapping[str, str]) -> Durability:
    """By what its URL demands: the ledger has refused any server that doesn't do it."""
    demand, wait = settings["durability"], settings.get("wait", "")
    setting = f"durability={demand}" + (f", wait={wait}" if wait else "")
    if demand == "relaxed":
        return Durability(setting, f"a crash of the server may lose what it had not written: {_LOST}")
    if demand == "assured":
        return Durability(setting, "nobody has checked that the server keeps what it confirms")
    if wait == "0":
        return Durability(setting, f"if it has replicas, a failover may lose the last commits: {_LOST}")
    return Durability(f"{setting}: appendfsync=always, WAIT for a replica if there is one")
