# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What Airflow finds of Tickrelay once it is installed: provider, connection type, decorator, links, plugin,
commands.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import types

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from tickrelay_airflow.provider import get_provider_info


def test_provider_is_discovered():
    """Airflow lists the distribution as a provider, under its own name."""
    info = ProvidersManager().providers["tickrelay"]

    assert "Tickrelay" == info.data["name"]


def test_every_module_named_can_be_imported():
    """Nothing in the provider's description leads nowhere."""
    info = get_provider_info()
    modules = [
        name
        for kind in ("operators", "sensors", "hooks", "triggers")
        for one in info[kind]
        for name in one["python-modules"]
    ]
    objects = [
        *info["extra-links"],
        *info["cli"],
        *info["queues"],
        info["connection-types"][0]["hook-class-name"],
    ]

    assert all(importlib.import_module(name) for name in modules)
    assert all(
        getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in objects
    )


def test_connection_type():
    """The form has our three fields, none of Airflow's that mean nothing here, and a hook to test with."""
    manager = ProvidersManager()
    fields = {name for name in manager.connection_form_widgets if name.startswith("extra__tickrelay__")}

    assert {
        f"extra__tickrelay__{name}" for name in ("broker", "broker_conn_id", "ledger", "deployment")
    } == fields
    assert (
        "tickrelay_airflow.hook.QueueHook" == ProvidersManagerTaskRuntime().hooks["tickrelay"].hook_class_name
    )
    assert "password" in manager.field_behaviours["tickrelay"]["hidden_fields"]


def test_test_connection(hook):
    """Airflow's own way to the button Test ends in broker and ledger."""
    from airflow.sdk import Connection

    works, text = Connection.get("tickrelay_default").test_connection()

    assert (True, "broker answers") == (works, text[:14])


def test_decorator_and_link():
    """`@task.publish` is there, and publishing tasks have their link."""
    from airflow.sdk import task

    assert callable(task.publish)
    assert "tickrelay_airflow.links.MessagesLink" in ProvidersManager().extra_links_class_names


def test_config():
    """The configuration section has its default."""
    from airflow.configuration import conf

    assert "tickrelay_default" == conf.get("tickrelay", "conn_id")


def test_plugin():
    """Airflow loads the plugin without an error, with its timetable, its pages and its tab."""
    from airflow import plugins_manager

    (found,) = [one for one in plugins_manager.get_plugin_info() if one["name"] == "tickrelay"]

    assert ["tickrelay_airflow.timetable.CronSchedule"] == found["timetables"]
    assert "/tickrelay" == found["fastapi_apps"][0]["url_prefix"]
    assert "task_instance" == found["external_views"][0]["destination"]
    assert not [name for name in plugins_manager.get_import_errors() if "tickrelay" in name]


def test_plugin_is_light():
    """
    The plugin is imported in every Airflow process: it brings neither FastAPI's application nor the pages.
    """
    code = (
        "import sys; import airflow.plugins_manager; before = set(sys.modules)\n"
        "import tickrelay_plugin.plugin; new = set(sys.modules) - before\n"
        "heavy = ('fastapi', 'jinja2', 'sqlalchemy', 'tickrelay_messaging.ledger', 'tickrelay_messaging.brokers')\n"
        "print([name for name in new if name.startswith(heavy)])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == told.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("arguments", [["list", "--json"], ["--json"], ["--help"], ["show", "--", "-x"], []])
def test_commands_get_everything_behind_their_name(hook, monkeypatch, arguments):
    """
    `airflow tickrelay queue ...` hands all arguments over, options too, and ends with the command's status.
    """
    from airflow.cli.cli_parser import get_parser

    given = []
    fake = types.ModuleType("tickrelay_consumer.commands")
    fake.run = lambda args: given.append(args) or 3
    monkeypatch.setitem(sys.modules, "tickrelay_consumer.commands", fake)
    monkeypatch.setenv("TICKRELAY_BROKER", "sqlite:////nowhere")
    monkeypatch.setenv("TICKRELAY_AIRFLOW_URL", "http://nowhere")
    args = get_parser().parse_args(["tickrelay", "queue", *arguments])

    with pytest.raises(SystemExit) as ended:
        args.func(args)
    assert 3 == ended.value.code
    assert [["queue", *arguments]] == given


def test_commands_use_the_connection(hook, monkeypatch):
    """Where the environment names no broker, the commands get the connection's; and the address of the API server."""
    import os

    from tickrelay_airflow import cli

    given = {}
    fake = types.ModuleType("tickrelay_consumer.commands")
    fake.run = lambda args: given.update(os.environ) or 0
    monkeypatch.setitem(sys.modules, "tickrelay_consumer.commands", fake)
    for name in ("BROKER", "LEDGER", "DEPLOYMENT", "AIRFLOW_URL"):
        monkeypatch.setenv(f"TICKRELAY_{name}", "")
        monkeypatch.delenv(f"TICKRELAY_{name}")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")

    with pytest.raises(SystemExit):
        cli._run("doctor", argparse.Namespace(rest=[]))
    assert {
        "TICKRELAY_BROKER": hook.settings.broker,
        "TICKRELAY_LEDGER": hook.settings.ledger,
        "TICKRELAY_DEPLOYMENT": hook.deployment,
        "TICKRELAY_AIRFLOW_URL": "https://airflow.example",
    }.items() <= given.items()


def test_commands_find_connections_in_the_database(monkeypatch, airflow_db):
    """A connection made in Airflow's pages is found, though commands run outside of tasks."""
    import os

    from airflow.models import Connection
    from airflow.utils.session import create_session

    from tickrelay_airflow import cli

    with create_session() as session:
        session.add(
            Connection(conn_id="stored", conn_type="tickrelay", extra='{"broker": "sqlite:////stored.db"}')
        )
    for name, value in (
        ("_AIRFLOW_PROCESS_CONTEXT", "server"),
        ("TICKRELAY_BROKER", ""),
        ("TICKRELAY_LEDGER", ""),
        ("TICKRELAY_DEPLOYMENT", ""),
    ):
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name)
    monkeypatch.setenv("TICKRELAY_CONN_ID", "stored")
    cli._use_connection()

    assert "sqlite:////stored.db" == os.environ["TICKRELAY_BROKER"]


def test_commands_without_a_connection(monkeypatch, capsys, airflow_db):
    """Without broker and connection the commands say what is missing and end with 2."""
    from tickrelay_airflow import cli

    monkeypatch.delenv("TICKRELAY_BROKER", raising=False)
    monkeypatch.setenv("TICKRELAY_CONN_ID", "nowhere")

    with pytest.raises(SystemExit) as ended:
        cli._run("doctor", argparse.Namespace(rest=[]))
    assert 2 == ended.value.code
    assert "AIRFLOW_CONN_NOWHERE" in capsys.readouterr().err
