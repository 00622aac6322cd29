# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the handler that starts DAG runs is told: `TICKRELAY_DAG_RUN_*` variables, or arguments instead."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from tickrelay_messaging.errors import ConfigurationError

PREFIX = "TICKRELAY_DAG_RUN_"


class DagRunSettings(BaseSettings):
    """
    Validated and frozen; `DagRunSettings.load` reads it. Passwords and tokens are never shown.

    Attributes:
        queue: whose messages start runs.
        dag: of which DAG.
        url: the API server's address, such as `http://airflow:8080`.
        user, password: a token is fetched for them, and fetched again when it has expired.
        token: instead of both; it can't be renewed. With neither, Airflow is asked for a token without credentials,
            which only its development setting `simple_auth_manager_all_admins` grants.
        per: "message", or "key": all messages of a key are one run, which the first of them starts.
        max_queued: while so many runs of the DAG are queued, nothing is fetched.
        pause: seconds until Airflow is asked again after it was full or away.
        timeout: seconds for one request.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    queue: str
    dag: str = Field(pattern=r"^[A-Za-z0-9_.~:+-]{1,250}$")
    url: str
    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    per: Literal["message", "key"] = "message"
    max_queued: int = Field(16, ge=1)
    pause: float = Field(5.0, gt=0)
    timeout: float = Field(10.0, gt=0, le=25)

    @classmethod
    def load(cls, **given: Any) -> Self:
        """
        From the environment, with arguments in its place.

        Raises:
            ConfigurationError: names the variable and what is wrong with it.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigurationError("; ".join(_sentence(dict(one)) for one in error.errors())) from None

    @field_validator("url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")) or "@" in value:
            raise ValueError("must be http:// or https://, without a password in it")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _is_one_login(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together, one is missing")
        if self.user is not None and self.token is not None:
            raise ValueError("a user or a token, not both")
        return self


def _sentence(error: dict[str, Any]) -> str:
    where = PREFIX + str(error["loc"][0]).upper() if error["loc"] else PREFIX + "*"
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {error.get('ctx', {}).get('error') or error['msg']}"
