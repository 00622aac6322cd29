# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""How soon an idle consumer starts on a message."""

from __future__ import annotations

import statistics
from math import ceil
from pathlib import Path

from bench.latency import measure
from bench.report import Row

P50_GOAL, P99_GOAL = 0.010, 0.050


def rows(url: str, folder: Path, number: int) -> list[Row]:
    """From before the publishing call to the handler; publisher and consumer are processes of their own."""
    _, late = measure(url, folder, number, 0.0)
    p50, p99 = statistics.median(late), sorted(late)[ceil(0.99 * len(late)) - 1]
    what = "publish -> handler starts"
    return [
        Row(what, f"P50 of {len(late)}, idle", p50 * 1e3, "ms", f"<= {P50_GOAL * 1e3:g} ms", p50 <= P50_GOAL),
        Row(what, f"P99 of {len(late)}, idle", p99 * 1e3, "ms", f"<= {P99_GOAL * 1e3:g} ms", p99 <= P99_GOAL),
        Row(what, "maximum", max(late) * 1e3, "ms"),
    ]
