# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Fewer passes of Python's garbage collector while a consumer is at work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 20_000
"""New objects between two passes; messages in hand, which no pass can free, are about as many."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """
    Make passes rarer, and leave out of them whatever is loaded when this begins.

    By default there is one every 700 objects, which is every 50 messages: a tenth of a busy consumer's time, for
    objects that nearly all go by themselves. Whoever chose another threshold, or no collector, keeps that.
    """
    chosen = gc.get_threshold()
    if 0 < chosen[0] < SELDOM:
        gc.set_threshold(SELDOM, *chosen[1:])
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*chosen)
