# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between Airflow, the ledger and whoever controls a schedule."""

from __future__ import annotations

from tickrelay_messaging.errors import CallerError, ServiceError


class AirflowUnavailable(ServiceError, ConnectionError):
    """Airflow's API server can't be reached, or has a trouble of its own."""


class AirflowRefused(AirflowUnavailable):
    """It is there and says no: login, rights, or the request itself. Trying again is no use."""

    retryable = False


class UnknownSchedule(CallerError, LookupError):
    """Airflow knows no such DAG, or it has no `CronSchedule`."""


class HalfDone(ServiceError):
    """
    Airflow or the ledger did its part and the other didn't; the text says what holds and what to do.

    Every change may be asked for again: what is done already stays done.
    """
