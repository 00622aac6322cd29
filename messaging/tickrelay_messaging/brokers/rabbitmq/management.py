# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ's management HTTP API: the list of queues and their counts, which AMQP itself can't tell."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlencode
from urllib.request import Request, urlopen

from tickrelay_messaging.brokers.rabbitmq.names import PREFIX
from tickrelay_messaging.brokers.urls import redact, split
from tickrelay_messaging.errors import BrokerRefused, BrokerUnavailable, ConfigurationError

TIMEOUT = 10.0
"""Seconds for one answer."""
_PAGE = 500
_UNAUTHORIZED = (401, 403)


class Management:
    """
    Args:
        base: `http[s]://[user:password@]host:port`.
        login: user and password where the base has none.
        vhost: the one whose queues are asked for.
        context: how `https` is verified.
    """

    def __init__(self, base: str, login: tuple[str, str], vhost: str, context: ssl.SSLContext) -> None:
        parts = split(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"management={redact(base)!r}: write http://host:15672 or https://host:15671"
            )
        user = unquote(parts.username) if parts.username else login[0]
        password = unquote(parts.password) if parts.password else login[1]
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/api"
        self._authorization = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        self._vhost = quote(vhost, safe="")
        self._context = context

    def queues(self) -> list[dict[str, Any]]:
        """Every queue of ours: `name`, `messages_unacknowledged`..., as the API says it; a few seconds old."""
        found: list[dict[str, Any]] = []
        page = pages = 1
        while page <= pages:
            query = {"page": page, "page_size": _PAGE, "name": f"^{PREFIX}", "use_regex": "true"}
            answer = self._get(f"/queues/{self._vhost}?{urlencode(query)}")
            found += answer["items"]
            page, pages = page + 1, answer["page_count"]
        return found

    def _get(self, path: str) -> Any:
        request = Request(self._base + path, headers={"Authorization": self._authorization})  # noqa: S310 - checked
        where = f"RabbitMQ's management API at {self._base}"
        try:
            with urlopen(request, timeout=TIMEOUT, context=self._context) as answer:  # noqa: S310 - http(s), checked
                return json.load(answer)
        except HTTPError as error:
            kind = BrokerRefused if error.code in _UNAUTHORIZED else BrokerUnavailable
            raise kind(f"{where}: {error.code} {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise BrokerUnavailable(f"{where}: {error}") from error
