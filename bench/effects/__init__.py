# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Effects a second: receive, deduplicate, append one byte to a file, settle, acknowledge. Ours on every broker and ledger,
the bare client, a bare loop that claims and completes as well, and the peers, each in processes of its own.
"""

from __future__ import annotations


def main(*, short: bool) -> None:
    """Print all tables."""
    from bench.effects import (
        table,
    )  # here: a contestant's process, a module of this package, needs none of it

    table.main(short=short)
