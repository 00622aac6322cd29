# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The long form's cells of SIGKILLs, and the figures that each of them brings."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.campaign.figures import Figure
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.reporting import Report

MOST = 20
"""Messages in a call of the batch handler."""

CELLS: Mapping[str, Cell] = {
    "sqlite": Cell(messages=100_000, kills=1000, each=25),
    "redis": Cell(
        broker="redis",
        ledger="redis",
        effect="redis",
        messages=100_000,
        kills=1000,
        each=25,
        broker_kills=10,
        ledger_kills=10,
    ),
    "rabbitmq": Cell(
        broker="rabbitmq",
        ledger="postgresql",
        messages=30_000,
        kills=1000,
        each=25,
        broker_kills=5,
        ledger_kills=10,
    ),
    "rabbitmq-mariadb": Cell(broker="rabbitmq", ledger="mariadb", messages=10_000, kills=200, each=5),
    "kafka": Cell(
        broker="kafka",
        ledger="redis",
        effect="redis",
        messages=100_000,
        kills=1000,
        each=25,
        broker_kills=5,
    ),
    "children": Cell(effect="external", children=True, messages=10_000, kills=100, each=3),
    "batches": Cell(effect="external", batch=MOST, threads=1, messages=10_000, kills=200, each=5),
    "postgresql-restarts": Cell(
        broker="redis", ledger="postgresql", messages=10_000, kills=100, each=1, ledger_kills=20
    ),
    "redis-failovers": Cell(
        ledger="redis-failover", effect="redis", messages=10_000, kills=100, each=1, ledger_kills=10
    ),
}
"""By the part's name."""


def figures(part: str, report: Report) -> list[Figure]:
    """Of one cell that has run."""
    more = {"batches": _repeats, "postgresql-restarts": _deaths, "redis-failovers": _deaths}
    made = [_kills(part, report), _messages(part, report)]
    return [*made, more[part](report)] if part in more else made


def _kills(part: str, report: Report) -> Figure:
    cell, (least, point) = report.cell, report.least()
    told = f"{report.kills:,}; fewest {least} ({point})"
    if cell.children:
        told += f"; and of children {sum(report.struck.values()):,}"
    if report.broker_kills:
        told += f"; of the broker {report.broker_kills}"
    if report.ledger_kills:
        told += f"; of the ledger's server {report.ledger_kills}"
    return Figure(
        row="SIGKILLs",
        what=f"{part}: {_path(cell)}",
        goal=f">= {cell.kills:,}, each point >= {cell.each}",
        measured=told,
        met=report.kills >= cell.kills and least >= cell.each and not report.incomplete,
    )


def _messages(part: str, report: Report) -> Figure:
    cell, verdict = report.cell, report.verdict
    external = cell.effect == "external"
    once = "again only what was in hand" if external else "twice 0"
    told = (
        f"{report.confirmed:,}; lost {len(verdict.lost)}, {'again' if external else 'twice'} {report.duplicates:,}, "
        f"foreign {len(verdict.foreign)}, results refused {report.refused:,}, other faults {_others(report)}"
    )
    return Figure(
        row="messages",
        what=f"{part}: {_path(cell)}",
        goal=f">= {cell.messages:,}; lost 0, {once}, foreign 0",
        measured=told,
        met=report.confirmed >= cell.messages and not report.damage(),
    )


def _others(report: Report) -> str:
    names = [name for name in report.damage() if name not in ("lost", "duplicated", "foreign")]
    return ", ".join(names) or "0"


def _path(cell: Cell) -> str:
    where = " in child processes" if cell.children else ""
    how = f" in batches of {cell.batch}" if cell.batch else ""
    return f"{cell.broker} + {cell.ledger}, `{cell.effect}`{where}{how}"


def _repeats(report: Report) -> Figure:
    most = max((count for count, _ in report.again.values()), default=0)
    calls = max((calls for _, calls in report.again.values()), default=0)
    deaths, cut_off = sum(report.hits.values()), sum(count for count, _ in report.again.values())
    return Figure(
        row="batches",
        what=f"one thread, batches of {MOST}",
        goal=f"<= {MOST} effects again a death",
        measured=f"at most {most}, of {calls} batch; {cut_off:,} after {deaths:,} deaths",
        met=most <= MOST and bool(deaths),
    )


def _deaths(report: Report) -> Figure:
    cell, verdict = report.cell, report.verdict
    name = (
        "PostgreSQL's immediate shutdown"
        if cell.ledger == "postgresql"
        else "failover to the replica, with WAIT"
    )
    return Figure(
        row="faults",
        what=f"{name}, amid {report.kills:,} SIGKILLs",
        goal=f">= {cell.ledger_kills}; lost 0, twice 0",
        measured=f"{report.ledger_kills}; lost {len(verdict.lost)}, twice {report.duplicates}",
        met=report.ledger_kills >= cell.ledger_kills and not report.damage(),
    )
