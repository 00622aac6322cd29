# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`tickrelay schedule set` and `lint`: files, and neither Airflow nor a ledger needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tickrelay_airflow.control import python_files
from tickrelay_messaging.ledger import open_ledger

FILE = """\
schedules:
  - name: nightly
    cron: "0 30 2 ? * *" # after the backup
    queue: reports
"""


@pytest.fixture
def file(place):
    """The default file, with one entry."""
    (place / "dags").mkdir()
    path = place / "dags" / "schedules.yaml"
    path.write_text(FILE)
    path.chmod(0o640)
    return path


class TestSet:
    def test_in_place(self, schedule, file):
        """The line is changed, its comment and the file's rights are kept, and a diff is printed."""
        answer = schedule("set", "nightly", "0 0 3 ? * *")

        assert 0 == answer.code
        assert FILE.replace("30 2", "0 3") == file.read_text()
        assert '-    cron: "0 30 2 ? * *" # after the backup' in answer.out
        assert '+    cron: "0 0 3 ? * *" # after the backup' in answer.out
        assert 0o640 == file.stat().st_mode & 0o777

    def test_said_twice(self, schedule, file):
        """The second time nothing is changed, and the answer says so."""
        schedule("set", "nightly", "0 0 3 ? * *", "--zone", "Asia/Tokyo")
        answer = schedule("set", "nightly", "0 0 3 ? * *", "--zone", "Asia/Tokyo")

        assert (0, "") == (answer.code, answer.out)
        assert "like that already" in answer.err

    def test_dry_run(self, schedule, file):
        """With --dry-run the diff is all there is."""
        answer = schedule("set", "nightly", "@hourly", "--dry-run", "--json")

        assert answer.json["changed"]
        assert (2, FILE) == (answer.json["line"], file.read_text())

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["0 61 2 ? * *"], "minute: '61'"),
            (["0 0 30 2 *"], "never ticks"),
            (["@daily", "--zone", "Mars/Base"], "Mars/Base"),
            (["@daily", "--gap", "jump"], "jump"),
        ],
    )
    def test_what_cannot_tick(self, schedule, file, arguments, said):
        """What the evaluator refuses is refused before the file is touched."""
        answer = schedule("set", "nightly", *arguments)

        assert (2, FILE) == (answer.code, file.read_text())
        assert said in answer.err

    def test_audited(self, schedule, file, place):
        """Who, what and why stand in the ledger's trail, under the schedule's id."""
        (place / ".tickrelay").mkdir()
        with open_ledger("sqlite:///.tickrelay/ledger.db") as ledger:
            schedule("set", "nightly", "@daily", "--reason", "the backup moved")
            (entry,) = ledger.audit.list(about="local/nightly")

        assert ("schedule set", True) == (entry.what, entry.who.startswith("cli:"))
        assert entry.detail.startswith("local/nightly cron '@daily'")
        assert entry.detail.endswith(": the backup moved")

    def test_without_a_ledger(self, schedule, file):
        """The change is made; that the trail doesn't have it is said."""
        assert "the audit trail doesn't have it" in schedule("set", "nightly", "@daily").err

    def test_a_file_without_the_entry(self, schedule, file):
        """A file that was named is the only place to look."""
        answer = schedule("set", "weekly", "@daily", "--file", str(file))

        assert 2 == answer.code
        assert "has no schedule weekly" in answer.err


class TestLint:
    def test_nothing_wrong(self, schedule, file):
        """A good file is exit code 0 and an empty standard output."""
        answer = schedule("lint")

        assert (0, "") == (answer.code, answer.out)

    def test_every_mistake(self, schedule, file):
        """Each mistake is a line `file:line: field: what`, of every entry, and the exit code is 1."""
        file.write_text(
            FILE + "  - {name: b, cron: '* * *', queue: 'a b', colour: red}\n  - {name: nightly}\n"
        )
        answer = schedule("lint", str(file))
        places = {tuple(line.removeprefix(f"{file}:").split(": ")[:2]) for line in answer.out.splitlines()}

        assert 1 == answer.code
        assert {("5", "queue"), ("5", "colour"), ("6", "cron"), ("6", "queue")} == places

    def test_json(self, schedule, file):
        """The same for programs."""
        file.write_text("schedules: 7\n")
        answer = schedule("lint", "--json")

        assert 1 == answer.code
        assert [("dags/schedules.yaml", 1, "file")] == [
            (p["file"], p["line"], p["field"]) for p in answer.json
        ]

    def test_no_file(self, schedule):
        """A file that isn't there is a mistake of the call, not a file without mistakes."""
        assert 2 == schedule("lint").code


class TestPythonFiles:
    def test_the_line_to_change(self):
        """The line where the expression is written, as it is and as it should be, quotes and all."""
        source = "x = 1\nwith DAG('\u00e9', schedule=timetable.CronSchedule('@daily', timezone='UTC')):\n    pass\n"
        (place,) = python_files.find(source, "@daily", "@hourly")

        assert (2, source.splitlines()[1]) == (place.line, place.old)
        assert place.old.replace("@daily", "@hourly") == place.new

    @pytest.mark.parametrize(
        "source",
        ["CronSchedule(EVERY_DAY)", "CronSchedule()", "CronSchedule('@weekly')", "other('@daily')", "("],
    )
    def test_nothing_to_point_at(self, source):
        """An expression that is put together elsewhere, or another one, isn't pointed at."""
        assert [] == python_files.find(source, "@daily", "@hourly")


@pytest.mark.parametrize("module", ["commands.schedule", "control.switching", "control.ticks"])
def test_without_airflow(module):
    """The commands don't load Airflow, which takes seconds; only `lint`, when it runs, does."""
    code = f"import sys, json, tickrelay_airflow.{module}; print(json.dumps('airflow' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not json.loads(done.stdout)
