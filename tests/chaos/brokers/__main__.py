# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
`python -m tests.chaos.brokers --broker redis|rabbitmq|kafka [--consumer] [--messages N] [--kills K] [--seed S]`.

The long form of the kill campaign: 100,000 messages (RabbitMQ 30,000) through 30 SIGKILLs of the broker. Exit code 1 if
anything is lost, left or foreign, or an effect is there twice. Histories stay in the folder it names.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.brokers.campaign import Campaign, Plan
from tests.chaos.brokers.nodes import BROKERS

MESSAGES = {"redis": 100_000, "kafka": 100_000, "rabbitmq": 30_000}


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.brokers")
    parser.add_argument("--broker", choices=BROKERS, required=True)
    parser.add_argument(
        "--consumer", action="store_true", help="whole consumers with a ledger, effects counted"
    )
    parser.add_argument("--toxiproxy", action="store_true", help="late and in pieces; redis and rabbitmq")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deadline", type=float, default=1800.0, help="seconds for everything")
    parser.add_argument("--folder", type=Path, help="for histories and logs; a new one by default")
    given = parser.parse_args(arguments)
    if given.toxiproxy and given.broker == "kafka":
        parser.error("--toxiproxy: Kafka tells its clients its own address, past the proxy")
    folder = given.folder or Path(tempfile.mkdtemp(prefix=f"tickrelay-{given.broker}-"))
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        broker=given.broker,
        messages=given.messages or MESSAGES[given.broker],
        kills=given.kills,
        seed=given.seed,
        whole=given.consumer,
        slow=given.toxiproxy,
        deadline=given.deadline,
    )
    _say(f"{datetime.now(UTC):%Y-%m-%d %H:%M}Z, {platform.platform()}, histories in {folder}")
    report = Campaign(plan, folder, _say).run()
    (folder / "report.json").write_text(json.dumps(asdict(report), indent=1))
    _say("\n".join([*report.lines(), "nothing lost" if report.is_good else "NOT GOOD, see above"]))
    return 0 if report.is_good else 1


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the command's output


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
