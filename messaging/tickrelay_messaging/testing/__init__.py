# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
For tests, ours and third parties': the suite that says whether a broker keeps its word.

Write `class TestMyBroker(BrokerContract)` with a `make_broker` method, and run pytest on it.
"""

from __future__ import annotations

import pytest

# Before the import below, so that a failed assertion shows its values in a third party's run too.
pytest.register_assert_rewrite(
    *(f"{__name__}.{part}" for part in ("_children", "_contract_case", "_contract_consume")),
    *(f"{__name__}.{part}" for part in ("_contract_operate", "_contract_publish")),
)

from tickrelay_messaging.testing.broker_contract import BrokerContract  # noqa: E402

__all__ = ["BrokerContract"]
