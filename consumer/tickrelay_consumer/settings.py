# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What a consumer and the `tickrelay` command are told: `TICKRELAY_*` variables, or arguments instead.

A URL may carry a password, so none is ever part of a `repr` or of an error here.
"""

from __future__ import annotations

import re
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tickrelay_messaging.errors import ConfigurationError

PREFIX = "TICKRELAY_"
DEFAULT_BROKER = "sqlite:///.tickrelay/queue.db"
DEFAULT_LEDGER = "sqlite:///.tickrelay/ledger.db"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "console", "json")

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:")
_NAME = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@]+):(\d{1,5})")


class Settings(BaseSettings):
    """
    Validated and frozen; `Settings.load` reads it.

    Attributes:
        broker: where the queues are; a SQLite file in `.tickrelay/` below the working directory by default.
        ledger: where it is written down what became of each message; beside the queue by default.
        deployment: names this installation in ids and sources; never derived from the host.
        group: the group of each queue that a consumer joins.
        http: `host:port` for `/metrics` and `/healthz`, or None for neither.
        log_level: the least that is logged: debug, info, warning or error.
        log_format: `console` for people, `json` for machines, `auto` chooses by whether a terminal is there.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    broker: str = Field(DEFAULT_BROKER, repr=False)
    ledger: str = Field(DEFAULT_LEDGER, repr=False)
    deployment: str = "local"
    group: str = "default"
    http: str | None = None
    log_level: str = "info"
    log_format: str = "auto"

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """
        From the environment, with arguments that aren't None in its place.

        Raises:
            ConfigurationError: names the variable or option and what is allowed.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError(
                "; ".join(_sentence(dict(one), given) for one in error.errors())
            ) from None

    @field_validator("broker", "ledger")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not _SCHEME.match(value):
            raise ValueError("must be a URL such as sqlite:///file.db, amqp://host or redis://host")
        return value

    @field_validator("deployment", "group")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("must be 1 to 200 letters, digits or one of . _ ~ -")
        return value

    @field_validator("http")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None or value.lower() in ("off", "none"):
            return None
        match = _ADDRESS.fullmatch(value)
        if match is None or int(match[2]) >= 1 << 16:
            raise ValueError("must be HOST:PORT such as 127.0.0.1:9109, or off")
        return value

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, value: str) -> str:
        return _one_of(value, LOG_LEVELS)

    @field_validator("log_format")
    @classmethod
    def _is_format(cls, value: str) -> str:
        return _one_of(value, LOG_FORMATS)


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value.lower() not in allowed:
        raise ValueError(f"must be one of {', '.join(allowed)}")
    return value.lower()


def _sentence(error: dict[str, Any], given: dict[str, Any]) -> str:
    """`TICKRELAY_HTTP: must be ...`, or `--http: ...` for what was given as an argument."""
    name = str(error["loc"][0]) if error["loc"] else "settings"
    where = "--" + name.replace("_", "-") if name in given else PREFIX + name.upper()
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such setting"
    reason = error.get("ctx", {}).get("error") or error["msg"]
    return f"{where}: {reason}"
