# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What an Airflow connection says about broker, ledger and deployment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import amask_secret, mask_secret

from tickrelay_airflow.connection.brokers import is_broker, url_of
from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

DEFAULT_CONN_ID = "tickrelay_default"
DEFAULT_DEPLOYMENT = "airflow"
Extra = Mapping[str, Any]
_SECRETS = ("pass", "secret", "token")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    One connection.

    Attributes:
        broker: URL of the broker.
        ledger: URL of the ledger, or None.
        deployment: name of this Airflow deployment; never derived from a host, which changes.
        broker_conn_id: the connection that the broker's URL is from.
        bare: the connection is a broker's own; ledger and deployment come from the environment.
    """

    conn_id: str
    broker: str = field(repr=False)
    ledger: str | None = field(repr=False)
    deployment: str = DEFAULT_DEPLOYMENT
    broker_conn_id: str = ""
    bare: bool = False

    @classmethod
    def load(cls, conn_id: str) -> Self:
        """
        Read a connection, and the one it may name as its broker's.

        Raises:
            ConfigurationError: there is no such connection, or it names no broker.
        """
        try:
            first = BaseHook.get_connection(conn_id)
            extra = first.extra_dejson
            if (named := _named(first, extra)) is None:
                found = cls._of(first, extra)
            else:
                other = BaseHook.get_connection(named)
                found = cls._through(first, extra, other, other.extra_dejson)
        except AirflowNotFoundException as error:
            raise ConfigurationError(_missing(conn_id, str(error))) from error
        for secret in found.secrets():
            mask_secret(secret)
        return found

    @classmethod
    async def aload(cls, conn_id: str) -> Self:
        """`load` for the triggerer's event loop."""
        try:
            first = await BaseHook.aget_connection(conn_id)
            extra = await first.aextra_dejson()
            if (named := _named(first, extra)) is None:
                found = cls._of(first, extra)
            else:
                other = await BaseHook.aget_connection(named)
                found = cls._through(first, extra, other, await other.aextra_dejson())
        except AirflowNotFoundException as error:
            raise ConfigurationError(_missing(conn_id, str(error))) from error
        for secret in found.secrets():
            await amask_secret(secret)
        return found

    def how_to_name_a_ledger(self) -> str:
        """The end of a sentence that says a ledger is needed."""
        if not self.bare:
            return (
                f"put its URL into the field 'Ledger URL' of connection {self.conn_id!r}, "
                "the same one that the consumers use"
            )
        return (
            f"connection {self.conn_id!r} is the broker's own and has no place for one: set TICKRELAY_LEDGER as the "
            f"consumers have it, or make a connection of type 'Tickrelay' with 'Broker connection' {self.conn_id!r}"
        )

    def secrets(self) -> Iterator[str]:
        """The URLs' passwords, as they are and as a URL spells them, to be kept out of Airflow's logs and pages."""
        for url in (self.broker, self.ledger):
            for secret in _secrets_of(url or ""):
                yield from {secret, quote(secret, safe="")}

    @classmethod
    def _of(cls, connection: Connection, extra: Extra) -> Self:
        if is_broker(connection):
            return cls._bare(connection, extra)
        if not extra.get("broker"):
            raise ConfigurationError(
                f"connection {connection.conn_id!r} names no broker: fill in its field 'Broker URL' "
                '(extra {"broker": "sqlite:////var/lib/tickrelay/queue.db"}), or name an amqp, kafka or redis '
                "connection in 'Broker connection' (extra broker_conn_id)"
            )
        return cls._full(connection, extra, extra["broker"], connection.conn_id)

    @classmethod
    def _through(cls, connection: Connection, extra: Extra, other: Connection, others: Extra) -> Self:
        if extra.get("broker"):
            raise ConfigurationError(
                f"connection {connection.conn_id!r} has both a 'Broker URL' and a 'Broker connection': "
                "leave one of them empty"
            )
        return cls._full(connection, extra, url_of(other, others), other.conn_id)

    @classmethod
    def _full(cls, connection: Connection, extra: Extra, broker: str, broker_conn_id: str) -> Self:
        ledger, deployment = extra.get("ledger") or None, extra.get("deployment") or DEFAULT_DEPLOYMENT
        return cls(connection.conn_id, broker, ledger, deployment, broker_conn_id=broker_conn_id)

    @classmethod
    def _bare(cls, connection: Connection, extra: Extra) -> Self:
        return cls(
            connection.conn_id,
            url_of(connection, extra),
            os.environ.get("TICKRELAY_LEDGER") or None,
            os.environ.get("TICKRELAY_DEPLOYMENT") or DEFAULT_DEPLOYMENT,
            broker_conn_id=connection.conn_id,
            bare=True,
        )


def _named(connection: Connection, extra: Extra) -> str | None:
    """The connection that this one names as its broker's."""
    return None if is_broker(connection) else extra.get("broker_conn_id") or None


def _secrets_of(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # opening it will say so, without quoting it
        return
    if parts.password:
        yield parts.password
        yield unquote(parts.password)
    for name, value in parse_qsl(parts.query):
        yield from _secrets_of(value)
        if any(word in name.lower() for word in _SECRETS):
            yield value


def _missing(conn_id: str, told: str) -> str:
    if f"`{conn_id}`" not in told:
        return f"the broker connection that {conn_id!r} names isn't there: {told}. Define it, or name another"
    return (
        f"connection {conn_id!r} isn't defined: add one of type 'Tickrelay' under Admin > Connections, or set "
        f'AIRFLOW_CONN_{conn_id.upper()} to {{"conn_type": "tickrelay", "extra": '
        '{"broker": "sqlite:////path/queue.db", "ledger": "sqlite:////path/ledger.db"}}'
    )
