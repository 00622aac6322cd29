# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Each planted bug, and where the campaign looks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.campaign import cell, scenes
from tests.chaos.campaign.plan import Cell
from tests.chaos.campaign.plants import PLANTS

_ZOMBIES = ("no_fence_check", "refusals_ignored")
_LEAVING = ("ack_on_close", "release_acks")
_LIVING = ("reap_takes_the_living",)
"""Where many die, one more taken for dead isn't noticed; where nobody does, the first is."""
LONG_ENOUGH = 0.2
"""Seconds a message, so that all take long enough for everybody to look for the dead, which is each 5 s."""
QUICK = ("release_acks", "refusals_ignored", "ack_on_close", "mark_before_effect", "reap_takes_the_living")
"""Enough for CI: each of another kind."""


def find(plant: str, folder: Path) -> dict[str, Any]:
    """Put it into every consumer and look; returns what is found to be wrong, nothing if it goes unnoticed."""
    planted = Cell(effect="external", plant=plant, kills=20, messages=1000, patience=5, deadline=30)
    if plant in _ZOMBIES:
        return _play(planted, folder, scenes.zombie)
    if plant in _LEAVING:
        return _play(planted, folder, lambda scene: scenes.leaving(scene, within=5.0))
    if plant in _LIVING:
        with scenes.scene(replace(planted, lease=scenes.PATIENT), folder) as scene:
            return scenes.side_by_side(scene, within=15.0, pause=LONG_ENOUGH)
    return cell.run(planted, folder).damage()


def _play(planted: Cell, folder: Path, play: Callable[[scenes.Scene], object]) -> dict[str, Any]:
    with scenes.scene(planted, folder) as scene:
        play(scene)
        return scene.faults()


def prove(folder: Path, say: Callable[[str], None]) -> list[str]:
    """All of them; returns those that went unnoticed."""
    missed = []
    for plant in PLANTS:
        found = find(plant, folder / plant)
        say(f"planted {plant:24} {'caught: ' + ', '.join(found) if found else 'MISSED'}")
        missed += [] if found else [plant]
    say(f"planted bugs caught: {len(PLANTS) - len(missed)} of {len(PLANTS)}")
    return missed
