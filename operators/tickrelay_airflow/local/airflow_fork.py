# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Airflow's components as forks of one process that has imported Airflow once.

Four `airflow ...` commands import the same modules four times, on two cores for some ten seconds; forks share them, so
the first effect comes sooner and a third of the memory is saved (docs/decisions/0003-local-airflow.md has the figures).
Only `keeper` imports this module.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

_SHARED = {
    "dag-processor": ("airflow.dag_processing.manager", "airflow.dag_processing.processor"),
    "api-server": (
        "airflow.api_fastapi.app",
        "airflow.api_fastapi.core_api.app",
        "airflow.api_fastapi.core_api.routes.public",
        "airflow.api_fastapi.core_api.routes.ui",
        "airflow.api_fastapi.execution_api.app",
    ),
    "scheduler": (
        "airflow.jobs.scheduler_job_runner",
        "airflow.executors.local_executor",
        "airflow.sdk.execution_time.supervisor",
        "airflow.sdk.execution_time.task_runner",
    ),
    "triggerer": ("airflow.jobs.triggerer_job_runner",),
}
"""What is imported before a component is forked; a module that is gone in a later Airflow only costs time."""


def migrate() -> None:
    """Make the metadata database, or bring it up to date."""
    from airflow.utils.db import initdb

    initdb()


def prepare(component: str) -> None:
    """Import what a component needs into this process, so that its forks share it."""
    for module in ("airflow.__main__", "airflow.cli.cli_parser", *_SHARED.get(component, ())):
        with suppress(ImportError):
            importlib.import_module(module)
    # Objects of before the fork are never looked at again, so their pages stay shared.
    gc.collect()
    gc.freeze()
    _forget_connections()


def run(arguments: Sequence[str]) -> None:
    """Be `airflow ...` in a forked child; doesn't return."""
    code: object = 1
    try:
        _reconnect()
        code = _airflow(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - nothing may escape into the parent's code that the fork has copied
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _airflow(arguments: Sequence[str]) -> int:
    from airflow.__main__ import main

    sys.argv = ["airflow", *arguments]
    main()
    return 0


def _forget_connections() -> None:
    """A connection must not be shared by two processes."""
    from airflow import settings

    settings.dispose_orm(do_log=False)


def _reconnect() -> None:
    from airflow import settings

    settings.configure_orm()
