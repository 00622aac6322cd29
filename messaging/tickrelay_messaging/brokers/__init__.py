# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Brokers: one seam (`base`), one module each, picked by URL. Drivers are imported on opening."""

from __future__ import annotations

from tickrelay_messaging.brokers._opening import open_broker
from tickrelay_messaging.brokers.base import (
    DEFAULT_GROUP,
    Broker,
    Capabilities,
    Delivery,
    GroupStats,
    Peeked,
    QueueSpec,
    Subscription,
)
from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.urls import redact

__all__ = [
    "DEFAULT_GROUP",
    "Broker",
    "Capabilities",
    "Delivery",
    "GroupStats",
    "Peeked",
    "QueueSpec",
    "Subscription",
    "check_name",
    "open_broker",
    "redact",
]
