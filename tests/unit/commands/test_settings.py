# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Settings: where they come from, what is refused, and that they keep secrets."""

from __future__ import annotations

import pytest

from tickrelay_consumer.settings import Settings
from tickrelay_messaging.errors import ConfigurationError

SECRET_URL = "amqp://user:hunter2@mq.example/"


def test_defaults_need_no_server() -> None:
    """Without any variable, queue and ledger are SQLite files side by side below the working directory."""
    settings = Settings.load()

    assert ("sqlite:///.tickrelay/queue.db", "sqlite:///.tickrelay/ledger.db") == (
        settings.broker,
        settings.ledger,
    )
    assert ("local", "default", None) == (settings.deployment, settings.group, settings.http)


def test_argument_wins_over_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument stands in for its variable; one that is None doesn't."""
    monkeypatch.setenv("TICKRELAY_BROKER", "redis://one")
    monkeypatch.setenv("TICKRELAY_GROUP", "billing")

    settings = Settings.load(broker="redis://two", group=None)

    assert ("redis://two", "billing") == (settings.broker, settings.group)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("TICKRELAY_BROKER", "queue.db", "must be a URL"),
        ("TICKRELAY_LEDGER", "ledger", "must be a URL"),
        ("TICKRELAY_GROUP", "a b", "letters, digits"),
        ("TICKRELAY_DEPLOYMENT", "x" * 201, "1 to 200"),
        ("TICKRELAY_HTTP", "9109", "HOST:PORT"),
        ("TICKRELAY_HTTP", "localhost:99999", "HOST:PORT"),
        ("TICKRELAY_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("TICKRELAY_LOG_FORMAT", "xml", "auto, console, json"),
    ],
)
def test_bad_value_names_variable_and_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    """A refused value's error names the variable and says what is allowed."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError, match=f"^{variable}: .*{allowed}"):
        Settings.load()


def test_bad_argument_names_option() -> None:
    """A refused argument is named as the option it came from, an unknown one too."""
    with pytest.raises(ConfigurationError, match=r"^--log-level: must be one of"):
        Settings.load(log_level="loud")
    with pytest.raises(ConfigurationError, match=r"^--colour: there is no such setting"):
        Settings.load(colour="red")


def test_secrets_stay_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither `repr` nor an error shows a URL's password."""
    assert "hunter2" not in repr(Settings.load(broker=SECRET_URL, ledger=SECRET_URL))

    monkeypatch.setenv("TICKRELAY_BROKER", "://user:hunter2@host")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["127.0.0.1:9109", "[::1]:0", "consumer-1.example:80"])
def test_http_address_is_kept(value: str) -> None:
    """Host names, IPv4 and bracketed IPv6 addresses with a port are taken as they are."""
    assert value == Settings.load(http=value).http
    assert Settings.load(http="off").http is None
