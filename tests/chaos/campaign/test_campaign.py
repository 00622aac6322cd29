# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The campaign in short: a cell a broker, with differing ledgers, every failpoint of its path at least once.

And one of child processes, one of batches. `python -m tests.chaos.campaign --long` is the long form.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.campaign.cell import run
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.plants import PLANTS
from tests.chaos.campaign.proving import QUICK, find

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

CELLS = [
    Cell(broker="sqlite", ledger="sqlite", effect="transaction"),
    Cell(broker="redis", ledger="redis", effect="redis"),
    Cell(broker="rabbitmq", ledger="postgresql", effect="transaction", kills=24, ledger_kills=1),
    Cell(broker="kafka", ledger="sqlite", effect="transaction", kills=24),
    Cell(broker="sqlite", ledger="redis-failover", effect="redis", kills=17, ledger_kills=1),
    Cell(effect="external", children=True, messages=500, kills=10),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_nothing_is_lost_and_no_effect_there_twice(cell: Cell, tmp_path: Path) -> None:
    """
    Some thirty SIGKILLs, round the failpoints: what was confirmed has its effect, once where the ledger takes part; no
    stale fence is accepted, no attempt too many made, nothing left over, and every failpoint was hit.
    """
    report = run(cell, tmp_path)
    assert {} == report.faults(), f"{dict(report.hits)} {dict(report.others)}"


def test_a_death_repeats_at_most_the_batch(tmp_path: Path) -> None:
    """External effects in batches: nothing is lost, and whoever dies has no more repeated than its one thread had."""
    report = run(Cell(effect="external", batch=20, threads=1, kills=17), tmp_path)
    assert {} == report.faults(), f"{dict(report.hits)} {dict(report.others)}"
    assert max(count for count, _ in report.again.values()) <= 20


def test_there_are_bugs_enough() -> None:
    """At least ten; those of the short form are among them."""
    assert len(PLANTS) >= 10
    assert set(QUICK) <= PLANTS.keys()


@pytest.mark.parametrize("plant", QUICK)
def test_a_planted_bug_is_found(plant: str, tmp_path: Path) -> None:
    """A campaign that doesn't find what is planted proves nothing."""
    assert find(plant, tmp_path), plant
