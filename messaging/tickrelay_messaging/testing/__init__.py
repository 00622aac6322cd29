# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
For tests, ours and third parties': the suite that says whether a broker or a ledger keeps its word.

Write `class TestMyBroker(BrokerContract)` with a `make_broker` method, and run pytest on it; likewise
`ledger_contract.LedgerContract` with `make_ledger`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

# Before the import below, so that a failed assertion shows its values in a third party's run too.
pytest.register_assert_rewrite(
    *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__")
)

from tickrelay_messaging.testing.broker_contract import BrokerContract  # noqa: E402

__all__ = ["BrokerContract"]
