# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay cron next`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from tickrelay_airflow.commands.cron import app


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    """The outcome of the command."""
    return CliRunner().invoke(app, ["next", *arguments], input=stdin)


def test_one_instant_a_line() -> None:
    """Ticks are printed in UTC, strictly after the start, in the asked-for policy."""
    arguments = ["30 2 * * *", "--zone", "America/New_York", "--from", "2026-03-07T00:00:00Z", "--count", "3"]
    skip, shift = run(*arguments), run(*arguments, "--gap", "shift")
    assert skip.stdout == "2026-03-07T07:30:00Z\n2026-03-09T06:30:00Z\n2026-03-10T06:30:00Z\n"
    assert shift.stdout == "2026-03-07T07:30:00Z\n2026-03-08T07:30:00Z\n2026-03-09T06:30:00Z\n"
    assert (skip.exit_code, shift.exit_code) == (0, 0)


def test_overlap() -> None:
    """`--overlap both` shows both passes of the repeated hour."""
    arguments = ["30 1 1 11 *", "--zone", "America/New_York", "--from", "2026-10-01", "--count", "2"]
    assert run(*arguments).stdout == "2026-11-01T05:30:00Z\n2027-11-01T05:30:00Z\n"
    assert run(*arguments, "--overlap", "both").stdout == "2026-11-01T05:30:00Z\n2026-11-01T06:30:00Z\n"


@pytest.mark.parametrize("start", ["2026-03-07T05:00", "2026-03-07T05:00Z", "2026-03-07T00:00-05:00"])
def test_start_without_offset_is_utc(start: str) -> None:
    """A start has an offset, or is in UTC, whatever the zone of the schedule."""
    answer = run("0 * * * *", "--zone", "America/New_York", "--from", start, "--count", "1")
    assert answer.stdout == "2026-03-07T06:00:00Z\n"


def test_default_start_is_now() -> None:
    """Without a start the coming ticks are shown."""
    before = datetime.now(UTC)
    tick = datetime.fromisoformat(run("* * * * * *", "--count", "1").stdout.strip())
    assert -1 < (tick - before).total_seconds() < 30


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["61 * * * *"], "minute: '61' is outside 0-59"),
        (["* * * * *", "--zone", "Mars/Olympus"], "timezone: 'Mars/Olympus' is no known time zone"),
        (["* * * * *", "--from", "soon"], "from: 'soon' is no ISO 8601 instant"),
        (["* * * * *", "--count", "0"], "count: '0' is not a whole number from 1 to 100000"),
        (["* * * * *", "--count", "many"], "count: 'many' is not a whole number"),
        (["* * * * *", "--gap", "move"], "--gap"),
    ],
)
def test_bad_arguments(arguments: list[str], reason: str) -> None:
    """A bad argument ends with status 2, the reason on standard error, and nothing on standard output."""
    answer = run(*arguments)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert reason in answer.stderr


def test_exhausted_schedule() -> None:
    """A schedule that ends gives fewer ticks, down to none, and that is no error."""
    assert run("0 0 0 1 1 ? 2030", "--from", "2026-01-01").stdout == "2030-01-01T00:00:00Z\n"
    ended = run("0 0 0 1 1 ? 2020", "--from", "2026-01-01")
    assert (ended.exit_code, ended.stdout) == (0, "")


def test_json() -> None:
    """`--json` answers with one object."""
    answer = json.loads(run("0 0 1 1 *", "--from", "2026-01-01T00:00Z", "--count", "1", "--json").stdout)
    assert answer == {
        "expression": "0 0 1 1 *",
        "timezone": "UTC",
        "description": "At 00:00, on day 1 of the month, only in January",
        "ticks": ["2027-01-01T00:00:00Z"],
    }


LINES = [
    ("0 9 * * *\tEurope/Berlin\t2026-03-28T00:00Z\t2", "2026-03-28T08:00:00Z,2026-03-29T07:00:00Z"),
    ("61 * * * *\tUTC\t2026-01-01\t2", "error: minute: '61' is outside 0-59"),
    ("", "error: line has 1 columns; write expression<TAB>zone<TAB>from<TAB>count"),
    (
        "* * * * *\tUTC\t2026-01-01\t1\tmore",
        "error: line has 5 columns; write expression<TAB>zone<TAB>from<TAB>count",
    ),
    ("0 0 0 1 1 ? 2020\tUTC\t2026-01-01\t3", ""),
    ("@daily", "2026-01-02T00:00:00Z"),
    ("@daily\t\t2026-06-01\t", "2026-06-02T00:00:00Z"),
    ("30 2 8 3 *\tAmerica/New_York\t2026-01-01\t1\r", "2026-03-08T07:30:00Z"),
]


def test_bulk() -> None:
    """With `-` each input line is answered by one output line; errors are answers and the status is 0."""
    text = "\n".join(line for line, _ in LINES)
    answer = run("-", "--from", "2026-01-01", "--count", "1", "--gap", "shift", stdin=text)
    assert answer.stdout.split("\n") == [*(expected for _, expected in LINES), ""]
    assert answer.exit_code == 0


def test_bulk_json_and_foreign_bytes() -> None:
    """In JSON each line is an object with ticks or an error; bytes that are no UTF-8 are only a bad line."""
    answer = run("-", "--json", "--from", "2026-01-01", "--count", "1", stdin=b"@daily\n\xff\xfe * * * *\n")
    good, bad = (json.loads(line) for line in answer.stdout.splitlines())
    assert good["ticks"] == ["2026-01-02T00:00:00Z"]
    assert bad["error"].startswith("minute: ")


def test_bulk_is_fast() -> None:
    """Ten thousand schedules, each new to the process, take a few seconds."""
    zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo"]
    lines = [
        f"{n % 60} {n // 60 % 24} {n % 28 + 1} * {n % 7}\t{zones[n % 4]}\t2026-01-01\t5"
        for n in range(10_000)
    ]
    began = time.perf_counter()
    answer = run("-", stdin="\n".join(lines))
    assert time.perf_counter() - began < 10
    assert [line.count(",") for line in answer.stdout.splitlines()] == [4] * 10_000


def test_without_airflow() -> None:
    """The command does not load Airflow, which takes seconds."""
    code = "import sys, tickrelay_airflow.commands.cron; print([m for m in sys.modules if m == 'airflow'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_path()
    )
    assert done.stdout.strip() == "[]"


def _path() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}
