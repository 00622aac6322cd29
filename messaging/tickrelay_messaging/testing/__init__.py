# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
For tests, ours and third parties': the suite that says whether a broker keeps its word.

Write `class TestMyBroker(BrokerContract)` with a `make_broker` method, and run pytest on it.
"""

from __future__ import annotations

from tickrelay_messaging.testing.broker_contract import BrokerContract

__all__ = ["BrokerContract"]
