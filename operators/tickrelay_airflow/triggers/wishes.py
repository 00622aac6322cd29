# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Who wants which messages, and which messages nobody has wanted so far: found by look-up, not by trying each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

from tickrelay_airflow.waiting.matching import Shape, Wish

if TYPE_CHECKING:
    from tickrelay_airflow.triggers.waiter import Waiter
    from tickrelay_airflow.waiting.conditions import Arrived
    from tickrelay_messaging.ledger.records import Mail
    from tickrelay_messaging.message import Message

MOST_SHAPES = 32
"""Shapes that are kept although nobody waits for any of them."""
MOST_KEPT = 100_000
"""Messages nobody wanted that are remembered, about 200 bytes each."""


def arrived(waiter: Waiter) -> Arrived:
    """The condition of one who waits for a message."""
    return cast("Arrived", waiter.condition)


class Wishes:
    """Waiters by what they want. One message costs a look-up for each shape of wish, however many wait."""

    def __init__(self) -> None:
        self._wish: dict[Waiter, tuple[int, Wish]] = {}
        self._of: dict[Shape, dict[Hashable, dict[Waiter, None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._wish)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._wish)

    def __contains__(self, waiter: object) -> bool:
        return waiter in self._wish

    @property
    def shapes(self) -> list[Shape]:
        """What the waiters look at."""
        return list(self._of)

    def add(self, waiter: Waiter) -> Shape:
        """One more; returns the shape of its wish."""
        wish = Wish.of(arrived(waiter).match)
        self._wish[waiter] = (self._count, wish)
        self._count += 1
        self._of.setdefault(wish.shape, {}).setdefault(wish.values, {})[waiter] = None
        return wish.shape

    def remove(self, waiter: Waiter) -> None:
        """It waits no more; no error if it never did."""
        _, wish = self._wish.pop(waiter, (0, None))
        if wish is None:
            return
        bucket = self._of[wish.shape][wish.values]
        del bucket[waiter]
        if not bucket:
            del self._of[wish.shape][wish.values]
        if not self._of[wish.shape]:
            del self._of[wish.shape]

    def wish_of(self, waiter: Waiter) -> Wish:
        """What a waiter wants."""
        return self._wish[waiter][1]

    def wanting(self, message: Message) -> Iterator[Waiter]:
        """Who wants a message, shape by shape; who came first comes first in each."""
        for shape, buckets in self._of.items():
            values = shape.values(message)
            if values is not None:
                yield from buckets.get(values, ())

    def first(self, message: Message, but: set[Waiter]) -> Waiter | None:
        """Who has waited longest for such a message."""
        found: list[Waiter] = []
        for shape, buckets in self._of.items():
            values = shape.values(message)
            bucket = buckets.get(values, {}) if values is not None else {}
            found += [waiter for waiter in (next((w for w in bucket if w not in but), None),) if waiter]
        return min(found, key=lambda waiter: self._wish[waiter][0], default=None)


class Unwanted:
    """
    Free mail that nobody wanted when it came, by what it has where wishes look.

    Attributes:
        is_complete: it holds all; else there was too much, and the ledger must be asked.
    """

    def __init__(self) -> None:
        self._of: dict[Shape, dict[Hashable, dict[int, None]]] = {}
        self._places: dict[int, list[tuple[Shape, Hashable]]] = {}
        self.is_complete = True

    def __contains__(self, shape: object) -> bool:
        return shape in self._of

    def begin(self, shapes: Iterable[Shape]) -> None:
        """Forget all, to be told everything anew, now with these shapes, too."""
        wanted = dict.fromkeys([*shapes, *list(self._of)[-MOST_SHAPES:]])
        self._of = {shape: {} for shape in wanted}
        self._places.clear()
        self.is_complete = True

    def keep(self, mail: Mail) -> None:
        """Remember one."""
        if len(self._places) >= MOST_KEPT:
            self.is_complete = False
            return
        places: list[tuple[Shape, Hashable]] = []
        for shape, numbers in self._of.items():
            values = shape.values(mail.message)
            if values is not None:
                numbers.setdefault(values, {})[mail.number] = None
                places.append((shape, values))
        self._places[mail.number] = places

    def forget(self, number: int) -> None:
        """It has been taken, here or elsewhere."""
        for shape, values in self._places.pop(number, ()):
            numbers = self._of[shape][values]
            del numbers[number]
            if not numbers:
                del self._of[shape][values]

    def oldest(self, wish: Wish, but: set[int]) -> int | None:
        """The oldest that a wish is for."""
        numbers = self._of.get(wish.shape, {}).get(wish.values, {})
        return next((number for number in numbers if number not in but), None)
