# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The judge finds whatever single thing is wrong with a history, and names it right."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.chaos.campaign.judging import Effect, Grant, History, Settle, judge

COUNT = 200
IDS = [f"m{number}" for number in range(COUNT)]
KEYS = {name: (f"k{number % 7}", number) for number, name in enumerate(IDS)}


def good(dice: random.Random) -> History:
    """Each is granted, some again after a death; then it has its effect, and is settled under its last fence."""
    grants, effects, settles = [], [], []
    for at, name in enumerate(IDS):
        fences = sorted(dice.sample(range(1, 1000), dice.choice([1, 1, 2, 3])))
        grants += [Grant(at + 0.1 * n, name, fence, 1) for n, fence in enumerate(fences)]
        effects.append(Effect(name, fences[-1], 1, at + 0.5))
        settles += [Settle(at + 0.7, name, fence, "done", accepted=False) for fence in fences[:-1]]
        settles.append(Settle(at + 0.6, name, fences[-1], "done", accepted=True))
    return History(
        confirmed=IDS, tried=[*IDS, "tried"], effects=effects, grants=grants, settles=settles, keys=KEYS
    )


Mutation = Callable[[random.Random, History], tuple[History, str, str]]


def _drop(dice: random.Random, history: History) -> tuple[History, str, str]:
    gone = dice.choice(history.effects)
    return replace(history, effects=[one for one in history.effects if one is not gone]), "lost", gone.id


def _double(dice: random.Random, history: History) -> tuple[History, str, str]:
    again = dice.choice(history.effects)
    return replace(history, effects=[*history.effects, again]), "duplicated", again.id


def _reorder(dice: random.Random, history: History) -> tuple[History, str, str]:
    effects, at = list(history.effects), dice.randrange(COUNT - 7)
    effects[at], effects[at + 7] = effects[at + 7], effects[at]
    return replace(history, effects=effects), "disordered", effects[at + 7].id


def _forge(dice: random.Random, history: History) -> tuple[History, str, str]:
    forged = Effect(f"x{dice.random()}", 1, 1, 0.0)
    return replace(history, effects=[*history.effects, forged]), "foreign", forged.id


def _bury(dice: random.Random, history: History) -> tuple[History, str, str]:
    both = dice.choice(history.effects).id
    return replace(history, dead=[both]), "contradicted", both


def _stale(dice: random.Random, history: History) -> tuple[History, str, str]:
    at = dice.randrange(COUNT)
    effect = history.effects[at]
    grants = [*history.grants, Grant(effect.at - 0.05, effect.id, effect.fence + 1, 1)]
    return replace(history, grants=grants), "stale", effect.id


def _accept(dice: random.Random, history: History) -> tuple[History, str, str]:
    settles = list(history.settles)
    at = dice.choice([at for at, one in enumerate(settles) if not one.accepted])
    settles[at] = settles[at]._replace(accepted=True)
    return replace(history, settles=settles), "stale", settles[at].id


def _grant_again(dice: random.Random, history: History) -> tuple[History, str, str]:
    again = dice.choice(history.grants)
    return replace(history, grants=[*history.grants, again]), "regranted", again.id


def _end_again(dice: random.Random, history: History) -> tuple[History, str, str]:
    again = dice.choice([one for one in history.settles if one.accepted])
    return replace(history, settles=[*history.settles, again]), "ended_twice", again.id


def _overrun(dice: random.Random, history: History) -> tuple[History, str, str]:
    grants, at = list(history.grants), dice.randrange(len(history.grants))
    grants[at] = grants[at]._replace(attempt=5)
    return replace(history, grants=grants), "overrun", grants[at].id


MUTATIONS = [_drop, _double, _reorder, _forge, _bury, _stale, _accept, _grant_again, _end_again, _overrun]


def test_a_good_history_has_no_faults() -> None:
    """Redeliveries, refused results and unknown publishes are no faults."""
    for seed in range(50):
        assert {} == judge(good(random.Random(seed))).faults()


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_each_mutation_is_found_and_named(mutate: Mutation) -> None:
    """Dropped, doubled, reordered, forged, buried, under a stale fence...: in every one of 200 histories."""
    for seed in range(200):
        dice = random.Random(seed)
        history, fault, name = mutate(dice, good(dice))
        assert name in judge(history).faults().get(fault, ()), seed
