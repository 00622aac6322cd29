# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a publishing task says of itself: in every message, in its batch, and in asset events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset
from opentelemetry import propagate

from tickrelay_messaging.ledger.records import BatchInfo

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tickrelay_airflow.publishing.policies import Verdict
    from tickrelay_airflow.publishing.publication import Publication
    from tickrelay_messaging.ids import TaskIdentity


def batch_of(identity: TaskIdentity, queue: str) -> BatchInfo:
    """The batch that a task instance publishes."""
    return BatchInfo(
        id=identity.batch,
        queue=queue,
        dag_id=identity.dag_id,
        run_id=identity.run_id,
        task_id=identity.task_id,
        map_index=identity.map_index,
    )


def extensions_of(context: Context, identity: TaskIdentity, publication: Publication) -> dict[str, str]:
    """What every message says about where it comes from; names and meaning as in docs/reference."""
    extensions = {
        "dagid": identity.dag_id,
        "runid": identity.run_id,
        "taskid": identity.task_id,
        "mapindex": str(identity.map_index),
        "batchid": f"{identity.batch}/{publication.ordinal}",
        "ledgerid": publication.result.ledger,
        "traceparent": _traceparent(context),
        "generation": str(identity.generation) if identity.generation else None,
    }
    return {name: value for name, value in extensions.items() if value is not None}


def annotate_outlets(outlets: list[Any], context: Context, result: dict[str, Any]) -> None:
    """Batch and counts into the asset events, so that whoever is scheduled on the asset finds the messages."""
    for asset in outlets:
        if isinstance(asset, Asset):
            context["outlet_events"][asset].extra["tickrelay"] = result


def why_nothing(verdicts: Sequence[Verdict]) -> str:
    """Why a run has nothing to publish, for the log of the skipped task."""
    if not verdicts:
        return "no tick of the schedule as it is now lies in this run's window"
    first = verdicts[0]
    more = f", and {len(verdicts) - 1} more" if len(verdicts) > 1 else ""
    return f"tick {first.tick.at.isoformat()}{more}: {first.outcome}: {first.reason}"


def _traceparent(context: Context) -> str | None:
    """The running span, or else the one Airflow gave the task; None where there is neither."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    given = getattr(context["ti"], "context_carrier", None) or {}
    return carrier.get("traceparent") or given.get("traceparent")
