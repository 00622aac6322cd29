# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Kafka, through librdkafka."""

from tickrelay_messaging.brokers.kafka.broker import KafkaBroker
from tickrelay_messaging.brokers.kafka.rights import RIGHTS

__all__ = ["RIGHTS", "KafkaBroker"]
