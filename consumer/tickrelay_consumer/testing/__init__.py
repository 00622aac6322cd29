# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A test kit for handlers: a queue, a ledger, a clock that stands still, and crashes at the worst moments."""

from __future__ import annotations

from tickrelay_consumer.testing.clock import Clock
from tickrelay_consumer.testing.crashing import POINTS
from tickrelay_consumer.testing.kit import Kit
from tickrelay_consumer.testing.life import Done

__all__ = ["POINTS", "Clock", "Done", "Kit"]
