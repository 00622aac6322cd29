# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The obligations of `ledger.base`, each one a test.

Write `class TestMyLedger(LedgerContract)` with a `make_ledger` method, and run pytest on it. Time passes by an injected
clock, other processes are forked, and everything waits on conditions with a bound.
"""

from __future__ import annotations

import pytest

# Before the imports below, so that a failed assertion shows its values in a third party's run too.
pytest.register_assert_rewrite(
    *(f"tickrelay_messaging.testing.ledger_{part}" for part in ("batches", "case", "claiming", "ending")),
    *(f"tickrelay_messaging.testing.ledger_{part}" for part in ("rooms", "transacting", "waking")),
)

from tickrelay_messaging.testing.ledger_batches import BatchesContract  # noqa: E402
from tickrelay_messaging.testing.ledger_claiming import ClaimingContract  # noqa: E402
from tickrelay_messaging.testing.ledger_ending import EndingContract  # noqa: E402
from tickrelay_messaging.testing.ledger_rooms import RoomsContract  # noqa: E402
from tickrelay_messaging.testing.ledger_transacting import TransactingContract  # noqa: E402
from tickrelay_messaging.testing.ledger_waking import WakingContract  # noqa: E402

__all__ = ["LedgerContract"]


class LedgerContract(
    ClaimingContract, EndingContract, BatchesContract, RoomsContract, TransactingContract, WakingContract
):
    """Subclass it as `Test...` and write `make_ledger`: every call connects anew to the same ledger."""
