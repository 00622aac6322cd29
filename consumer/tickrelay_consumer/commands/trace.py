# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A message's whole life, or everything a DAG run has published."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text

from tickrelay_consumer.commands import _console as console
from tickrelay_consumer.commands._options import (
    AsJson,
    BrokerUrl,
    LedgerUrl,
    Limit,
    new_app,
    open_broker,
    open_ledger_if_there,
)
from tickrelay_messaging import envelope
from tickrelay_messaging.brokers.base import Broker, Peeked
from tickrelay_messaging.errors import TickrelayError, UndecodableMessage
from tickrelay_messaging.ledger.base import Ledger
from tickrelay_messaging.ledger.reports import Batch, BatchProgress, Life

app = new_app()

_PAGE = 200
_DEPTH = 2_000
"""How many messages of a queue are looked through for one the ledger hasn't met."""


@app.command()
def trace(
    what: Annotated[
        str, typer.Argument(metavar="ID_OR_RUN", help="A message's id, or DAG_ID/RUN_ID.", show_default=False)
    ],
    dag: Annotated[
        str | None,
        typer.Option("--dag", metavar="DAG_ID", help="The argument is the id of a run of this DAG."),
    ] = None,
    limit: Limit = 50,
    broker: BrokerUrl = None,
    ledger: LedgerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Tell the whole life of a message, or what a DAG run has published and what became of it."""
    opened = open_ledger_if_there(ledger)
    if opened is not None:
        with opened:
            if _trace_in_ledger(opened, what, dag, limit, as_json=as_json):
                return
    if dag is None and _trace_on_broker(broker, what, as_json=as_json):
        return
    raise TickrelayError(_unknown(what, dag, ledger_asked=opened is not None))


def _trace_in_ledger(ledger: Ledger, what: str, dag: str | None, limit: int, *, as_json: bool) -> bool:
    lives = [] if dag else ledger.history.life(what)
    if lives:
        _show_lives(what, lives, as_json=as_json)
        return True
    dag_id, slash, run_id = (dag, "/", what) if dag else what.partition("/")
    found = ledger.batches.find(dag_id=dag_id, run_id=run_id) if slash else []
    if found:
        _show_run(ledger, dag_id, run_id, found, limit, as_json=as_json)
    return bool(found)


def _unknown(what: str, dag: str | None, *, ledger_asked: bool) -> str:
    if not ledger_asked:
        return f"{what}: not found on any queue, and the ledger could not be asked"
    if dag:
        return f"DAG {dag} has published nothing in a run {what}, as far as the ledger knows"
    hint = "" if "/" in what else "; for a DAG run write DAG_ID/RUN_ID"
    return f"{what}: neither the ledger nor the first {_DEPTH:,} messages of any queue know it{hint}"


# --- a message ----------------------------------------------------------------------------------------------


def _show_lives(what: str, lives: list[Life], *, as_json: bool) -> None:
    if as_json:
        return console.emit({"id": what, "lives": [_life_as_json(life) for life in lives]})
    screen = console.out()
    for life in lives:
        screen.print(
            Text.assemble(("message ", "dim"), (console.safe(life.message_id), "bold")), soft_wrap=True
        )
        screen.print(Text(f"from {console.safe(life.source)}", style="dim"), soft_wrap=True)
        screen.print(_where(life), soft_wrap=True)
        screen.print(_timeline(life))


def _where(life: Life) -> Text:
    route = life.route
    tries = console.many(life.attempts, "attempt")
    return Text.assemble(
        console.safe(f"queue {route.queue}, group {route.group}, handler {route.handler}: "),
        console.state(str(life.state)),
        f", {tries}",
        (console.safe(f", batch {life.batch}") if life.batch else "", "dim"),
    )


def _timeline(life: Life) -> Any:
    made = console.table(("!when (UTC)", "#after", "!what", "detail"))
    for event in life.events:
        since = event.at - life.events[0].at
        made.add_row(
            (console.instant(event.at) or "").replace("T", " ").removesuffix("Z"),
            f"+{since:,.3f} s",
            console.state(event.what),
            console.cell(event.detail),
        )
    return made


def _life_as_json(life: Life) -> dict[str, Any]:
    plain = asdict(life)
    plain["events"] = [{**event, "at": console.instant(event["at"])} for event in plain["events"]]
    return {**plain.pop("route"), **plain}


# --- a run --------------------------------------------------------------------------------------------------


def _show_run(
    ledger: Ledger, dag_id: str, run_id: str, found: list[Batch], limit: int, *, as_json: bool
) -> None:
    found = list(
        {batch.info.id: batch for batch in sorted(found, key=lambda one: one.ordinal)}.values()
    )  # newest tries
    progress = {batch.info.id: _progress(ledger, batch) for batch in found}
    lives = {batch.info.id: ledger.history.lives(batch.info.id, limit=limit)[:limit] for batch in found}
    if as_json:
        batches = [_batch_as_json(batch, progress[batch.info.id], lives[batch.info.id]) for batch in found]
        return console.emit({"dag_id": dag_id, "run_id": run_id, "batches": batches})
    screen = console.out()
    screen.print(
        Text.assemble(
            ("DAG ", "dim"), (console.safe(dag_id), "bold"), ("  run ", "dim"), console.safe(run_id)
        )
    )
    for batch in found:
        screen.print(_batch_line(batch), soft_wrap=True)
        for one in progress[batch.info.id]:
            screen.print(_progress_line(one), soft_wrap=True)
        _print_messages(lives[batch.info.id], limit)


def _progress(ledger: Ledger, batch: Batch) -> list[BatchProgress]:
    """For every group that has ever had a handler on the batch's queue."""
    groups = {stats.route.group for stats in ledger.history.stats() if stats.route.queue == batch.info.queue}
    return [one for group in sorted(groups) for one in ledger.batches.progress(batch.info.id, group)]


def _batch_line(batch: Batch) -> Text:
    info = batch.info
    task = info.task_id if info.map_index < 0 else f"{info.task_id}[{info.map_index}]"
    count = "still publishing" if batch.count is None else console.many(batch.count, "message")
    again = f", {batch.already_done:,} of them already done" if batch.already_done else ""
    tries = f", try {batch.ordinal}" if batch.ordinal > 1 else ""
    return Text.assemble(
        ("\ntask ", "dim"),
        (console.safe(task), "bold"),
        console.safe(f" -> queue {info.queue}: {count}{again}{tries}"),
        (f"  {console.instant(batch.opened_at)}", "dim"),
    )  # fmt: skip


def _progress_line(one: BatchProgress) -> Text:
    line = Text.assemble(("  handler ", "dim"), console.safe(f"{one.route.handler} ({one.route.group}): "))
    named = [
        Text.assemble(f"{number:,} ", console.state(name)) for name, number in one.ends.items() if number
    ]
    line.append_text(Text(", ").join(named) if named else Text("nothing ended yet", style="dim"))
    return line.append("" if one.settled else ", not settled", style="yellow")


def _print_messages(lives: list[Life], limit: int) -> None:
    if not lives:
        return
    made = console.table(("message", "handler", "!state", "#attempts", "!last", "detail"))
    for life in lives:
        last = life.events[-1] if life.events else None
        made.add_row(
            console.cell(life.message_id),
            console.cell(life.route.handler),
            console.state(str(life.state)),
            console.cell(life.attempts),
            console.cell((console.instant(last.at) or "")[11:23] if last else None),
            console.cell(last.detail if last else None),
        )
    console.out().print(made)
    if len(lives) == limit:
        console.note(f"the first {limit:,} messages; --limit shows more")


def _batch_as_json(batch: Batch, progress: list[BatchProgress], lives: list[Life]) -> dict[str, Any]:
    plain = asdict(batch)
    info = plain.pop("info")
    instants = {name: console.instant(plain[name]) for name in ("opened_at", "closed_at")}
    found = {
        "handlers": [_progress_as_json(one) for one in progress],
        "messages": [_life_as_json(life) for life in lives],
    }
    return {**info, **plain, **instants, **found}


def _progress_as_json(one: BatchProgress) -> dict[str, Any]:
    plain = asdict(one)
    del plain["batch"]
    return {**plain.pop("route"), **plain, "settled": one.settled}


# --- a message that no consumer has received yet ------------------------------------------------------------


def _trace_on_broker(url: str | None, what: str, *, as_json: bool) -> bool:
    with open_broker(url) as broker:
        if not broker.capabilities.peek:
            return False
        for spec in broker.queues():
            seen = _find(broker, spec.name, what)
            if seen is not None:
                _show_on_queue(spec.name, what, seen, as_json=as_json)
                return True
    return False


def _find(broker: Broker, queue: str, what: str) -> Peeked | None:
    after: str | None = None
    for _ in range(_DEPTH // _PAGE):
        page = broker.peek(queue, after=after, limit=_PAGE)
        for seen in page:
            if _id_of(seen) == what:
                return seen
        if len(page) < _PAGE:
            return None
        after = page[-1].position
    return None


def _id_of(seen: Peeked) -> str | None:
    try:
        return envelope.decode(seen.headers, seen.body).id
    except UndecodableMessage:
        return None


def _show_on_queue(queue: str, what: str, seen: Peeked, *, as_json: bool) -> None:
    if as_json:
        place = {"queue": queue, "position": seen.position, "in_flight": seen.in_flight}
        return console.emit(
            {
                "id": what,
                "lives": [],
                "on_queue": place | {"published_at": console.instant(seen.published_at)},
            }
        )
    where = (
        "handed to a consumer, which has not claimed it yet"
        if seen.in_flight
        else "no consumer has received it yet"
    )
    console.out().print(Text.assemble(("message ", "dim"), (console.safe(what), "bold")), soft_wrap=True)
    published = console.instant(seen.published_at)
    console.out().print(
        console.safe(f"on queue {queue} since {published} at position {seen.position}: {where}"),
        soft_wrap=True,
    )
