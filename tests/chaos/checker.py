# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The arithmetic of "nothing lost, no effect twice", in Jepsen's manner: sets and counts of ids, nothing of Tickrelay's.

Every published id must have come to exactly one kind of end: an effect or a dead letter. What is neither is lost;
what was never published but has an end is foreign; an effect counted twice is duplicated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """
    What is wrong with a history; all empty if nothing is.

    Attributes:
        lost: published, and without any end.
        duplicated: effects beyond the first, by id.
        foreign: ends of what nobody published.
        contradicted: both an effect and a dead letter.
    """

    lost: frozenset[str]
    duplicated: dict[str, int]
    foreign: frozenset[str]
    contradicted: frozenset[str]

    @property
    def is_clean(self) -> bool:
        """Nothing lost, twice, foreign or contradicted."""
        return not (self.lost or self.duplicated or self.foreign or self.contradicted)


def check(published: Iterable[str], effects: Iterable[str], dead: Iterable[str] = ()) -> Finding:
    """
    Judge a history that has come to rest.

    Args:
        published: ids that the broker confirmed.
        effects: an id for each effect found, as often as it was found.
        dead: ids of dead letters.
    """
    confirmed, counted, buried = set(published), Counter(effects), Counter(dead)
    ended = counted.keys() | buried.keys()
    repeated = (counted - Counter(counted.keys())) + (buried - Counter(buried.keys()))
    return Finding(
        lost=frozenset(confirmed - ended),
        duplicated=dict(repeated),
        foreign=frozenset(ended - confirmed),
        contradicted=frozenset(counted.keys() & buried.keys()),
    )
