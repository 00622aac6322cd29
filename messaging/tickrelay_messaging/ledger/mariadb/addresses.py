# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Reading the URL of a ledger in MariaDB or MySQL."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, unquote

from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import ConfigurationError

_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_MODES = ("disabled", "required", "verify_ca", "verify_identity")
_OPTIONS = (*_FILES, "ssl_mode", "connect_timeout")


def settings_of(url: str) -> dict[str, Any]:
    """
    What pymysql is given.

    Raises:
        ConfigurationError: no database is named, or an option isn't known or can't be read.
    """
    parts = split(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = unquote(parts.path)[1:]
    if not database or not parts.hostname:
        raise ConfigurationError(
            f"ledger {redact(url)!r} names no database; write mariadb://user:password@host:3306/database"
        )
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise ConfigurationError(
            f"ledger {redact(url)!r}: option {unknown[0]!r} isn't known; there are {', '.join(_OPTIONS)}"
        )
    return {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": database,
        "connect_timeout": _seconds(url, options.get("connect_timeout", "10")),
        "ssl": _tls(url, options),
    }


def _seconds(url: str, given: str) -> int:
    if not given.isdecimal() or not 0 < int(given) <= 3_600:  # noqa: PLR2004 - an hour, said below
        raise ConfigurationError(
            f"ledger {redact(url)!r}: connect_timeout is whole seconds up to 3600, not {given!r}"
        )
    return int(given)


def _tls(url: str, options: dict[str, str]) -> ssl.SSLContext | None:
    """By MySQL's own names of the modes; with a CA's file the server is verified unless told otherwise by name."""
    is_wanted = any(name in options for name in _FILES)
    mode = options.get("ssl_mode", "verify_identity" if is_wanted else "disabled").lower()
    if mode not in _MODES:
        raise ConfigurationError(
            f"ledger {redact(url)!r}: ssl_mode is one of {', '.join(_MODES)}, not {mode!r}"
        )
    if mode == "disabled":
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca"))
        if cert := options.get("ssl_cert"):
            context.load_cert_chain(cert, options.get("ssl_key"))
    except OSError as error:
        raise ConfigurationError(
            f"ledger {redact(url)!r}: its certificates can't be read: {error}"
        ) from error
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_NONE if mode == "required" else ssl.CERT_REQUIRED
    return context
