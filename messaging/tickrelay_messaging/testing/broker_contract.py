# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The obligations of `brokers.base`, each one a test.

A subclass says how a broker is made; its capabilities say which tests apply, and a skipped test prints what
is missing. Everything waits on conditions with a bound, never on a guess.
"""

from __future__ import annotations

from tickrelay_messaging.testing._contract_consume import ConsumeContract
from tickrelay_messaging.testing._contract_lanes import LanesContract
from tickrelay_messaging.testing._contract_operate import OperateContract
from tickrelay_messaging.testing._contract_publish import PublishContract
from tickrelay_messaging.testing._contract_replay import ReplayContract

__all__ = ["BrokerContract"]


class BrokerContract(PublishContract, ConsumeContract, LanesContract, ReplayContract, OperateContract):
    """Subclass it as `Test...` and write `make_broker`: every call connects anew to the same queues."""
