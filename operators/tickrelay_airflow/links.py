# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a task in Airflow's pages to what became of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class MessagesLink(BaseOperatorLink):
    """The button `Messages` of a publishing task."""

    name = "Messages"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Path of the page, on whatever address Airflow is reached at."""
        base_url: str = conf.get("api", "base_url", fallback="")
        base = urlsplit(base_url).path.rstrip("/")
        return base + page_path(ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)


def page_path(dag_id: str, run_id: str, task_id: str, map_index: int | None = -1) -> str:
    """Path of a task instance's page of messages."""
    path = f"/tickrelay/dags/{_segment(dag_id)}/runs/{_segment(run_id)}/tasks/{_segment(task_id)}"
    return path if map_index is None else f"{path}?map_index={map_index}"


def _segment(text: str) -> str:
    return quote(text, safe="")
