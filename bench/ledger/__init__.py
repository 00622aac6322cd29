# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How much room a done message takes, what a claim costs as the ledger grows, and who notices when old ids go."""

from __future__ import annotations

from bench.ledger import table


def main(*, short: bool) -> None:
    """Print all tables."""
    table.main(short=short)
