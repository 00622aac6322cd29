# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What consumers wrote down, read back for the judge."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from tests.chaos.brokers.history import Tail
from tests.chaos.campaign.judging import Effect, Grant, Settle


def read_history(folder: Path) -> tuple[list[Effect], list[Grant], list[Settle]]:
    """Effects (of external handlers), claims given, results accepted or refused."""
    effects: list[Effect] = []
    grants: list[Grant] = []
    settles: list[Settle] = []
    for row in Tail(folder / "consumer.jsonl").rows():
        if row["kind"] == "effect":
            effects.append(Effect(*row["row"]))
        elif row["kind"] == "granted":
            grants += [Grant(row["at"], *one) for one in row["rows"]]
        elif row["kind"] == "settled":
            settles += [Settle(row["began"], *one, row["pid"]) for one in row["rows"]]
    return effects, grants, settles


def repeated(folder: Path) -> dict[int, tuple[int, int]]:
    """
    By process that died: how many of its external effects somebody had again later, and in how many calls it had them.

    Effects whose result it lived to bring aren't its death's doing: it had been taken for dead, and was refused.
    """
    times: dict[str, list[tuple[int, int]]] = defaultdict(list)
    brought = {(one.id, one.fence) for one in read_history(folder)[2]}
    for number, row in enumerate(Tail(folder / "consumer.jsonl").rows()):
        if row["kind"] == "effect":
            effect = Effect(*row["row"])
            is_cut_off = (effect.id, effect.fence) not in brought
            times[effect.id].append((effect.pid, row.get("call", number) if is_cut_off else -1))
    again = [one for effects in times.values() for one in effects[:-1] if one[1] >= 0]
    effects, calls = Counter(pid for pid, _ in again), Counter(pid for pid, _ in set(again))
    return {pid: (count, calls[pid]) for pid, count in effects.items()}
