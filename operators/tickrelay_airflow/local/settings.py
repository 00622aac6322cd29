# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What one local system is started with."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tickrelay_airflow.local.home import Home
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.urls import redact
from tickrelay_messaging.errors import ConfigurationError, TickrelayError

DEMO_SHOP = Path("examples/orders/shop.py")
"""The demo's order generator, from the project folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """
    One local system.

    Attributes:
        home: its state directory.
        project: the folder it is started in; the consumer runs there.
        dags: where the DAG files are.
        consumer: `FILE:ATTR` of the consumer, or None to run none.
        broker: broker URL.
        ledger: ledger URL.
        web: port of Airflow's pages.
        metrics: port of the consumer's `/metrics` and `/healthz`.
        rate: demo orders a second; 0 makes none.
    """

    home: Home
    project: Path
    dags: Path
    consumer: str | None
    broker: str = field(repr=False)
    ledger: str = field(repr=False)
    web: int
    metrics: int
    rate: float

    @property
    def web_address(self) -> str:
        """Where Airflow's pages are."""
        return f"http://127.0.0.1:{self.web}"

    @property
    def demo(self) -> bool:
        """Whether demo orders are made."""
        return self.rate > 0 and (self.project / DEMO_SHOP).is_file()

    def check(self) -> None:
        """
        Refuse what can't work before anything is started.

        Raises:
            ConfigurationError: what is wrong, and what to do.
        """
        if not self.dags.is_dir():
            raise ConfigurationError(f"there is no DAG folder {self.dags}; name one with --dags DIRECTORY")
        file = Path((self.consumer or "").rpartition(":")[0])
        if self.consumer and not (self.project / file).is_file():
            raise ConfigurationError(f"there is no consumer file {file}; name one with --consumer FILE:ATTR")
        if any(mark in str(self.home.path) for mark in "?#%\n"):
            raise ConfigurationError(
                f"{self.home.path}: a state directory's path must not hold ? # % or a line break"
            )
        if not os.access(self.home.path, os.W_OK):
            raise ConfigurationError(
                f"{self.home.path} can't be written to; name another with --home DIRECTORY"
            )

    def reach_broker(self) -> None:
        """
        See that the broker is there and lets us in.

        Raises:
            ConfigurationError: it isn't, or doesn't; the text holds no password.
        """
        try:
            with open_broker(self.broker) as broker:
                broker.check()
        except TickrelayError as error:
            raise ConfigurationError(
                f"the broker {redact(self.broker)} can't be used: {error}. Nothing was started; start the broker or "
                "correct --broker URL, or leave it out for the embedded one"
            ) from error
