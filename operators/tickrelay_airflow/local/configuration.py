# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
What the local Airflow is told: an `airflow.cfg` of its own, and a few environment variables.

A file rather than `AIRFLOW__...` variables, so that `airflow` in another terminal needs no more than AIRFLOW_HOME.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from tickrelay_airflow.local.home import write_private
from tickrelay_airflow.local.settings import LocalSettings

DEPLOYMENT = "local"
PARALLELISM = 4
"""Tasks at once; each may take a quarter of a second of a core."""


def write_airflow_cfg(settings: LocalSettings) -> None:
    """Write `airflow.cfg` (mode 0600: it holds the keys)."""
    sections = _sections(settings, settings.home.secrets())
    lines = ["# Written by `tickrelay up` at each start; changes in here are lost."]
    for name, options in sections.items():
        lines += ["", f"[{name}]", *(f"{option} = {_text(value)}" for option, value in options.items())]
    write_private(settings.home.airflow / "airflow.cfg", "\n".join(lines) + "\n")


def _sections(settings: LocalSettings, keys: Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {
        "core": _core(settings) | {"fernet_key": keys["fernet_key"]},
        "database": {"sql_alchemy_conn": f"sqlite:///{settings.home.airflow / 'airflow.db'}"},
        "logging": {"base_log_folder": settings.home.airflow / "logs", "colored_console_log": False},
        "api": _api(settings) | {"secret_key": keys["secret_key"]},
        "api_auth": {"jwt_secret": keys["jwt_secret"]},
        "scheduler": _scheduler(),
        "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 12},
        "dag_processor": _dag_processor(settings),
        "providers": {},
    }


def _core(settings: LocalSettings) -> dict[str, object]:
    return {
        "dags_folder": settings.dags,
        "load_examples": False,
        "executor": "LocalExecutor",
        "parallelism": PARALLELISM,
        "dags_are_paused_at_creation": False,
        # Everybody who reaches the port is an administrator, so only this host does: see [api] host.
        "simple_auth_manager_all_admins": True,
        # Without this the tasks call port 8080, whatever [api] port says.
        "execution_api_server_url": f"{settings.web_address}/execution/",
        # A changed DAG file shows at once, not up to 30 s later.
        "min_serialized_dag_update_interval": 2,
        "min_serialized_dag_fetch_interval": 1,
    }


def _api(settings: LocalSettings) -> dict[str, object]:
    return {
        "host": "127.0.0.1",
        "port": settings.web,
        "base_url": settings.web_address,
        "workers": 1,
        "instance_name": "Tickrelay (local)",
    }


def _scheduler() -> dict[str, object]:
    """Short waits, and short patience with the dead: a system that was killed carries on within seconds."""
    return {
        "scheduler_idle_sleep_time": 0.15,
        "scheduler_heartbeat_sec": 2,
        "job_heartbeat_sec": 2,
        "scheduler_health_check_threshold": 10,
        "orphaned_tasks_check_interval": 10,
        "task_instance_heartbeat_sec": 2,
        "task_instance_heartbeat_timeout": 20,
        "task_instance_heartbeat_timeout_detection_interval": 5,
        "enable_health_check": False,
    }


def _dag_processor(settings: LocalSettings) -> dict[str, object]:
    """A new file is found within 2 s; a file, and so what it reads (schedules.yaml), is read again after 5 s."""
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(settings.dags), "refresh_interval": 2},
    }
    return {
        "dag_bundle_config_list": json.dumps([bundle]),
        "bundle_refresh_check_interval": 1,
        "refresh_interval": 2,
        "min_file_process_interval": 5,
        "parsing_processes": 1,
        "stale_dag_threshold": 15,
        "print_stats_interval": 0,
    }


def _text(value: object) -> str:
    # ConfigParser interpolates %, so a literal one is written twice.
    return str(value).replace("%", "%%")


def environment(settings: LocalSettings) -> dict[str, str]:
    """What Airflow, the consumer and a second terminal need to find each other."""
    connection = {"broker": settings.broker, "ledger": settings.ledger, "deployment": DEPLOYMENT}
    return {
        "AIRFLOW_HOME": str(settings.home.airflow),
        "AIRFLOW_CONN_TICKRELAY_DEFAULT": json.dumps({"conn_type": "tickrelay", "extra": connection}),
        "TICKRELAY_HOME": str(settings.home.path),
        "TICKRELAY_BROKER": settings.broker,
        "TICKRELAY_LEDGER": settings.ledger,
        "TICKRELAY_DEPLOYMENT": DEPLOYMENT,
        "TICKRELAY_AIRFLOW_URL": settings.web_address,
        "TICKRELAY_SHOP": str(settings.home.shop),
    }


def process_environment(settings: LocalSettings) -> dict[str, str]:
    """The environment of every component: ours, without settings meant for another Airflow."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    search = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    # Python's fork-safety advice for macOS; nobody else reads it.
    mac = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"} if sys.platform == "darwin" else {}
    return inherited | environment(settings) | {"PATH": search, "PYTHONUNBUFFERED": "1"} | mac


_FORGET_OTHERS = (
    "for name in $(env | sed -n 's/^\\(AIRFLOW_[A-Z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done"
)
"""For the shell: settings meant for another Airflow would outrank the home's airflow.cfg."""


def write_shell_environment(settings: LocalSettings) -> None:
    """Write the `env` file: `. .tickrelay/env` and then `airflow dags trigger ...` in another terminal."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment(settings).items()]
    write_private(settings.home.environment, "\n".join([_FORGET_OTHERS, *lines]) + "\n")
