# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""An event-driven DAG whose triggerers are killed between the broker's delivery and Airflow's event."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.airflow.conftest import Site
from tests.services.airflow_ha.system import TRIGGERERS
from tests.services.watched import watched
from tickrelay_airflow.triggers.events import WATCHERS_GROUP
from tickrelay_messaging.brokers import open_broker
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.message import Message

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

QUEUE = "events"
BELATED = 90.0
"""Seconds: a triggerer counts as dead after 12, then the other starts its watchers."""

_DAG = """
    import json
    from datetime import datetime
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.sdk import DAG, Asset, AssetWatcher, task
    from tickrelay_airflow.messages import messages_of

    watched = MessageQueueTrigger(scheme="tickrelay", queue_name="events", batch=100)
    incoming = Asset("incoming", watchers=[AssetWatcher(name="events", trigger=watched)])

    with DAG("event_driven", schedule=[incoming], start_date=datetime(2026, 1, 1)):

        @task
        def note(run_id=None, triggering_asset_events=None):
            ids = [message["id"] for message in messages_of(triggering_asset_events)]
            with open("@@", "a") as file:
                file.write(json.dumps([run_id, ids]) + "\\n")

        note()
"""
_EVENTS = "SELECT count(*) FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = 'incoming'"


@pytest.fixture(scope="module")
def noted(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], list[tuple[str, list[str]]]]:
    """What the runs have noted: run ids with message ids. The DAG is there, and its watcher is at work."""
    file = tmp_path_factory.mktemp("noted") / "runs"
    file.touch()
    (site.airflow.dags / "event_driven.py").write_text(textwrap.dedent(_DAG).replace("@@", str(file)))
    with open_broker(site.broker) as broker:
        broker.declare(QueueSpec(QUEUE, (WATCHERS_GROUP,)))
        site.airflow.wait(lambda: watched(broker, QUEUE).consumers == 1, "nobody watches the queue")
    return lambda: _read(file)


def test_batches_become_runs(site: Site, noted: Callable[[], list[tuple[str, list[str]]]]) -> None:
    """Thousands of messages are few events and fewer runs; each message is in one of them, and acknowledged."""
    ids = [f"quiet-{number}" for number in range(3_000)]
    with open_broker(site.broker) as broker:
        broker.publish(QUEUE, [Message.of({"id": one}, id=one) for one in ids])
        _await_all(site, noted, ids)
        site.airflow.wait(lambda: watched(broker, QUEUE).left == 0, "messages aren't acknowledged")
    runs = [run for run, _ in noted()]
    assert Counter(ids) == _counted(noted, "quiet")
    assert len(runs) <= 20


@pytest.mark.parametrize("triggerer", TRIGGERERS)
def test_killed_between_delivery_and_event(
    site: Site, noted: Callable[[], list[tuple[str, list[str]]]], triggerer: str
) -> None:
    """
    SIGKILL to every triggerer when messages have been delivered and no event of them is stored: once one is back, each
    message arrives in a run, once.
    """
    word = f"{triggerer}-killed"
    ids: list[str] = []
    with open_broker(site.broker) as broker:
        site.airflow.wait(lambda: watched(broker, QUEUE).consumers == 1, "nobody watches the queue", BELATED)
        before = site.airflow.value(_EVENTS)
        ids = [f"{word}-{number}" for number in range(200)]
        broker.publish(QUEUE, [Message.of({"id": one}, id=one) for one in ids])
        site.airflow.wait(lambda: watched(broker, QUEUE).in_flight > 0, "nothing is delivered")
        site.airflow.kill(*TRIGGERERS)
        stored = site.airflow.value(_EVENTS) - before
        site.airflow.start_component(triggerer)
        _await_all(site, noted, ids)
        site.airflow.start_component(*(other for other in TRIGGERERS if other != triggerer))
    assert stored == 0, "killed too late to prove anything"
    assert Counter(ids) == _counted(noted, word)


def _await_all(site: Site, noted: Callable[[], list[tuple[str, list[str]]]], ids: list[str]) -> None:
    site.airflow.wait(
        lambda: set(ids) <= {one for _, some in noted() for one in some}, "messages are missing", BELATED
    )


def _counted(noted: Callable[[], list[tuple[str, list[str]]]], word: str) -> Counter[str]:
    return Counter(one for _, ids in noted() for one in ids if one.startswith(word))


def _read(file: Path) -> list[tuple[str, list[str]]]:
    return [(run, ids) for run, ids in map(json.loads, file.read_text().splitlines())]
