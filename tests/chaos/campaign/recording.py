# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A ledger whose answers are written down as a consumer hears them: claims given, results accepted or refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.brokers.history import History

from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import Claim, Outcome, Owner, Settlement


def record(ledger: Ledger, history: History) -> None:
    """From now on, in this process."""
    claim, claim_due, settle = ledger.claim, ledger.claim_due, ledger.settle

    def granted(ask: Callable[..., list[Claim]]) -> Callable[..., list[Claim]]:
        def asked(*given: Any, **more: Any) -> list[Claim]:
            claims = ask(*given, **more)
            runs = [one for one in claims if one.outcome is Outcome.RUN]
            if runs:
                rows = [[one.message.id, one.fence, one.attempt] for one in runs]
                history.write("granted", rows=rows)
            return claims

        return asked

    def settled(owner: Owner, settlements: Sequence[Settlement]) -> list[bool]:
        began = time.monotonic()
        answers = settle(owner, settlements)
        rows = [
            [one.claim.message.id, one.claim.fence, one.verdict.value, ok]
            for one, ok in zip(settlements, answers, strict=True)
        ]
        history.write("settled", began=began, pid=os.getpid(), rows=rows)
        return answers

    ledger.claim = granted(claim)  # type: ignore[method-assign]
    ledger.claim_due = granted(claim_due)  # type: ignore[method-assign]
    ledger.settle = settled  # type: ignore[method-assign]
