# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Its `airflow.cfg`: what docs/operations/high-availability.md recommends, and what this one machine needs."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path

_PAGE = Path(__file__).parents[3] / "docs/operations/high-availability.md"
_KEY = "only-for-the-tests-of-this-repository-" + "0" * 32
PARALLELISM = 4
"""Tasks at once on each scheduler; a task takes a quarter of a second of a core."""

Sections = dict[str, dict[str, str]]


def recommended() -> Sections:
    """The page's first `ini` block, so that what it recommends is what is tested."""
    block = _PAGE.read_text(encoding="utf-8").partition("```ini\n")[2].partition("```")[0]
    parser = ConfigParser(interpolation=None)
    parser.read_string(block)
    return {name: dict(parser[name]) for name in parser.sections()}


def write_airflow_cfg(home: Path, dags: Path, database: str, port: int, more: Sections) -> None:
    """
    Args:
        database: URL of the metadata database.
        port: the API server's.
        more: sections that outrank all others.
    """
    parser = ConfigParser(interpolation=None)
    for sections in (recommended(), _local(home, dags, database, port), more):
        parser.read_dict(sections)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "airflow.cfg").open("w", encoding="utf-8") as file:
        file.write("# Written by the tests.\n")
        for name in parser.sections():
            file.write(f"[{name}]\n")
            # Airflow's own reader interpolates %, so a literal one is written twice.
            file.writelines(f"{key} = {value.replace('%', '%%')}\n" for key, value in parser[name].items())


def _local(home: Path, dags: Path, database: str, port: int) -> Sections:
    address = f"http://127.0.0.1:{port}"
    url = database.replace("postgresql:", "postgresql+psycopg:", 1)
    bundle = {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags), "refresh_interval": 2},
    }
    return {
        "core": {
            "dags_folder": str(dags),
            "load_examples": "False",
            "executor": "LocalExecutor",
            "parallelism": str(PARALLELISM),
            "dags_are_paused_at_creation": "False",
            "simple_auth_manager_all_admins": "True",
            "execution_api_server_url": f"{address}/execution/",
            "min_serialized_dag_update_interval": "2",
            "min_serialized_dag_fetch_interval": "1",
        },
        "database": {"sql_alchemy_conn": url, "sql_alchemy_conn_async": url},
        "logging": {"base_log_folder": str(home / "logs"), "colored_console_log": "False"},
        "api": {
            "host": "127.0.0.1",
            "port": str(port),
            "base_url": address,
            "workers": "1",
            "secret_key": _KEY,
        },
        "api_auth": {"jwt_secret": _KEY},
        "dag_processor": {
            "dag_bundle_config_list": json.dumps([bundle]),
            "bundle_refresh_check_interval": "1",
            "refresh_interval": "2",
            "min_file_process_interval": "5",
            "parsing_processes": "1",
            "print_stats_interval": "0",
        },
    }
