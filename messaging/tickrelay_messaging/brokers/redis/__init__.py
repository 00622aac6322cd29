# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Redis Streams, 7.0 and later."""

from tickrelay_messaging.brokers.redis.broker import RIGHTS, RedisBroker

__all__ = ["RIGHTS", "RedisBroker"]
