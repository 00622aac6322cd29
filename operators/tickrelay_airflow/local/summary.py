# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How a run ended: one JSON line for a program, a few words for a person."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tickrelay_airflow.local.figures import Figures
from tickrelay_airflow.local.orders import OrderCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    The end of a run. Counts cover the home's whole life; what can't be known without the demo is None.

    Attributes:
        ticks: scheduled DAG runs that have ended well.
        published: messages published and confirmed: orders with the demo, else all of the broker's, if it counts them.
        effects: effects carried out of these.
        duplicates: effects beyond the first of an order.
        lost: published orders that have neither an effect nor a dead letter.
        pending: orders placed that were not published yet.
        seconds_to_first_effect: from the start of the command to its first effect; None if it had none.
    """

    ticks: int
    published: int | None
    effects: int
    duplicates: int | None
    lost: int | None
    dead: int
    pending: int | None
    seconds_to_first_effect: float | None

    @classmethod
    def of(cls, figures: Figures, orders: OrderCounts | None, first: float | None) -> Summary:
        """From what was counted last."""
        counts = asdict(orders) if orders is not None else _without_demo(figures)
        return cls(ticks=figures.ticks, seconds_to_first_effect=first, **counts)

    @property
    def good(self) -> bool:
        """Whether the promise was kept, as far as it can be seen: nothing lost, nothing twice."""
        return not self.lost and not self.duplicates

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    def sentence(self) -> str:
        """For people."""
        published = "an unknown number" if self.published is None else self.published
        text = f"{self.ticks} ticks, {published} published, {self.effects} effects, {self.dead} dead letters"
        if self.lost is None:
            return text
        return f"{text}, {self.duplicates} duplicates, {self.lost} lost, {self.pending} not published yet"


def _without_demo(figures: Figures) -> dict[str, int | None]:
    return {
        "published": figures.published,
        "effects": figures.effects,
        "dead": figures.dead,
        "duplicates": None,
        "lost": None,
        "pending": None,
    }
