# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Reading broker URLs, and showing them without what is secret in them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tickrelay_messaging.errors import ConfigurationError

# Greedy up to the last @ before the path: a password may hold an @ that nobody escaped.
_USERINFO = re.compile(r"(?<=//)([^/?#:@]*):[^/?#]*@")
_PARAMETER = re.compile(
    r"([?&;](?:[^=&;]*(?:pass|secret|token|key|credential)[^=&;]*|sasl\.(?!mechanism|username)[^=&;]*)=)[^&;#]*",
    re.IGNORECASE,
)


def redact(url: str) -> str:
    """The URL with every password replaced by `***`; works on malformed URLs too, for any error."""
    return _PARAMETER.sub(r"\1***", _USERINFO.sub(r"\1:***@", url))


def split(url: str) -> SplitResult:
    """
    The parts of a broker URL; its host and port are known to be readable.

    Raises:
        ConfigurationError: it isn't a URL with a scheme.
    """
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:  # several servers (Kafka): the broker reads them itself
            _ = parts.port, parts.hostname
    except (ValueError, TypeError, AttributeError):
        # The parser's own words may quote the password.
        raise ConfigurationError(f"{redact(str(url))!r} can't be read as a URL") from None
    if not parts.scheme:
        raise ConfigurationError(
            f"broker {redact(url)!r} has no scheme; write for example sqlite:///tickrelay.db"
        )
    return parts


def file_path(url: str) -> str:
    """
    The path in a URL of a file: `sqlite:///relative.db`, `sqlite:////absolute.db`.

    Raises:
        ConfigurationError: a host, an option or no path.
    """
    parts = split(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not url.startswith(f"{parts.scheme}:///") or not path or "\0" in path:
        raise ConfigurationError(
            f"{redact(url)!r} names no file; "
            f"write {parts.scheme}:///relative.db or {parts.scheme}:////absolute.db"
        )
    if options := [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)] or parts.fragment:
        raise ConfigurationError(f"{redact(url)!r} has options nobody reads: {options}")
    return path
