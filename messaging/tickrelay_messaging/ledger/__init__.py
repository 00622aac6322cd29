# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What became of every message."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.ledger.base import Ledger


def open_ledger(url: str) -> Ledger:
    """
    The ledger behind a URL.

    Args:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db`.

    Raises:
        ConfigurationError: no ledger has this scheme, or the URL names no file.
        LedgerUnavailable: it can't be reached.
        StorageCorrupt: the file is damaged, or not a ledger.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        raise ConfigurationError(f"ledger scheme {scheme!r} is not known; use sqlite:///path/to/ledger.db")
    path = unquote(urlsplit(f"sqlite://{rest}").path)[1:]
    if not path:
        raise ConfigurationError("the ledger URL names no file; use sqlite:///path/to/ledger.db")
    from tickrelay_messaging.ledger.sqlite import SqliteLedger

    return SqliteLedger(Path(path))


__all__ = ["Ledger", "open_ledger"]
