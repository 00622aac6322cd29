# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Where Airflow is and who asks: options, else `TICKRELAY_AIRFLOW_*`, else the local home that `tickrelay up` made.

So a second terminal beside `./run` needs no options at all.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tickrelay_messaging.errors import ConfigurationError

ADDRESS = "TICKRELAY_AIRFLOW_URL"
USER = "TICKRELAY_AIRFLOW_USER"
PASSWORD = "TICKRELAY_AIRFLOW_PASSWORD"  # noqa: S105 - the variable's name
TOKEN = "TICKRELAY_AIRFLOW_TOKEN"  # noqa: S105 - the variable's name
_HOME = "TICKRELAY_HOME"
_DEFAULT_HOME = ".tickrelay"


@dataclass(frozen=True, slots=True)
class Access:
    """
    An Airflow and a login; without user and token it is asked for a token that needs neither, as the local one gives.

    Attributes:
        url: of the API server, without a slash at the end.
        source: where the address is from, for errors.
    """

    url: str
    source: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @classmethod
    def find(cls, url: str | None = None, user: str | None = None) -> Self:
        """
        The Airflow meant.

        Raises:
            ConfigurationError: nothing says where Airflow is, or the address can't be one, or a user has no password.
        """
        address, source = _address(url)
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ConfigurationError(
                f"{source}: must be http://host:port or https://host, without a login in it"
            )
        chosen, password = user or _environment(USER), _environment(PASSWORD)
        if chosen and not password:
            raise ConfigurationError(
                f"user {chosen} has no password: set {PASSWORD}, or {TOKEN} instead of both"
            )
        return cls(address.rstrip("/"), source, chosen, password, None if user else _environment(TOKEN))

    @property
    def is_local(self) -> bool:
        """Whether it is on this host, where a proxy has no business."""
        return urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}


def home_variables() -> Mapping[str, str]:
    """What the local home's `env` file exports; empty where there is no home here."""
    try:
        lines = (_home() / "env").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    exported = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
    pairs = (line.partition("=") for line in exported)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def home_dags() -> Path | None:
    """The folder of DAG files that the local home's Airflow reads; None where there is no home here."""
    parser = RawConfigParser()
    parser.read(_home() / "airflow" / "airflow.cfg", encoding="utf-8")
    folder = parser.get("core", "dags_folder", fallback="")
    return Path(folder.replace("%%", "%")) if folder else None


def _home() -> Path:
    return Path(_environment(_HOME) or _DEFAULT_HOME)


def _address(url: str | None) -> tuple[str, str]:
    if url:
        return url, "--airflow"
    if said := _environment(ADDRESS):
        return said, ADDRESS
    if said := home_variables().get(ADDRESS):
        return said, f"the local home {_home()}"
    raise ConfigurationError(
        f"nothing says where Airflow is: give --airflow URL or set {ADDRESS}; "
        f"beside ./run, stand in its folder or set {_HOME}"
    )


def _environment(name: str) -> str | None:
    return os.environ.get(name) or None
