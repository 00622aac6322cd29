# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""One call inside a transaction: its effect and its done-marks are there together, or neither."""

from __future__ import annotations

from tickrelay_consumer.context import Context
from tickrelay_consumer.engine.runners.calling import Attempt
from tickrelay_consumer.engine.work import Call, Result, Work
from tickrelay_messaging.errors import ClaimLost
from tickrelay_messaging.failpoints import failpoint
from tickrelay_messaging.ledger.base import Transaction
from tickrelay_messaging.ledger.records import Verdict


class _SomeFailed(Exception):
    """Undoes the savepoint of a batch of which its handler said that some failed."""


def carry_out_in(transaction: Transaction, call: Call) -> list[Result]:
    """
    Whatever a handler raises is its result. What it failed of a batch is left out, and the others are run again.

    Raises:
        ServiceError, ...: the ledger's own trouble, which undoes the whole transaction.
    """
    results: list[Result] = []
    while call:
        found, failures = _attempt(transaction, call)
        if not failures:
            return results + found
        results += [found[place] for place in sorted(failures)]
        call = [work for place, work in enumerate(call) if place not in failures]
    return results


def _attempt(transaction: Transaction, call: Call) -> tuple[list[Result], dict[int, BaseException]]:
    """The results of one savepoint; or, if some failed and so all was undone, which."""
    attempt = Attempt(call, lambda work: _context(work, transaction))
    raised: BaseException | None = None
    try:
        with transaction.message([work.claim for work in call]):
            try:
                failpoint("consumer.before_handler")
                call[0].handler.function(*attempt.arguments())
                failpoint("consumer.after_effect")
                if attempt.failures:
                    raise _SomeFailed  # noqa: TRY301 - to leave the savepoint by
            except BaseException as error:
                raised = error
                raise
    except BaseException as error:
        if isinstance(error, _SomeFailed):
            return attempt.returned(), attempt.failures
        if error is raised:
            return attempt.raised(error), {}
        if isinstance(error, ClaimLost):
            # Settling it tells the ledger's answer once more: refused, so it is claimed again.
            return [Result(work, Verdict.RELEASE) for work in call], {}
        raise
    results = attempt.returned()
    for result in results:
        result.settled = True
    return results, {}


def _context(work: Work, transaction: Transaction) -> Context:
    return Context(work.claim, transaction=transaction)
