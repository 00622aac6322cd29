# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The DAGs and consumers that README and the Airflow guide show are what a user may paste."""

from __future__ import annotations

import json
import re
import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tickrelay_messaging.brokers import QueueSpec, open_broker

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/guide/airflow.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_snippets_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as they are read; what is only a part of a DAG stands inside one."""
    from airflow.sdk import DAG

    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_schedules.yaml").write_text("schedules: []\n")
    urls = {"broker": f"sqlite:///{tmp_path}/queue.db", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    connection = {"conn_type": "tickrelay", "extra": {**urls, "deployment": "docs"}}
    monkeypatch.setenv("AIRFLOW_CONN_TICKRELAY_DEFAULT", json.dumps(connection))
    with open_broker(urls["broker"]) as broker:
        broker.declare(QueueSpec("orders"))
    names: dict[str, object] = {}
    snippets = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert snippets
    with DAG("around", start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        for code in snippets:
            (tmp_path / "snippet.py").write_text(code)
            names |= runpy.run_path(str(tmp_path / "snippet.py"), init_globals=names)
