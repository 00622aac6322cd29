# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The alerts on ticks: the metric they ask for exists, and they fire when they should and not otherwise."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.ledger.schedules import TickOutcome

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "ticks.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def case(outcome: str, values: str, minute: int, alert: str, *, fires: bool) -> dict[str, Any]:
    """One series of promtool's notation, scraped a minute by two consumers, and whether the alert is on."""
    label = f'schedule="airflow/nightly",outcome="{outcome}"'
    rule = next(rule for rule in ALERTS if rule["alert"] == alert)
    texts = {
        name: " ".join(text.replace("{{ $labels.schedule }}", "airflow/nightly").split())
        for name, text in rule["annotations"].items()
    }
    expected = {"exp_labels": {"schedule": "airflow/nightly", **rule["labels"]}, "exp_annotations": texts}
    return {
        "interval": "1m",
        "input_series": [
            {"series": f'tickrelay_ticks_total{{{label},instance="{name}"}}', "values": values}
            for name in ("a", "b")
        ],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [expected] if fires else []}
        ],
    }


CASES = {
    "one misfire is told": case("misfired", "0x9 1x20", 12, "TickrelayTickMisfired", fires=True),
    "and forgotten after a while": case("misfired", "0x9 1x40", 40, "TickrelayTickMisfired", fires=False),
    "a misfire of before the start isn't": case("misfired", "1x30", 20, "TickrelayTickMisfired", fires=False),
    "fired ticks are no misfires": case("fired", "0+5x30", 20, "TickrelayTickMisfired", fires=False),
    "a consumer that starts anew isn't": case(
        "misfired", "3x9 0x20", 20, "TickrelayTickMisfired", fires=False
    ),
    "two overlaps pass": case("overlapped", "0x9 1x9 2x60", 50, "TickrelayTicksOverlapping", fires=False),
    "four don't": case("overlapped", "0x9 1x9 2x9 3x9 4x60", 50, "TickrelayTicksOverlapping", fires=True),
    "a short pause is quiet": case("revoked", "0x5 1x120", 30, "TickrelayTicksRevoked", fires=False),
    "a half pause isn't": case("revoked", "0+1x240", 120, "TickrelayTicksRevoked", fires=True),
}


def promtool(program: str, *arguments: str, folder: Path) -> str:
    """What it says; fails if it isn't content."""
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=30, check=False, cwd=folder
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_the_metrics_exist() -> None:
    """Each rule asks for a metric that consumers have, with labels and outcomes that there are."""
    (family,) = [one for one in Metrics().registry.collect() if one.name == "tickrelay_ticks"]
    assert "counter" == family.type
    for rule in ALERTS:
        assert {"tickrelay_ticks_total"} == set(re.findall(r"tickrelay_\w+", rule["expr"]))
        assert set(re.findall(r'outcome="(\w+)"', rule["expr"])) <= set(TickOutcome)


def test_every_alert_says_what_to_do() -> None:
    """A severity, a summary that names the schedule, a description."""
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert "$labels.schedule" in rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_promtool_accepts_them(need: Callable[[str], str], tmp_path: Path) -> None:
    """Prometheus' own checker finds nothing."""
    assert "SUCCESS: 3 rules found" in promtool(
        need("promtool"), "check", "rules", str(RULES), folder=tmp_path
    )


@pytest.mark.parametrize("name", CASES)
def test_they_fire(need: Callable[[str], str], tmp_path: Path, name: str) -> None:
    """Each fires when it should, and only then, as Prometheus evaluates it."""
    test = tmp_path / "test.yaml"
    test.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [CASES[name]]}))
    promtool(need("promtool"), "test", "rules", str(test), folder=tmp_path)
