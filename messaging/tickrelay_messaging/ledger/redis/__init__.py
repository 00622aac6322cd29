# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The ledger in Redis: for consumers on several hosts, where a SQL database would be too slow or isn't there.

Every verb is one Lua script on a batch. Keys begin with `tickrelay:{ledger}:`, so that a cluster would keep them
together (untried). docs/operations/redis-ledger.md has more for whoever runs the server.
"""

from __future__ import annotations

from tickrelay_messaging.ledger.redis.ledger import RedisLedger

__all__ = ["RedisLedger"]
