# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What MariaDB, MySQL and their driver say, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pymysql
from pymysql.constants import ER
from sqlalchemy.exc import DBAPIError

from tickrelay_messaging.errors import ConfigurationError, LedgerUnavailable, StorageFull, TickrelayError

_REFUSED = {
    ER.ACCESS_DENIED_ERROR,
    ER.DBACCESS_DENIED_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.HOST_NOT_PRIVILEGED,
    1698,  # access denied, and no password would help
}
_FULL = {ER.DISK_FULL, ER.RECORD_FILE_FULL}
_TLS = (
    "CERTIFICATE_VERIFY_FAILED",
    "SSL is required but the server doesn't support it",
    "certificate verify",
)
_OF_THE_CONNECTION = {2002, 2003, 2006, 2013, 2014, 2055}
_BUGS = (pymysql.IntegrityError, pymysql.ProgrammingError, pymysql.DataError, pymysql.NotSupportedError)


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
    except (pymysql.MySQLError, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, pymysql.MySQLError) or _is_bug(cause):
            raise
        raise ours(cause, where) from error


def ours(error: pymysql.MySQLError, where: str) -> TickrelayError:
    """The driver's error as one of ours."""
    said = " ".join(str(error.args[-1] if error.args else error).split())
    if number(error) in _REFUSED or any(word in said for word in _TLS):
        return ConfigurationError(
            f"{where}: {said}; look at user, password, database and ssl_mode of the URL, and at this user's rights"
        )
    if number(error) in _FULL:
        return StorageFull(f"{where}: {said}; make room on the server")
    return LedgerUnavailable(f"{where}: {said or type(error).__name__}")


def number(error: pymysql.MySQLError) -> int:
    """The server's number of an error, 0 if it has none."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _is_bug(error: pymysql.MySQLError) -> bool:
    return isinstance(error, _BUGS) and number(error) not in _REFUSED | _FULL | _OF_THE_CONNECTION
