# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""All rows, store by store."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from bench.ledger.dropping import Stalls, stalls
from bench.ledger.filling import fill
from bench.ledger.stores import STORES, Store
from bench.ledger.work import BATCH, ROUTE, Clock, Cost, enroll, one_batch
from bench.report import Row, console, scratch, show

FLAT = 1.5
LONGEST = 0.050
FEW = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """
    Attributes:
        measured: messages done to measure what they take.
        many: rows of the large ledger.
        rounds: batches claimed and settled on each.
        dropped: rows of the bucket that is dropped under load.
    """

    measured: int
    many: int
    rounds: int
    dropped: int


def main(*, short: bool) -> None:
    """Print all tables; a part that breaks says so, and the next begins."""
    size = Size(40_000, 150_000, 16, 150_000) if short else Size(100_000, 10_000_000, 80, 3_000_000)
    for title, part in _PARTS.items():
        rows: list[Row] = []
        for name in STORES:
            try:
                rows += part(name, size)
            except Exception as error:  # noqa: BLE001 - the other figures are worth having
                console.print(
                    f"[bold red]{title}, {name}: not measured[/]: {type(error).__name__}: {error}\n"
                )
        show(title, rows)


def _bytes(name: str, size: Size) -> list[Row]:
    rows = []
    for tagged in (False, True):
        with scratch() as folder, STORES[name](folder) as store, store.open(Clock()) as ledger:
            owner = enroll(ledger)
            count = size.measured // BATCH
            for _ in range(count):
                one_batch(ledger, owner, tagged=tagged)
            setting = "with digest and batch" if tagged else "id only"
            each = store.bytes_of("done") / (count * BATCH)
            goal = f"<= {store.goal} bytes"
            rows.append(Row(store.about, f"mark, {setting}", each, "bytes", goal, each <= store.goal))
            rows.append(
                Row(store.about, f"history, {setting}", store.bytes_of("history") / (count * BATCH), "bytes")
            )
    return rows


def _growth(name: str, size: Size) -> list[Row]:
    """Turn by turn on both ledgers, so that a slow moment of the machine hits both."""
    with ExitStack() as stack:
        works = [_filled(stack, name, rows) for rows in (FEW, size.many)]
        costs: list[list[Cost]] = [[], []]
        for _ in range(size.rounds):
            for cost, work in zip(costs, works, strict=True):
                cost.append(work())
    few, many = (statistics.median(one.both for one in cost[2:]) * 1e6 / BATCH for cost in costs)
    goal = (f"<= {FLAT} x of {FEW:,}", many <= FLAT * few)
    return [
        *(
            Row(f"{name}: {what}", f"{FEW:,} rows", statistics.median(seconds) * 1e6 / BATCH, "us")
            for what, seconds in (
                ("claim", [one.claim for one in costs[0]]),
                ("settle", [one.settle for one in costs[0]]),
            )
        ),
        Row(f"{name}: both", f"{FEW:,} rows", few, "us"),
        Row(f"{name}: both", f"{size.many:,} rows", many, "us", *goal, ratio=many / few),
    ]


def _filled(stack: ExitStack, name: str, rows: int) -> Callable[[], Cost]:
    store: Store = stack.enter_context(STORES[name](stack.enter_context(scratch())))
    ledger = stack.enter_context(store.open(Clock()))
    owner = enroll(ledger)
    fill(store, ledger, ROUTE.group, rows)
    return lambda: one_batch(ledger, owner)


def _dropping(name: str, size: Size) -> list[Row]:
    with scratch() as folder, STORES[name](folder) as store:
        quiet, loud = stalls(store, size.dropped)
    setting = f"while {size.dropped:,} ids go"
    goal = (f"<= {LONGEST * 1e3:.0f} ms", loud.longest <= LONGEST)
    return [
        *_stalls(store, "nothing goes", quiet),
        Row(store.about, f"longest batch {setting}", loud.longest * 1e3, "ms", *goal),
        Row(store.about, f"median batch {setting}", loud.median * 1e3, "ms"),
        Row(store.about, "until their room is free", loud.seconds, "s"),
    ]


def _stalls(store: Store, setting: str, found: Stalls) -> list[Row]:
    return [
        Row(store.about, f"longest batch, {setting}", found.longest * 1e3, "ms"),
        Row(store.about, f"median batch, {setting}", found.median * 1e3, "ms"),
    ]


_PARTS: dict[str, Callable[[str, Size], list[Row]]] = {
    "Bytes of a done message": _bytes,
    f"Claim and settle, batches of {BATCH}: cost a message as the ledger grows": _growth,
    f"Claim and settle {BATCH} messages at full rate while a bucket is dropped": _dropping,
}
