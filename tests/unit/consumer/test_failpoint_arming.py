# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Failpoints: armed by text, struck at their hit, and free of cost otherwise."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.failpoints import POINTS, SEED, FailpointError, arm, failpoint

ROOT = Path(__file__).parents[3]
HOUSE = ("messaging", "consumer", "capture", "operators", "plugins")
CALL = re.compile(r"""\bfailpoint\(\s*(.*?)\s*\)""")


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    arm("")


@pytest.mark.parametrize(("at", "expected"), [("", [1]), ("@1", [1]), ("@3", [3]), ("@*", [1, 2, 3, 4])])
def test_it_strikes_at_its_hit(at: str, expected: list[int]) -> None:
    """At the first, the n-th, or every one; other points aren't touched."""
    arm(f"consumer.after_claim=raise{at};consumer.draining=raise")
    struck = []
    for hit in (1, 2, 3, 4):
        failpoint("consumer.after_effect")
        try:
            failpoint("consumer.after_claim")
        except FailpointError:
            struck.append(hit)
    assert expected == struck


@pytest.mark.parametrize(
    "text",
    [
        "nowhere=kill",
        *(
            "consumer.draining" + rest
            for rest in ("", "=explode", "=kill@x", "=kill@0", "=kill@\u00b2", "=kill%2", "=kill@", "=sleep")
        ),
    ],
)
def test_a_mistake_is_refused(text: str) -> None:
    """A campaign that arms nothing would prove nothing."""
    with pytest.raises(ConfigurationError, match="is no failpoint"):
        arm(text)


def test_the_registry_is_the_source() -> None:
    """Every call in the source names a point of the registry, by a literal, and every point is somewhere called."""
    files = [path for folder in HOUSE for path in (ROOT / folder).rglob("*.py") if path.stem != "failpoints"]
    called = {name for path in files for name in CALL.findall(path.read_text())}
    assert {f'"{name}"' for name in POINTS} == called


def test_a_chance_is_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """About every fifth hit, and with one seed always the same ones."""
    runs = []
    for seed in ("1", "1", "2"):
        monkeypatch.setenv(SEED, seed)
        arm("consumer.after_claim=raise%0.2")
        runs.append([_raises("consumer.after_claim") for _ in range(1000)])
    assert runs[0] == runs[1] != runs[2]
    assert 100 < sum(runs[0]) < 300


def _raises(name: str) -> bool:
    try:
        failpoint(name)
    except FailpointError:
        return True
    return False


def test_it_can_be_late() -> None:
    """`sleep` lets the process go on afterwards."""
    arm("consumer.after_claim=sleep(0.05)")
    began = time.monotonic()
    failpoint("consumer.after_claim")
    assert time.monotonic() - began >= 0.05


def test_unarmed_it_costs_next_to_nothing() -> None:
    """Under 100 ns in the best of some rounds, the loop around it included; the others are the neighbours' doing."""
    arm("")
    rounds = []
    for _ in range(50):
        began = time.perf_counter()
        for _ in range(2000):
            failpoint("consumer.after_claim")
        rounds.append((time.perf_counter() - began) / 2000)
    assert min(rounds) < 100e-9
