# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Middlewares: what many handlers want around them, one file each."""

from __future__ import annotations

from tickrelay_consumer.middlewares.at_most import AtMost
from tickrelay_consumer.middlewares.composing import Around, Middleware, Next, compose
from tickrelay_consumer.middlewares.log_context import LogContext
from tickrelay_consumer.middlewares.map_errors import MapErrors
from tickrelay_consumer.middlewares.skip import Skip, SkipOlder
from tickrelay_consumer.middlewares.slow_log import SlowLog
from tickrelay_consumer.middlewares.validate import InvalidData, Validate

__all__ = [
    "Around",
    "AtMost",
    "InvalidData",
    "LogContext",
    "MapErrors",
    "Middleware",
    "Next",
    "Skip",
    "SkipOlder",
    "SlowLog",
    "Validate",
    "compose",
]
