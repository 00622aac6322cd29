# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the page of a task's messages shows, read out of the ledger. Payloads are none of its business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow.configuration import conf
from pydantic import BaseModel

from tickrelay_airflow.hook import QueueHook
from tickrelay_messaging.errors import TickrelayError

if TYPE_CHECKING:
    from tickrelay_messaging.ledger.base import Ledger
    from tickrelay_messaging.ledger.reports import Batch, BatchProgress, Event, Life

PAGE = 100
"""Messages on one page."""

_UNEVENTFUL = {"published", "claimed", "due", "done", "expired", "revoked", "skipped", "discarded"}


class EventView(BaseModel):
    """Something that happened to a message; `at` in Unix seconds."""

    at: float
    what: str
    detail: str


class MessageView(BaseModel):
    """A message with one handler."""

    id: str
    group: str
    handler: str
    state: str
    attempts: int
    events: list[EventView]
    error: str | None


class ProgressView(BaseModel):
    """How far one handler is; `open` is None while the publisher is still at it."""

    group: str
    handler: str
    done: int
    dead: int
    discarded: int
    expired: int
    revoked: int
    skipped: int
    open: int | None


class BatchView(BaseModel):
    """One batch, as its last run published it."""

    id: str
    queue: str
    map_index: int
    runs: int
    opened_at: float
    closed_at: float | None
    count: int | None
    already_done: int
    progress: list[ProgressView]

    @property
    def is_settled(self) -> bool:
        """Whether nothing about it will change by itself any more."""
        seen = bool(self.progress) or self.count == 0
        return self.closed_at is not None and seen and all(row.open == 0 for row in self.progress)


class MessagesView(BaseModel):
    """
    The page.

    Attributes:
        status: whether there is something to show, and if not, why.
        problem: what is wrong with the ledger, in words.
        shown: the batch whose messages are listed: with several (a mapped task), the newest.
        next: what to continue behind, as `after=`; None on the last page.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None
    status: Literal["published", "not_published", "no_ledger"]
    problem: str = ""
    batches: list[BatchView] = []
    shown: str | None = None
    messages: list[MessageView] = []
    after: int = 0
    next: int | None = None


def look_up(*, dag_id: str, run_id: str, task_id: str, map_index: int | None, after: int) -> MessagesView:
    """
    What became of a task instance's messages, a page of them; with `map_index` None of all its instances'
    batches.
    """
    view = MessagesView(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        status="not_published",
        after=after,
    )
    try:
        ledger = QueueHook(conf.get("tickrelay", "conn_id", fallback="tickrelay_default")).require_ledger(
            "This page"
        )
        _fill(view, ledger)
    except TickrelayError as error:
        return view.model_copy(update={"status": "no_ledger", "problem": str(error)})
    return view


def _fill(view: MessagesView, ledger: Ledger) -> None:
    newest: dict[str, Batch] = {}
    # By id, so that the last run of each batch wins and the newest batch ends up last.
    for batch in ledger.batches.find(
        dag_id=view.dag_id, run_id=view.run_id, task_id=view.task_id, map_index=view.map_index
    ):
        newest.pop(batch.info.id, None)
        newest[batch.info.id] = batch
    if not newest:
        return
    view.status = "published"
    view.batches = [_batch(ledger, batch) for batch in newest.values()]
    view.shown = view.batches[-1].id
    lives = ledger.history.lives(view.shown, after=view.after, limit=PAGE)
    view.messages = [_message(life) for life in lives]
    ended = [life.number for life in lives if life.number]
    view.next = ended[-1] if len(ended) >= PAGE else None


def _batch(ledger: Ledger, batch: Batch) -> BatchView:
    groups = sorted(
        {row.route.group for row in ledger.history.stats() if row.route.queue == batch.info.queue}
    )
    rows = [row for group in groups for row in ledger.batches.progress(batch.info.id, group)]
    return BatchView(
        id=batch.info.id,
        queue=batch.info.queue,
        map_index=batch.info.map_index,
        runs=batch.ordinal,
        opened_at=batch.opened_at,
        closed_at=batch.closed_at,
        count=batch.count,
        already_done=batch.already_done,
        progress=[_progress(row) for row in rows],
    )


def _progress(row: BatchProgress) -> ProgressView:
    return ProgressView(group=row.route.group, handler=row.route.handler, **row.ends, open=row.open)


def _message(life: Life) -> MessageView:
    return MessageView(
        id=life.message_id,
        group=life.route.group,
        handler=life.route.handler,
        state=life.state.value,
        attempts=life.attempts,
        events=[EventView(at=event.at, what=event.what, detail=event.detail) for event in life.events],
        error=_error(life.events),
    )


def _error(events: tuple[Event, ...]) -> str | None:
    """The last thing that went wrong."""
    wrong = [event.detail or event.what for event in events if event.what not in _UNEVENTFUL]
    return wrong[-1] if wrong else None
