# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A home for Airflow that is nobody's own, and its API server on a port."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PREFIX = f"tickrelay-airflow-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}-"
"""Each worker of pytest-xdist has a home of its own, which the processes that its tests start share."""


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


@contextmanager
def api_server(app: Any) -> Iterator[str]:
    """Airflow's API server on a free port of this host, in a thread; yields its address."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the API server ended"
        assert time.monotonic() < deadline, "the API server didn't start in 20 s"
        time.sleep(0.02)
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
