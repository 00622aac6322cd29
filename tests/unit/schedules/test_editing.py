# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One entry of schedules.yaml changed in place."""

from __future__ import annotations

import pytest
import yaml

from tickrelay_airflow.control.editing import edit, line_of
from tickrelay_messaging.errors import ConfigurationError

FILE = """\
# Ours.
schedules:
  - name: one # the first
    cron: "0 0 6 ? * MON-FRI" # seconds first
    timezone: 'Europe/Berlin'   # the office
    data: { task:  refresh,   region: eu }

  - {name: two, cron: '*/5 * * * *', queue: q}  # in braces
  - cron: 0 0 * * *
    name: three
    queue: q
"""


def lines(text: str) -> list[str]:
    return text.splitlines()


@pytest.mark.parametrize(
    ("name", "changes", "line", "fresh"),
    [
        ("one", {"cron": "@daily"}, 4, '    cron: "@daily" # seconds first'),
        ("one", {"timezone": "UTC"}, 5, "    timezone: 'UTC'   # the office"),
        ("two", {"cron": "0 1 * * *"}, 8, "  - {name: two, cron: '0 1 * * *', queue: q}  # in braces"),
        (
            "two",
            {"timezone": "Asia/Tokyo"},
            8,
            "  - {name: two, cron: '*/5 * * * *', timezone: Asia/Tokyo, queue: q}  # in braces",
        ),
        ("three", {"cron": "5 0 * * *"}, 9, '  - cron: "5 0 * * *"'),
    ],
)
def test_only_what_is_meant(name, changes, line, fresh):
    """One line changes; comments, order, quotes and spaces of all the others stay, byte for byte."""
    before, after = lines(FILE), lines(edit(FILE, name, changes) or "")

    assert fresh == after[line - 1]
    assert before[: line - 1] + before[line:] == after[: line - 1] + after[line:]


def test_a_field_that_was_not_there():
    """It gets a line of its own behind `cron`, the comment there stays where it is."""
    after = lines(edit(FILE, "one", {"gap": "shift"}) or "")

    assert ['    cron: "0 0 6 ? * MON-FRI" # seconds first', "    gap: shift"] == after[3:5]
    assert lines(FILE) == after[:4] + after[5:]


def test_line_breaks_stay():
    """A file with Windows' line breaks keeps them, and one without a last line break gets none."""
    text = FILE.replace("\n", "\r\n").rstrip()
    after = edit(text, "three", {"cron": "1 0 * * *", "timezone": "Asia/Tokyo"}) or ""

    assert after.count("\r\n") == after.count("\n") == text.count("\n") + 1
    assert "Asia/Tokyo" == yaml.safe_load(after)["schedules"][2]["timezone"]
    assert (
        edit("schedules: [{name: a, cron: x}]", "a", {"cron": "* 1"}) == 'schedules: [{name: a, cron: "* 1"}]'
    )


@pytest.mark.parametrize("value", ["it's", 'a "b"', "* # *", "x: y", "yes", "\u00e9", "- 1"])
@pytest.mark.parametrize("old", ["plain", "'single'", '"double"'])
def test_any_text(old, value):
    """Whatever the text, and in whatever quotes the old one was, the file then says that text."""
    after = edit(f"schedules:\n- name: a\n  cron: {old} # c\n", "a", {"cron": value}) or ""

    assert {"name": "a", "cron": value} == yaml.safe_load(after)["schedules"][0]
    assert after.endswith(" # c\n")


def test_no_such_entry():
    """None where no entry has the name; the line of one that is there."""
    assert (None, None, 7 + 1) == (
        edit(FILE, "four", {"cron": "x"}),
        line_of(FILE, "four"),
        line_of(FILE, "two"),
    )
    assert None is edit("", "one", {"cron": "x"})


@pytest.mark.parametrize("other", ["start: 2026-02-30", "conf: !secret x", "description: yes"])
def test_another_entry_s_mistakes(other):
    """They are none of this one's; the line is changed and the rest left as it is."""
    text = f"schedules:\n- name: b\n  {other}\n- name: a\n  cron: 1 1 * * *\n"

    assert text.replace("1 1 * * *", '"2 2 * * *"') == edit(text, "a", {"cron": "2 2 * * *"})


@pytest.mark.parametrize(
    "text",
    [
        "schedules:\n- name: a\n  cron: >\n    0 0\n    * * *\n",
        "schedules:\n- name: b\n  cron: &c 1 1 * * *\n- name: a\n  cron: *c\n",
        "schedules:\n- name: a\n  cron: &c 1 1 * * *\n- name: b\n  cron: *c\n",
        "schedules:\n- name: a\n  cron: 1 1\n    * * *\n  timezone: [1]\n",
        "schedules: [",
    ],
)
def test_what_has_to_be_edited_by_hand(text):
    """Folded text, a value that others share, a file that is no YAML: refused, rather than changing more than meant."""
    with pytest.raises(ConfigurationError, match=r"by hand|no YAML"):
        edit(text, "a", {"cron": "2 2 * * *", "timezone": "UTC"})
