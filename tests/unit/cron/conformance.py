# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - tables are read by their rows
"""
The rules of other people's cron, each with an expression that shows whether ours keeps it, and the page made of them.

Write the page anew with `python -m tests.unit.cron.conformance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cron-conformance.md"
SAME = ""


@dataclass(frozen=True)
class Rule:
    """
    One rule of a standard.

    Attributes:
        text: what it demands.
        expression: one that shows it.
        ticks: instants (UTC) and whether ours ticks then; none if ours refuses the expression.
        why: empty where ours keeps the rule; else what ours does, and why.
        options: of `Cron`.
    """

    text: str
    expression: str
    ticks: Mapping[str, bool] = field(default_factory=dict)
    why: str = SAME
    options: Mapping[str, Any] = field(default_factory=dict)


REFUSED: dict[str, bool] = {}
UNIX = {"dialect": "unix"}

OCPS_1_0 = [
    Rule("Five fields: minute, hour, day of month, month, day of week", "15 10 * * *", {"2025-03-10 10:15": True, "2025-03-10 10:14": False}),
    Rule("Blanks and tabs around and between fields count as one delimiter", " 15\t 10 *  * * ", {"2025-03-10 10:15": True}),
    Rule("Any other character is refused", "15 10 * * $", REFUSED),
    Rule("Names of months and weekdays, in any case", "30 8 * jan Mon", {"2025-01-06 08:30": True, "2025-02-03 08:30": False}),
    Rule("0 and 7 are both Sunday", "0 0 * * 0,7", {"2025-10-05 00:00": True, "2025-10-06 00:00": False}),
    Rule("Lists of values, ranges and steps unite", "0,10-12,40-59/10 9 * * *", {"2025-03-10 09:11": True, "2025-03-10 09:50": True, "2025-03-10 09:13": False}),
    Rule("A step begins at the lower end of its range", "5-59/15 9 * * *", {"2025-03-10 09:20": True, "2025-03-10 09:15": False}),
    Rule("A step on a star covers the field", "*/20 9 * * *", {"2025-03-10 09:40": True, "2025-03-10 09:30": False}),
    Rule("Both day fields restricted: a day that matches either", "0 12 1 * MON", {"2025-10-01 12:00": True, "2025-10-06 12:00": True, "2025-10-07 12:00": False}),
    Rule("A star leaves a day field unrestricted", "0 12 * * MON", {"2025-10-06 12:00": True, "2025-10-07 12:00": False}),
    Rule("The whole range written out is a restriction", "0 12 1-31 * MON", {"2025-10-07 12:00": True}),
    Rule("Values outside their field are refused", "60 0 * * *", REFUSED),
    Rule("A step of 0 is refused", "*/0 * * * *", REFUSED),
    Rule("A step needs a range or a star before it", "0 0 /30 * *", REFUSED),
    Rule("A step after a single value isn't defined", "5/15 9 * * *", {"2025-03-10 09:20": True, "2025-03-10 09:00": False}, "From the value to the field's end, as Quartz, robfig/cron and old croniter have it: such expressions are all about, and 5-59/15 means the same"),
    Rule("A range that runs backwards is refused", "0 22-2 * * *", {"2025-03-10 23:00": True, "2025-03-10 02:00": True, "2025-03-10 12:00": False}, "Wraps around, as in Quartz: nights and FRI-MON are what people mean by it. In the year field it is refused"),
    Rule("An impossible date is no error of syntax", "0 0 31 2 *", {"2025-02-28 00:00": False}, "Kept by the evaluator, whose search ends with nothing; `CronSchedule` refuses it, as a DAG that never runs should be seen"),
    Rule("A step longer than its field isn't forbidden", "*/90 * * * *", REFUSED, "Refused: it would mean minute 0, and whoever writes it means every 90 minutes, `@every 90m`"),
    Rule("Fields are read in the scheduler's local time", "0 9 * * *", {"2025-03-10 09:00": True}, "In the zone that is named, UTC by default: a host's own zone would let two schedulers disagree"),
]  # fmt: skip
OCPS_1_1 = [
    Rule("`@yearly`, `@annually`", "@annually", {"2026-01-01 00:00": True, "2026-01-02 00:00": False}),
    Rule("`@monthly`", "@monthly", {"2026-02-01 00:00": True, "2026-02-02 00:00": False}),
    Rule("`@weekly` is Sunday", "@weekly", {"2025-10-05 00:00": True, "2025-10-06 00:00": False}),
    Rule("`@daily`, `@midnight`", "@midnight", {"2025-10-07 00:00": True, "2025-10-07 00:01": False}),
    Rule("`@hourly`", "@hourly", {"2025-10-07 10:00": True, "2025-10-07 10:01": False}),
    Rule("A nickname stands alone", "@daily 0 0 * * *", REFUSED),
    Rule("Whether case matters: the draft says no, the test vectors yes", "@Daily", {"2025-10-07 00:00": True}, "It doesn't, as for every other name"),
    Rule("`@reboot` is read, and may be refused where nothing starts up", "@reboot", REFUSED, "Refused at once, as unknown: a schedule is a function of time, and Airflow's `@once` is at hand"),
]  # fmt: skip
OCPS_1_2 = [
    Rule("Six fields begin with the second", "30 15 10 * * *", {"2025-03-10 10:15:30": True, "2025-03-10 10:15:29": False}),
    Rule("Five fields mean second 0", "15 10 * * *", {"2025-03-10 10:15:00": True, "2025-03-10 10:15:30": False}),
    Rule("Seven fields end with the year", "0 15 10 * * * 2025", {"2025-03-10 10:15:00": True, "2026-03-10 10:15:00": False}),
    Rule("Years from 1970 to 2199", "0 0 0 1 1 * 1970-2199/2", {"2026-01-01 00:00:00": True, "2025-01-01 00:00:00": False}),
    Rule("Other years where the implementation says so", "0 0 0 1 1 * 1969", REFUSED),
    Rule("Weekday numbers as with five fields, 0 or 7 for Sunday", "0 0 0 * * 1", {"2025-10-05 00:00:00": True, "2025-10-06 00:00:00": False}, 'With seconds 1 is Sunday, as in Quartz, whose form this is; `dialect="unix"` keeps the rule, and names need none'),
    Rule("The same, asked for", "0 0 0 * * 1", {"2025-10-06 00:00:00": True, "2025-10-05 00:00:00": False}, options=UNIX),
    Rule("Both day fields restricted: either, as with five fields", "0 0 0 13 * FRI", {"2025-06-13 00:00:00": True, "2025-06-20 00:00:00": False}, 'With seconds a day must match both: Quartz allows one field only, and either would be a surprise there. `dialect="unix"` keeps the rule'),
    Rule("The same, asked for", "0 0 0 13 * FRI", {"2025-06-13 00:00:00": True, "2025-06-20 00:00:00": True}, options=UNIX),
]  # fmt: skip
QUARTZ = [
    Rule("Seconds, minutes, hours, day of month, month, day of week, and a year or none", "0 15 10 ? * MON-FRI", {"2025-03-10 10:15": True, "2025-03-09 10:15": False}),
    Rule("`?` in a day field: no restriction", "0 0 12 15 * ?", {"2025-03-15 12:00": True, "2025-03-16 12:00": False}),
    Rule("1 is Sunday, 7 is Saturday", "0 0 0 ? * 1", {"2025-10-05 00:00": True, "2025-10-06 00:00": False}),
    Rule("0 is no weekday", "0 0 0 ? * 0", REFUSED),
    Rule("`L`: the month's last day", "0 0 0 L * ?", {"2024-02-29 00:00": True, "2024-02-28 00:00": False}),
    Rule("`L-3`: three days before it", "0 0 0 L-3 * ?", {"2025-01-28 00:00": True, "2025-01-31 00:00": False}),
    Rule("`L` as day of week: Saturday", "0 0 0 ? * L", {"2025-10-04 00:00": True, "2025-10-05 00:00": False}),
    Rule("`6L`: the month's last Friday", "0 0 0 ? * 6L", {"2025-02-28 00:00": True, "2025-02-21 00:00": False}),
    Rule("`15W`: the working day nearest to the 15th", "0 0 0 15W * ?", {"2025-06-16 00:00": True, "2025-06-15 00:00": False}),
    Rule("`1W` stays in its month", "0 0 0 1W * ?", {"2025-02-03 00:00": True, "2025-01-31 00:00": False}),
    Rule("`LW`: the month's last working day", "0 0 0 LW * ?", {"2025-05-30 00:00": True, "2025-05-31 00:00": False}),
    Rule("`6#3`: the month's third Friday", "0 0 0 ? * 6#3", {"2025-06-20 00:00": True, "2025-06-13 00:00": False}),
    Rule("`#5` where there is no fifth: no tick", "0 0 0 ? * 6#5", {"2025-05-30 00:00": True, "2025-06-27 00:00": False}),
    Rule("`5/15` in the seconds: 5, 20, 35, 50", "5/15 * * * * ?", {"2025-03-10 10:15:20": True, "2025-03-10 10:15:00": False}),
    Rule("`*/15` is `0/15`", "*/15 * * * * ?", {"2025-03-10 10:15:45": True, "2025-03-10 10:15:20": False}),
    Rule("Ranges over the end: `22-2`, `NOV-FEB`", "0 0 22-2 ? NOV-FEB *", {"2025-12-01 23:00": True, "2025-03-01 23:00": False}),
    Rule("Names in any case", "0 0 0 ? jan sun", {"2025-01-05 00:00": True}),
    Rule("Years from 1970 to 2099", "0 0 0 1 1 ? 2150", {"2150-01-01 00:00": True}, "To 2199: more costs nothing"),
    Rule("A step without anything before it, `/15`, begins at 0", "/15 * * * * ?", REFUSED, "Refused, as by OCPS: `0/15` says it"),
    Rule("One of the day fields must be `?`", "0 0 0 13 * FRI", {"2025-06-13 00:00": True, "2025-06-20 00:00": False}, "Both may be given and must both match; `*` and `?` mean the same there"),
    Rule("Five fields are refused", "0 9 * * *", {"2025-03-10 09:00": True}, "Read as Unix: the number of fields says which is meant"),
    Rule("`W` with a single day only, `#` and `nL` alone", "0 0 0 1W,15W,L * ?", {"2025-06-16 00:00": True, "2025-06-30 00:00": True, "2025-06-17 00:00": False}, "Lists are allowed: nothing speaks against it"),
    Rule("Weekday names are three letters; longer ones are cut", "0 0 0 ? * FRIDAY", REFUSED, "Refused: what isn't read in full may be a slip"),
    Rule("A step longer than its field is refused", "0 0/90 * * * ?", REFUSED),
    Rule("Around changes of daylight saving a tick may be left out or come twice", "0 30 2 * * ?", {"2026-03-08 07:30": False, "2026-03-09 06:30": True}, "Declared by `gap` and `overlap`, never by chance", {"timezone": "America/New_York"}),
]  # fmt: skip

STANDARDS = {
    "OCPS 1.0: the baseline": OCPS_1_0,
    "OCPS 1.1: nicknames": OCPS_1_1,
    "OCPS 1.2: seconds and years": OCPS_1_2,
    "Quartz: the documented grammar of `CronExpression`": QUARTZ,
}
HEAD = """<!--
SPDX-FileCopyrightText: 2026 The Tickrelay engineers
SPDX-License-Identifier: Apache-2.0
Made by: python -m tests.unit.cron.conformance
-->
# Cron: conformance

The rules of the [Open Cron Pattern Specification](https://github.com/open-source-cron/ocps) 1.0 to 1.2 and of Quartz's
documentation, each with an expression that shows it, and where ours differs, why. Every row is a test: the expression is
evaluated, and a row that says "as asked" fails if it isn't. OCPS judges an implementation as it comes, without options.

"""


def page() -> str:
    """The page, in Markdown."""
    return HEAD + "\n".join(_table(name, rules) for name, rules in STANDARDS.items())


def _table(name: str, rules: list[Rule]) -> str:
    kept = sum(not rule.why for rule in rules)
    lines = [f"## {name}", "", f"{kept} of {len(rules)} as asked; the others differ deliberately.", ""]
    lines += ["| rule | shown by | ours |", "|---|---|---|"]
    for rule in rules:
        shown = " ".join(rule.expression.split())
        if rule.options:
            shown += "`, `" + ", ".join(f'{name}="{value}"' for name, value in rule.options.items())
        lines.append(f"| {rule.text} | `{shown}` | {rule.why or 'as asked'} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page())
