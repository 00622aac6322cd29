# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The Redis broker's URL: `redis://user:password@host:6379/0?lease=10`, and `rediss://` for TLS.

==========================  ====================================================================================
option                      meaning
==========================  ====================================================================================
`lease`                     seconds after which a consumer that gave no sign of life counts as dead; 10
`timeout`                   longest wait in seconds for a connection or an answer; 5
`retention`                 seconds acknowledged messages are kept for `replay`, of the queues this broker declares;
                            without it a queue declared before keeps its own, and a new one keeps none
`prefix`                    of every key; `tickrelay`, so that `~tickrelay:*` is the pattern for an ACL user
`replicas`                  a publish is confirmed once so many replicas have it too (`WAIT`); 0
`sentinel`                  name of the master to ask the server in the URL for, which is a Sentinel then
`sentinels`                 further Sentinels to ask, `host:port,host:port`
`ssl_ca_certs`              file of the certificate authorities to trust; the system's by default
`ssl_ca_path`               folder of such, prepared with `openssl rehash`
`ssl_certfile`              file of this client's own certificate (mutual TLS)
`ssl_keyfile`               file of its private key
`ssl_password`              of that key
`ssl_check_hostname`        `no` trusts a certificate issued for another host
`ssl_cert_reqs`             `none` trusts anybody's certificate, and so hides a man in the middle
==========================  ====================================================================================

The names are redis-py's, and mean the same there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote

from tickrelay_messaging.brokers.names import check_name
from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import ConfigurationError

SHORTEST_LEASE = 1.0
LONGEST_RETENTION = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What the URL said.

    Attributes:
        where: server and database as errors name them, without what is secret.
        tls: whether the connection is encrypted.
        arguments: for redis-py's connection.
        lease: seconds a consumer may be silent before it counts as dead.
        timeout: longest wait in seconds for a connection or an answer.
        retention: seconds acknowledged messages are kept, or None to leave it as it is.
        prefix: what every key begins with.
        replicas: how many must have a message before it's confirmed.
        sentinel: name of the master, if Sentinels know where it is.
        sentinels: their addresses.
    """

    where: str
    tls: bool
    arguments: Mapping[str, Any] = field(repr=False)
    lease: float = 10.0
    timeout: float = 5.0
    retention: float | None = None
    prefix: str = "tickrelay"
    replicas: int = 0
    sentinel: str = ""
    sentinels: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, url: str) -> Settings:
        """
        Read a URL.

        Raises:
            ConfigurationError: it can't be read, or has an option nobody reads.
        """
        parts = split(url)
        if parts.scheme not in ("redis", "rediss"):
            raise ConfigurationError(f"{redact(url)!r} is no redis:// or rediss:// URL")
        if parts.fragment:
            raise ConfigurationError(
                f"{redact(url)!r} has a part behind '#'; write %23 for one in a password"
            )
        tls = parts.scheme == "rediss"
        options = _options(url, parts.query)
        names = ("lease", "timeout", "retention", "prefix", "replicas", "sentinel", "sentinels")
        ours = {name: options.pop(name) for name in names if name in options}
        _check_tls(url, options, tls=tls)
        host, port, db = parts.hostname or "localhost", parts.port or 6379, _database(url, parts)
        login = {"username": parts.username, "password": parts.password}
        secrets = {name: unquote(value) for name, value in login.items() if value}
        arguments = {"host": host, "port": port, "db": db, **secrets, **options}
        ours["sentinels"] = ((host, port), *ours.get("sentinels", ()))
        master = f" ({ours['sentinel']})" if "sentinel" in ours else ""
        where = f"redis {host}:{port}/{db}{master}"
        return cls(where=where, tls=tls, arguments=arguments, **ours)


def _options(url: str, query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in _READERS:
            raise ConfigurationError(
                f"{redact(url)!r}: nobody reads the option {name!r}; known: {', '.join(_READERS)}"
            )
        try:
            options[name] = _READERS[name](text)
        except ValueError as error:
            raise ConfigurationError(f"{redact(url)!r}: option {name}: {error}") from None
    return options


def _database(url: str, parts: SplitResult) -> int:
    text = parts.path.strip("/") or "0"
    if not (text.isascii() and text.isdigit()):
        raise ConfigurationError(f"{redact(url)!r}: the database must be a number, got {text!r}")
    return int(text)


def _check_tls(url: str, options: Mapping[str, Any], *, tls: bool) -> None:
    if not tls and any(name.startswith("ssl_") for name in options):
        raise ConfigurationError(f"{redact(url)!r}: ssl_ options need rediss://")
    for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
        path = options.get(name)
        if path is not None and not os.access(path, os.R_OK):
            raise ConfigurationError(f"{redact(url)!r}: {name}: {path!r} can't be read")


def _seconds(least: float, most: float = 3600.0) -> Callable[[str], float]:
    def read(text: str) -> float:
        seconds = float(text)
        if not least <= seconds <= most:  # also refuses NaN
            raise ValueError(f"must be {least:g} to {most:.0f} seconds, got {text!r}")
        return seconds

    return read


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 100):  # noqa: PLR2004 - nobody has as many
        raise ValueError(f"must be a small number, got {text!r}")
    return int(text)


def _addresses(text: str) -> tuple[tuple[str, int], ...]:
    pairs = [part.rpartition(":") for part in text.split(",")]
    if not all(host and port.isascii() and port.isdigit() for host, _, port in pairs):
        raise ValueError(f"must be host:port,host:port, got {text!r}")
    return tuple((host, int(port)) for host, _, port in pairs)


def _yes(text: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError(f"must be yes or no, got {text!r}")
    return known[text.lower()]


def _requirement(text: str) -> str:
    if text not in ("required", "none"):
        raise ValueError(f"must be required or none, got {text!r}")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "lease": _seconds(SHORTEST_LEASE),
    "timeout": _seconds(0.1),
    "retention": _seconds(0.0, LONGEST_RETENTION),
    "prefix": lambda text: check_name(text, "prefix"),
    "replicas": _count,
    "sentinel": lambda text: check_name(text, "master"),
    "sentinels": _addresses,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_check_hostname": _yes,
    "ssl_cert_reqs": _requirement,
}
