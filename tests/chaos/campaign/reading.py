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
    """By process: how many of its external effects somebody had again later, and in how many calls it had them."""
    times: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, row in enumerate(Tail(folder / "consumer.jsonl").rows()):
        if row["kind"] == "effect":
            effect = Effect(*row["row"])
            times[effect.id].append((effect.pid, row.get("call", number)))
    again = [one for effects in times.values() for one in effects[:-1]]
    effects, calls = Counter(pid for pid, _ in again), Counter(pid for pid, _ in set(again))
    return {pid: (count, calls[pid]) for pid, count in effects.items()}
