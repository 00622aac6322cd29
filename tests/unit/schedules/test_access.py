# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Where Airflow is: option, variable, or the local home."""

from __future__ import annotations

import pytest

from tickrelay_airflow.control.access import Access, home_dags, home_variables
from tickrelay_airflow.local.configuration import write_airflow_cfg, write_shell_environment
from tickrelay_airflow.local.home import Home
from tickrelay_airflow.local.settings import LocalSettings
from tickrelay_messaging.errors import ConfigurationError


@pytest.fixture
def home(place):
    """A local home as `tickrelay up` makes it, in the working directory."""
    made = Home(place / ".tickrelay")
    made.create()
    settings = LocalSettings(
        home=made,
        project=place,
        dags=place / "50% of my 'dags'",
        consumer=None,
        broker="sqlite:////queue.db",
        ledger="postgresql://me:it's@host/ledger",
        web=8123,
        metrics=9000,
        rate=0,
    )
    write_airflow_cfg(settings)
    write_shell_environment(settings)
    return made


def test_the_local_home(home, place):
    """A terminal beside `./run` needs no option: address, ledger, deployment and DAG folder are in the home."""
    assert "http://127.0.0.1:8123" == Access.find().url
    assert "postgresql://me:it's@host/ledger" == home_variables()["TICKRELAY_LEDGER"]
    assert "local" == home_variables()["TICKRELAY_DEPLOYMENT"]
    assert place / "50% of my 'dags'" == home_dags()


def test_a_home_elsewhere(home, tmp_path_factory, monkeypatch):
    """`TICKRELAY_HOME` names the home where it isn't below the working directory."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("TICKRELAY_HOME", str(home.path))

    assert "http://127.0.0.1:8123" == Access.find().url


def test_an_option_wins(home, monkeypatch):
    """An option wins over the variable, the variable over the home."""
    monkeypatch.setenv("TICKRELAY_AIRFLOW_URL", "https://airflow.example/base/")

    assert ("https://airflow.example/base", False) == (Access.find().url, Access.find().is_local)
    assert "http://localhost:1" == Access.find("http://localhost:1").url


def test_nowhere(place):
    """Without any of them the error says which to give."""
    with pytest.raises(
        ConfigurationError, match=r"--airflow URL or set TICKRELAY_AIRFLOW_URL.*TICKRELAY_HOME"
    ):
        Access.find()


@pytest.mark.parametrize("url", ["airflow:8080", "ftp://host", "http://", "http://me:secret@host"])
def test_no_address(place, url):
    """What can't be an address is refused; a password in it isn't repeated."""
    with pytest.raises(ConfigurationError, match="--airflow: must be http") as refused:
        Access.find(url)
    assert "secret" not in str(refused.value)


def test_a_user_without_password(place):
    """A user needs a password or a token in the environment; the command line, which others see, takes none."""
    with pytest.raises(ConfigurationError, match="TICKRELAY_AIRFLOW_PASSWORD"):
        Access.find("http://host", "me")


def test_secrets_are_not_shown(place, monkeypatch):
    """Password and token are no part of what is printed of a login."""
    monkeypatch.setenv("TICKRELAY_AIRFLOW_PASSWORD", "hush-1")
    monkeypatch.setenv("TICKRELAY_AIRFLOW_TOKEN", "hush-2")
    access = Access.find("http://host")

    assert "hush-2" == access.token
    assert "hush" not in repr(access)
