# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Time zones as spans of constant UTC offset.

`zoneinfo` tells the offset at an instant but not where it changes. The changes are found once, by probing an
instant every three days and halving between two that differ (the shortest time between two changes in any
zone since 1970 is just under seven days), and are kept per block of 388 days, so only the years in use cost
anything. Instants are whole seconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickrelay_airflow.cron.errors import CronError, malformed

_PROBE = 1 << 18
_BLOCK_BITS = 25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = 1 << 40
_LOCAL = frozenset({"localtime", "posixrules"})
"""Names that mean another zone on another machine."""


class Span(NamedTuple):
    """A stretch `start <= instant < end` with one offset; `before` is the offset just before `start`."""

    start: int
    end: int
    offset: int
    before: int


class Zone:
    """A named time zone; its spans are looked up lazily and remembered. Safe to share between threads."""

    def __init__(self, name: str) -> None:
        """Load a zone.

        Raises:
            CronError: there is no such zone; names it.
        """
        self.name = name
        self._rules = _load(name)
        self._blocks: dict[int, tuple[Span, ...]] = {}
        self._fixed = Span(-_ALWAYS, _ALWAYS, 0, 0) if name == "UTC" else None

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Copies and pickles carry the name only; one process has one object per zone."""
        return zone, (self.name,)

    def span(self, instant: int) -> Span:
        """The span that contains an instant."""
        if self._fixed is not None:
            return self._fixed
        block = instant >> _BLOCK_BITS
        spans = self._blocks.get(block)
        if spans is None:
            spans = self._blocks[block] = tuple(self._probe(block))
        for span in spans:
            if instant < span.end:
                return span
        return spans[-1]

    def _probe(self, block: int) -> Iterator[Span]:
        # Begins one probe early: a change shortly before the block still matters to its first hours.
        first, end = block << _BLOCK_BITS, (block + 1) << _BLOCK_BITS
        start, before = first - _PROBE, self._offset(first - _PROBE)
        offset = before
        for probe in range(first, end + 1, _PROBE):
            if self._offset(probe) == offset:
                continue
            change = self._change(probe - _PROBE, probe)
            yield Span(start, change, offset, before)
            start, before, offset = change, offset, self._offset(change)
        yield Span(start, end, offset, before)

    def _change(self, low: int, high: int) -> int:
        """The first instant after `low` whose offset differs from that of `low`, by halving."""
        offset = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == offset:
                low = middle
            else:
                high = middle
        return high

    def _offset(self, instant: int) -> int:
        local = (_EPOCH + timedelta(seconds=instant)).astimezone(self._rules)
        return int((local.utcoffset() or timedelta()).total_seconds())


@lru_cache(maxsize=1024)
def zone(name: str) -> Zone:
    """The shared object of a zone.

    Raises:
        CronError: there is no such zone.
    """
    return Zone(name)


def _load(name: str) -> ZoneInfo:
    if name in _LOCAL:
        raise _unknown(name)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _unknown(name) from error


def _unknown(name: str) -> CronError:
    return malformed("timezone", name, "is no known time zone; write an IANA name such as Europe/Berlin")
