# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Histories that nobody wrote: Hypothesis' against the models, and mutated ones against the judge; counted."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.campaign.figures import ROOT
from tests.chaos.campaign.judging import judge
from tests.chaos.campaign.test_judging import MUTATIONS, good

MODELS = (
    "tests/unit/ledger/test_model.py",
    "tests/integration/ledger/test_redis_model.py",
    "tests/chaos/test_broker_model.py",
)
_NAME = re.compile(r"::(Test\w+)::runTest:")
_PASSED = re.compile(r"during (?:generate|reuse) phase .*?(\d+) passing", re.DOTALL)
SEEDS = 200


@dataclass(frozen=True, slots=True)
class Generated:
    """
    Attributes:
        passed: histories that agreed with their model, by the model's test.
        failed: one didn't; its log says which.
    """

    passed: dict[str, int]
    failed: bool


def generate(folder: Path, *, each: int, seed: int) -> Generated:
    """So many histories a model, counted as Hypothesis says."""
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | {"TICKRELAY_EXAMPLES": str(each)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--hypothesis-show-statistics", f"--hypothesis-seed={seed}", "--timeout=3000", *MODELS]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    (folder / "histories.log").write_text(done.stdout + done.stderr)
    return Generated(counted(done.stdout), bool(done.returncode))


def counted(statistics: str) -> dict[str, int]:
    """What Hypothesis' statistics say of each model."""
    _, *parts = _NAME.split(statistics)
    return {
        name: sum(map(int, _PASSED.findall(told))) for name, told in zip(parts[::2], parts[1::2], strict=True)
    }


def mutate() -> tuple[int, int]:
    """How many mutated histories the judge was shown, and how many of them it took for good or named wrongly."""
    shown = unseen = 0
    for mutation in MUTATIONS:
        for seed in range(SEEDS):
            dice = random.Random(seed)
            history, fault, name = mutation(dice, good(dice))
            shown += 1
            unseen += name not in judge(history).faults().get(fault, ())
    return shown, unseen
