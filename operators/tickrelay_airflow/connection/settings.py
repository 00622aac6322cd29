# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What an Airflow connection says about broker, ledger and deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from tickrelay_messaging.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection

DEFAULT_CONN_ID = "tickrelay_default"
DEFAULT_DEPLOYMENT = "airflow"


@dataclass(frozen=True, slots=True)
class Settings:
    """
    One connection.

    Attributes:
        broker: URL of the broker.
        ledger: URL of the ledger, or None.
        deployment: name of this Airflow deployment; never derived from a host, which changes.
    """

    conn_id: str
    broker: str = field(repr=False)
    ledger: str | None = field(repr=False)
    deployment: str = DEFAULT_DEPLOYMENT

    @classmethod
    def load(cls, conn_id: str) -> Self:
        """
        Read a connection.

        Raises:
            ConfigurationError: there is no such connection, or it names no broker.
        """
        try:
            return cls._of(conn_id, BaseHook.get_connection(conn_id))
        except AirflowNotFoundException as error:
            raise ConfigurationError(_missing(conn_id)) from error

    @classmethod
    async def aload(cls, conn_id: str) -> Self:
        """`load` for the triggerer's event loop."""
        try:
            return cls._of(conn_id, await BaseHook.aget_connection(conn_id))
        except AirflowNotFoundException as error:
            raise ConfigurationError(_missing(conn_id)) from error

    @classmethod
    def _of(cls, conn_id: str, connection: Connection) -> Self:
        extra = connection.extra_dejson
        if not extra.get("broker"):
            raise ConfigurationError(
                f"connection {conn_id!r} names no broker: fill in its field 'Broker URL' "
                '(extra {"broker": "sqlite:////var/lib/tickrelay/queue.db"})'
            )
        found = cls(
            conn_id,
            extra["broker"],
            extra.get("ledger") or None,
            extra.get("deployment") or DEFAULT_DEPLOYMENT,
        )
        found._mask()
        return found

    def _mask(self) -> None:
        """Keep the URLs' passwords out of Airflow's logs and pages."""
        for url in (self.broker, self.ledger):
            if url and (password := urlsplit(url).password):
                mask_secret(password)
                mask_secret(unquote(password))


def _missing(conn_id: str) -> str:
    return (
        f"connection {conn_id!r} isn't defined: add one of type 'Tickrelay' under Admin > Connections, or set "
        f'AIRFLOW_CONN_{conn_id.upper()} to {{"conn_type": "tickrelay", "extra": '
        '{"broker": "sqlite:////path/queue.db", "ledger": "sqlite:////path/ledger.db"}}'
    )
