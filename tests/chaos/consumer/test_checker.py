# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The checker finds what is planted: a checker that never complains proves nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from checker import check

IDS = [f"m{number}" for number in range(200)]
DEAD = IDS[:5]
EFFECTS = IDS[5:]


def test_a_good_history_is_clean() -> None:
    """Each published id has one effect, or one dead letter; order says nothing."""
    assert check(IDS, EFFECTS, DEAD).is_clean
    assert check([*IDS, IDS[7]], EFFECTS[::-1], DEAD).is_clean
    assert check([], []).is_clean


History = tuple[list[str], list[str], list[str]]


def _drop(dice: random.Random, history: History) -> tuple[str, set[str]]:
    gone = dice.choice(history[1])
    history[1].remove(gone)
    return "lost", {gone}


def _drop_dead(dice: random.Random, history: History) -> tuple[str, set[str]]:
    gone = dice.choice(history[2])
    history[2].remove(gone)
    return "lost", {gone}


def _double(dice: random.Random, history: History) -> tuple[str, set[str]]:
    again = dice.choice(history[1])
    history[1].insert(dice.randrange(len(history[1])), again)
    return "duplicated", {again}


def _double_dead(dice: random.Random, history: History) -> tuple[str, set[str]]:
    again = dice.choice(history[2])
    history[2].append(again)
    return "duplicated", {again}


def _forge(dice: random.Random, history: History) -> tuple[str, set[str]]:
    forged = f"x{dice.random()}"
    history[1].append(forged)
    return "foreign", {forged}


def _swap(dice: random.Random, history: History) -> tuple[str, set[str]]:
    """One effect under another's id: one is lost, one is there twice; the counts alone look right."""
    at, other = dice.sample(range(len(history[1])), 2)
    gone, history[1][at] = history[1][at], history[1][other]
    return "lost", {gone}


def _contradict(dice: random.Random, history: History) -> tuple[str, set[str]]:
    both = dice.choice(history[1])
    history[2].append(both)
    return "contradicted", {both}


@pytest.mark.parametrize("mutate", [_drop, _drop_dead, _double, _double_dead, _forge, _swap, _contradict])
def test_every_mutation_is_found(
    mutate: Callable[[random.Random, History], tuple[str, set[str]]],
) -> None:
    """Whatever single thing is wrong, wherever it is: it is named, and named right."""
    for seed in range(200):
        history = (list(IDS), list(EFFECTS), list(DEAD))
        kind, ids = mutate(random.Random(seed), history)
        finding = check(*history)
        assert not finding.is_clean, seed
        assert ids == set(getattr(finding, kind)), seed
