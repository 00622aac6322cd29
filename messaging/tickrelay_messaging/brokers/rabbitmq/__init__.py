# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ over AMQP 0-9-1, quorum queues."""

from tickrelay_messaging.brokers.rabbitmq.broker import RabbitBroker

__all__ = ["RabbitBroker"]
