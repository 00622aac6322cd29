# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`python -m bench [--short] [NAME ...]`: every benchmark, or the named ones."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.report import console, machine

NAMES = (
    "sqlite_queue",
    "latency",
    "ledger",
    "brokers",
    "effects",
    "cron",
    "ticks",
    "sensors",
    "events",
    "triggerers",
)


def main() -> int:
    """Run and print; the exit code tells only whether every benchmark ran."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--short", action="store_true", help="fewer messages, for CI")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    console.print(f"[bold]Tickrelay benchmarks[/] on {machine()}\n")
    for name in given.names or NAMES:
        importlib.import_module(f"bench.{name}").main(short=given.short)
    return 0


if __name__ == "__main__":
    sys.exit(main())
