# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Reads the table of capabilities in the reference."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "brokers.md"


def shown(broker: str) -> dict[str, bool | int]:
    """What the table says of one broker, by capability."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in REFERENCE.read_text().partition("## What they can do")[2].splitlines()
        if line.startswith("| ")
    ]
    column = rows[0].index(broker)
    return {re.findall(r"`(\w+)`", row[0])[0]: _value(row[column]) for row in rows[1:]}


def _value(cell: str) -> bool | int:
    if cell[:1].isdigit():
        return int(cell.replace(",", ""))
    assert cell.partition(",")[0] in {"yes", "no"}, cell
    return cell.startswith("yes")
