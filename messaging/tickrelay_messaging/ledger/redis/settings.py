# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The Redis ledger's URL: the broker's (`brokers.redis.url`), and these.

==============  ================================================================================================
option          meaning
==============  ================================================================================================
`durability`    `always` (default): refuse a server that could lose what it confirmed; `assured`: the same, on our
                word, for a managed server that doesn't show its settings; `relaxed`: never mind
`wait`          replicas that must have every batch before it counts (`WAIT`); 1 by default if there is a replica
`id`            id of the ledger that must be there; a server without it has lost it, or is another one
==============  ================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tickrelay_messaging.brokers.redis.url import Settings
from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError

ALWAYS, ASSURED, RELAXED = "always", "assured", "relaxed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """
    What the URL said.

    Attributes:
        server: how to get there.
        durability: `always`, `assured` or `relaxed`.
        wait: replicas to wait for; None to look whether there are any.
        id: of the ledger that must be there, or None.
    """

    server: Settings
    durability: str = ALWAYS
    wait: int | None = None
    id: str | None = None

    @classmethod
    def of(cls, url: str) -> LedgerSettings:
        """
        Read a URL.

        Raises:
            ConfigurationError: it can't be read.
        """
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True)
        ours = {name: text for name, text in options if name in ("durability", "wait", "id")}
        rest = urlencode([pair for pair in options if pair[0] not in ours])
        server = Settings.of(urlunsplit(parts._replace(query=rest)))
        durability, wait = ours.get("durability", ALWAYS), ours.get("wait")
        if durability not in (ALWAYS, ASSURED, RELAXED):
            raise ConfigurationError(
                f"{redact(url)!r}: durability must be always, assured or relaxed, got {durability!r}"
            )
        if wait is not None and not (wait.isascii() and wait.isdigit()):
            raise ConfigurationError(f"{redact(url)!r}: wait must be a number of replicas, got {wait!r}")
        return cls(
            server=server,
            durability=durability,
            wait=(server.replicas or None) if wait is None else int(wait),
            id=ours.get("id") or None,
        )

    @property
    def base(self) -> bytes:
        """What every key begins with; the braces would keep them together in a cluster."""
        return f"{self.server.prefix}:{{ledger}}:".encode()
