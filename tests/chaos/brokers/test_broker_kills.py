# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The kill campaign in short: three SIGKILLs of each broker. `python -m tests.chaos.brokers` is the long form."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chaos.brokers.campaign import Campaign, Plan, judge
from tests.chaos.brokers.history import History
from tests.chaos.brokers.nodes import BROKERS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.mark.parametrize("broker", BROKERS)
def test_nothing_confirmed_is_lost(broker: str, tmp_path: Path) -> None:
    """Three SIGKILLs while publishing: each confirmed message is received, and acknowledged for good."""
    plan = Plan(broker=broker, messages=3000, kills=3, call=300, deadline=200)
    report = Campaign(plan, tmp_path).run()
    assert report.is_good, "\n".join(report.lines())


def test_each_effect_is_there_once(tmp_path: Path) -> None:
    """The same behind whole consumers with a ledger: no effect is missing, none there twice."""
    plan = Plan(broker="redis", messages=3000, kills=3, call=300, whole=True, deadline=200)
    report = Campaign(plan, tmp_path).run()
    assert report.is_good, "\n".join(report.lines())


def test_the_judge_finds_what_is_planted(tmp_path: Path) -> None:
    """A confirmed id without an end is lost, an end of what nobody published is foreign; a half line is no line."""
    publisher, receiver = History(tmp_path / "publisher.jsonl"), History(tmp_path / "receiver-0.jsonl")
    publisher.write("invoked", ["m1", "m2", "m3"])
    publisher.write("named", ["m3"])
    publisher.write("confirmed", ["m1", "m2"])
    receiver.write("received", ["m1", "m1", "m3", "x"])
    with (tmp_path / "receiver-0.jsonl").open("a") as file:
        file.write('{"kind": "received", "ids": ["m2"')
    finding = judge(tmp_path, ["m1", "m1", "m3", "x"])
    assert ({"m2"}, {"x"}, {"m1": 1}) == (finding.lost, finding.foreign, finding.duplicated)
