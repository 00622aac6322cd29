# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A home for Airflow that is nobody's own."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "tickrelay-airflow-"


def own_home() -> None:
    """
    Give Airflow a home and a database of this test run's own, and forget settings meant for another Airflow.

    Airflow reads them when it is imported: call this before.
    """
    if _PREFIX not in os.environ.get("AIRFLOW_HOME", ""):
        os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix=_PREFIX)
        atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
    for name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[2] / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{os.environ['AIRFLOW_HOME']}/airflow.db",
        "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-the-tests-of-this-repository-" + "0" * 32,
    }
