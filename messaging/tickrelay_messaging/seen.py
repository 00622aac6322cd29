# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Which ids there were already, for a million of them in some 20 MB; a set of them would take 120."""

from __future__ import annotations

_DRAWERS = 1 << 16
_REST = 14
"""Bytes of an id behind the two that choose its drawer."""


class SeenIds:
    """
    An exact set of ids: 16 bytes each, made by hashing, so that their first bytes are evenly spread.

    Each drawer is one string of bytes, which is searched from end to end: with a million ids it holds fifteen.
    """

    def __init__(self) -> None:
        self._drawers: list[bytearray | None] = [None] * _DRAWERS
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes) -> bool:
        """
        Add an id; returns whether it is new.

        Raises:
            ValueError: it isn't 16 bytes long.
        """
        if len(key) != _REST + 2:
            raise ValueError(f"an id has 16 bytes, not {len(key)}")
        number = key[0] << 8 | key[1]
        drawer = self._drawers[number]
        if drawer is None:
            drawer = self._drawers[number] = bytearray()
        elif _holds(drawer, key[2:]):
            return False
        drawer += key[2:]
        self._count += 1
        return True


def _holds(drawer: bytearray, rest: bytes) -> bool:
    place = drawer.find(rest)
    while place > 0 and place % _REST:  # found across two neighbours
        place = drawer.find(rest, place + 1)
    return place >= 0
