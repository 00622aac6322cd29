# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the death of a child means for what it had in hand."""

from __future__ import annotations

from tickrelay_consumer.engine.shared import Shared, log
from tickrelay_consumer.engine.work import Result, Work, cut_short
from tickrelay_messaging.ledger.records import Failure, Verdict


def died(shared: Shared, work: Work, end: str, seconds: float) -> Result:
    """It died by itself over this one message, so this one is to blame; at once again, until it is poison."""
    handler = work.handler.name
    log.error("child process died", handler=handler, message=work.claim.message.id, end=end)
    failure = Failure(
        "ChildDied", f"handler {handler!r}: the child process {end} while it carried this message out"
    )
    crashed = Result(work, Verdict.CRASHED, failure=failure, seconds=seconds, ambiguous=True)
    return shared.gates.judge(crashed)


def died_of_batch(work: Work, end: str, seconds: float) -> Result:
    """It died by itself over many: each goes alone the next time, and then the one to blame shows."""
    return cut_short(work, f"the child process {end} over a batch", seconds)


def lost(work: Work, seconds: float) -> Result:
    """All children died with the process they come from, so no message is to blame."""
    return cut_short(work, "the process that children come from died", seconds)
