# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Pause and resume: a switch in Airflow and a revocation in the ledger, the safe half first."""

from __future__ import annotations

from tickrelay_airflow.control.desk import Desk, attempt
from tickrelay_airflow.control.errors import HalfDone
from tickrelay_airflow.control.records import Outcome
from tickrelay_airflow.control.revoking import kind_of, pausing
from tickrelay_messaging.errors import TickrelayError
from tickrelay_messaging.ledger.records import Revocation


def pause(desk: Desk) -> Outcome:
    """
    Revoke what is out from now on, and stop Airflow from making more.

    The ledger comes first: from then on nothing more is begun, whatever becomes of the other half. When it fails,
    Airflow is stopped all the same.

    Raises:
        HalfDone: only one of the two could be done, or neither.
    """
    revoked, ledger_error = attempt(lambda: _revoke(desk))
    stopped, airflow_error = attempt(lambda: desk.airflow.set_paused(desk.name, paused=True))
    if revoked is None or ledger_error or airflow_error:
        raise HalfDone(_half_paused(desk, revoked, ledger_error, airflow_error))
    number, is_new = revoked
    text = f"is paused; ticks already out are revoked too (revocation {number})"
    if not is_new and not stopped:
        return desk.outcome("pause", f"was {text.removeprefix('is ')}", changed=False, revocation=number)
    return desk.outcome("pause", text + _entered(desk, "schedule paused"), changed=True, revocation=number)


def resume(desk: Desk) -> Outcome:
    """
    Lift the pause, then let Airflow make runs again; the other way round, new ticks would be revoked.

    Raises:
        HalfDone: the ledger has lifted it, and Airflow doesn't go on.
        TickrelayError: the ledger can't be used; nothing was changed.
    """
    ledger = desk.ledger()
    lifted = [one.number for one in _pauses(desk) if ledger.revocations.lift(one.number, by=desk.by)]
    started, error = attempt(lambda: desk.airflow.set_paused(desk.name, paused=False))
    if error:
        raise HalfDone(
            f"{desk.name} is no longer revoked in the ledger, but Airflow makes no runs of it yet: {error}. "
            "Say `resume` again once Airflow answers, or `pause` to undo it"
        ) from error
    if not lifted and not started:
        return desk.outcome("resume", "was not paused", changed=False, lifted=lifted)
    text = "goes on; what was revoked meanwhile stays revoked" + _entered(desk, "schedule resumed")
    return desk.outcome("resume", text, changed=True, lifted=lifted)


def _pauses(desk: Desk) -> list[Revocation]:
    return [one for one in desk.ledger().revocations.list(desk.target.schedule) if kind_of(one) == "pause"]


def _revoke(desk: Desk) -> tuple[int, bool]:
    """The number of the pause in force, and whether it is new."""
    for one in _pauses(desk):
        return one.number, False
    ledger = desk.ledger()
    pause = pausing(desk.target.schedule, ledger.now(), by=desk.by, reason=desk.reason)
    return ledger.revocations.revoke(pause), True


def _entered(desk: Desk, what: str) -> str:
    """Enter the change; the end of a sentence that says so where that failed, as the change itself holds."""
    _, error = attempt(lambda: desk.note(what))
    return f"; the audit trail doesn't have it: {error}" if error else ""


def _half_paused(
    desk: Desk,
    revoked: tuple[int, bool] | None,
    ledger_error: TickrelayError | None,
    airflow_error: TickrelayError | None,
) -> str:
    if revoked is None and airflow_error:
        return f"{desk.name} is not paused, nothing was changed. Ledger: {ledger_error}. Airflow: {airflow_error}"
    if revoked is None:
        return (
            f"{desk.name} is paused in Airflow, so no more ticks are published; but those already out are not revoked "
            f"and will be carried out at their instants: {ledger_error}. Say `pause` again once the ledger answers"
        )
    return (
        f"ticks of {desk.name} are revoked from now on (revocation {revoked[0]}), so none is carried out; but Airflow "
        f"still makes its runs: {airflow_error}. Say `pause` again once Airflow answers, or `resume` to undo it"
    )
