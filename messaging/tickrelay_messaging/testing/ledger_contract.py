# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The obligations of `ledger.base`, each one a test.

Write `class TestMyLedger(LedgerContract)` with a `make_ledger` method, and run pytest on it. Time passes by an injected
clock, other processes are forked, and everything waits on conditions with a bound.
"""

from __future__ import annotations

from tickrelay_messaging.testing.ledger_assigning import AssigningContract
from tickrelay_messaging.testing.ledger_batches import BatchesContract
from tickrelay_messaging.testing.ledger_claiming import ClaimingContract
from tickrelay_messaging.testing.ledger_crashing import CrashingContract
from tickrelay_messaging.testing.ledger_ending import EndingContract
from tickrelay_messaging.testing.ledger_mailbox import MailboxContract
from tickrelay_messaging.testing.ledger_ordering import OrderingContract
from tickrelay_messaging.testing.ledger_outbox import OutboxContract
from tickrelay_messaging.testing.ledger_revoking import RevokingContract
from tickrelay_messaging.testing.ledger_rooms import RoomsContract
from tickrelay_messaging.testing.ledger_schedules import SchedulesContract
from tickrelay_messaging.testing.ledger_singleton import SingletonContract
from tickrelay_messaging.testing.ledger_steps import StepsContract
from tickrelay_messaging.testing.ledger_sweeping import SweepingContract
from tickrelay_messaging.testing.ledger_transacting import TransactingContract
from tickrelay_messaging.testing.ledger_waking import WakingContract

__all__ = ["LedgerContract"]


class LedgerContract(
    ClaimingContract,
    EndingContract,
    BatchesContract,
    RoomsContract,
    MailboxContract,
    AssigningContract,
    TransactingContract,
    WakingContract,
    CrashingContract,
    OrderingContract,
    OutboxContract,
    RevokingContract,
    SchedulesContract,
    SingletonContract,
    StepsContract,
    SweepingContract,
):
    """Subclass it as `Test...` and write `make_ledger`: every call connects anew to the same ledger."""
