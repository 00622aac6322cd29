# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL and its driver say, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from tickrelay_messaging.errors import ConfigurationError, LedgerUnavailable, StorageFull, TickrelayError

_REFUSALS = (
    "password authentication failed",
    "no pg_hba.conf entry",
    "no password supplied",
    "certificate verify failed",
    "server does not support SSL",
    "does not exist",
)
"""Of a connection that couldn't be made the driver tells only the text; English, if `lc_messages` is left alone."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """
    Args:
        where: which ledger, without a password.

    Raises:
        LedgerUnavailable: trying again may help.
        StorageFull: the server has no room.
        ConfigurationError: it refuses this user.
    """
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.Error) or _is_bug(cause):
            raise
        raise ours(cause, where) from error


def ours(error: psycopg.Error, where: str) -> TickrelayError:
    """The driver's error as one of ours."""
    said = " ".join(str(error).split())
    if isinstance(error, errors.InsufficientPrivilege):
        return ConfigurationError(f"{where}: {said}; give this user the rights, or use its owner")
    if isinstance(error, errors.DiskFull):
        return StorageFull(f"{where}: {said}; make room on the server")
    if error.sqlstate is None and any(refusal in said for refusal in _REFUSALS):
        return ConfigurationError(f"{where}: {said}; look at user, password, database and sslmode of the URL")
    return LedgerUnavailable(f"{where}: {said}")


def _is_bug(error: psycopg.Error) -> bool:
    is_wrong = isinstance(error, psycopg.IntegrityError | psycopg.ProgrammingError | psycopg.DataError)
    return is_wrong and not isinstance(error, errors.InsufficientPrivilege)
