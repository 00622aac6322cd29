# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The campaign in short: a cell a broker, with differing ledgers, every failpoint of its path at least once.

`python -m tests.chaos.campaign --long` is the long form; `--prove` plants all bugs.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.campaign.cell import run
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.plants import PLANTS
from tests.chaos.campaign.proving import QUICK, find

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

CELLS = [
    Cell(broker="sqlite", ledger="sqlite", effect="transaction"),
    Cell(broker="redis", ledger="redis", effect="external"),
    Cell(broker="rabbitmq", ledger="postgresql", effect="transaction", kills=24, ledger_kills=1),
    Cell(broker="kafka", ledger="sqlite", effect="transaction", kills=24),
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_nothing_is_lost_and_no_effect_there_twice(cell: Cell, tmp_path: Path) -> None:
    """
    Some thirty SIGKILLs, round the failpoints: what was confirmed has its effect, once where the ledger takes part; no
    stale fence is accepted, no attempt too many made, nothing left over, and every failpoint was hit.
    """
    report = run(cell, tmp_path)
    assert {} == report.faults(), f"{dict(report.hits)} {dict(report.others)}"


def test_there_are_bugs_enough() -> None:
    """At least ten; those of the short form are among them."""
    assert len(PLANTS) >= 10
    assert set(QUICK) <= PLANTS.keys()


@pytest.mark.parametrize("plant", QUICK)
def test_a_planted_bug_is_found(plant: str, tmp_path: Path) -> None:
    """A campaign that doesn't find what is planted proves nothing."""
    assert find(plant, tmp_path), plant
