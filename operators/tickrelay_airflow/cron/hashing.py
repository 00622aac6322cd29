# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""``H``: a value chosen by a hash of the seed, so that many schedules spread out and each stays put.

The idea and the notation are Jenkins'; the hash is ours: SHA-256 over field name and seed, first eight bytes,
big endian. It never changes between versions, machines or processes.
"""

from __future__ import annotations

import hashlib
import re

from tickrelay_airflow.cron.errors import malformed
from tickrelay_airflow.cron.fields import DAY, YEAR, Field, number

_HASHED = re.compile(r"H(?:\((?P<low>\d+)-(?P<high>\d+)\))?(?:/(?P<step>\d{1,4}))?", re.ASCII | re.IGNORECASE)
_SAFE_DAYS = 28
"""A hashed day of the month stays within 1-28, so that it comes every month."""


def resolve(spec: Field, text: str, seed: str) -> str:
    """Replace each ``H``, ``H(low-high)``, ``H/step`` and ``H(low-high)/step`` of a field by plain cron text.

    Raises:
        CronError: H in the year field, an empty or foreign range, or a step longer than the range.
    """
    if "h" not in text.lower():
        return text
    return ",".join(_resolve_item(spec, item, seed) for item in text.split(","))


def _resolve_item(spec: Field, item: str, seed: str) -> str:
    match = _HASHED.fullmatch(item)
    if match is None:
        return item
    if spec is YEAR:
        raise malformed(spec.name, item, f"is not possible here; write a year within {spec.allowed}")
    low, high = _range(spec, item, match)
    if match["step"] is None:
        return str(low + _hash(spec, seed) % (high - low + 1))
    step = int(match["step"])
    if not 1 <= step <= high - low + 1:
        raise malformed(spec.name, item, f"has a step outside 1-{high - low + 1}")
    return f"{low + _hash(spec, seed) % step}-{high}/{step}"


def _range(spec: Field, item: str, match: re.Match[str]) -> tuple[int, int]:
    if match["low"] is None:
        return spec.low, min(spec.top, _SAFE_DAYS) if spec is DAY else spec.top
    low, high = number(spec, match["low"]), number(spec, match["high"])
    if low > high:
        raise malformed(spec.name, item, "runs backwards; write the lower bound first")
    return low, high


def _hash(spec: Field, seed: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{spec.name}\0{seed}".encode()).digest()[:8], "big")
