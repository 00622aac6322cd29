# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Rounds in which triggerers are killed at a random moment while messages come for a watcher and for deferred sensors.

Used by `test_random_kills`, and by the benchmark `triggerers`.
"""

from __future__ import annotations

import json
import random
import textwrap
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.airflow_ha import AirflowHA
from tests.services.airflow_ha.system import TRIGGERERS
from tests.services.watched import watched
from tickrelay_airflow.triggers.events import WATCHERS_GROUP
from tickrelay_messaging.brokers import Broker, QueueSpec, open_broker
from tickrelay_messaging.message import Message

SENSORS = 8
PORTION = 20
"""Messages for the watcher, and with each portion one for a sensor."""
PAUSE = 0.15
"""Seconds between two portions, so that some are on their way, some stored and some acknowledged when it's killed."""
BELATED = 120.0
"""Seconds: a triggerer counts as dead after 12, then another starts its triggers from the beginning."""
_VICTIMS = (TRIGGERERS[:1], TRIGGERERS[1:], TRIGGERERS)
_EVENTS, _ANSWERS = "killed-events", "killed-answers"

_DAGS = f"""
    import json
    from datetime import datetime
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.sdk import DAG, Asset, AssetWatcher, task
    from tickrelay_airflow.hook import QueueHook
    from tickrelay_airflow.messages import messages_of
    from tickrelay_airflow.sensor import QueueSensor

    with DAG("killed_sensors", schedule=None, start_date=datetime(2026, 1, 1)):
        # Airflow fails a task whose trigger has fired before its scheduler saw it deferred; its retry has its message.
        again = {{"retries": 3, "retry_delay": 1}}
        QueueSensor.partial(task_id="wait", queue="{_ANSWERS}", **again).expand(poke_interval=[60] * {SENSORS})

    watched = MessageQueueTrigger(scheme="tickrelay", queue_name="{_EVENTS}", batch={PORTION})
    incoming = Asset("killed_incoming", watchers=[AssetWatcher(name="events", trigger=watched)])

    with DAG("killed_events", schedule=[incoming], start_date=datetime(2026, 1, 1)):

        @task
        def note(run_id=None, triggering_asset_events=None):
            mine = [message["id"] for message in QueueHook().triggering_messages()]
            brought = [message["id"] for message in messages_of(triggering_asset_events)]
            with open("@@", "a") as file:
                file.write(json.dumps([run_id, mine, brought]) + "\\n")

        note()
"""
_FOUND = "SELECT count(*) FROM dag WHERE dag_id IN ('killed_sensors', 'killed_events')"
_STATES = "SELECT count(*) FROM task_instance WHERE dag_id = 'killed_sensors' AND run_id = %s AND state = %s"
_UNASSIGNED = "SELECT count(*) FROM trigger WHERE triggerer_id IS NULL"
_AT_WORK = "SELECT count(*) FROM dag_run WHERE dag_id = 'killed_events' AND state IN ('queued', 'running')"


@dataclass(frozen=True, slots=True)
class Found:
    """
    What became of all messages of all rounds.

    Attributes:
        lost: in no run, or with no sensor.
        doubled: in two runs, or with two sensors.
        brought_again: how many Airflow has had in more than one event, though they were given to one run.
        slowest: seconds from a kill until all of its round's messages were where they belong.
    """

    messages: int
    kills: int
    lost: Sequence[str]
    doubled: Sequence[str]
    brought_again: int
    slowest: float


@dataclass(slots=True)
class Killing:
    """
    Args:
        airflow: with a default connection whose broker this is, and which names a ledger.
        broker: its URL.
        noted: a file for the runs to write to.
        seed: of the moments and the victims.
    """

    airflow: AirflowHA
    broker: str
    noted: Path
    seed: int
    _kills: int = 0
    _published: list[str] = field(default_factory=list)
    _given: list[str] = field(default_factory=list)
    _took: list[float] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def prepare(self) -> None:
        """Both DAGs are there, and the queue is watched."""
        self.noted.touch()
        (self.airflow.dags / "killed.py").write_text(textwrap.dedent(_DAGS).replace("@@", str(self.noted)))
        with open_broker(self.broker) as broker:
            broker.declare(QueueSpec(_ANSWERS))
            broker.declare(QueueSpec(_EVENTS, (WATCHERS_GROUP,)))
            self.airflow.wait(lambda: self.airflow.value(_FOUND) == 2, "the DAGs aren't found")
            self.airflow.wait(lambda: watched(broker, _EVENTS).consumers == 1, "nobody watches the queue")

    def play(self) -> None:
        """One round: sensors wait, messages come, triggerers die and are started again, and all arrives."""
        run = f"round-{len(self._took)}"
        self._start_sensors(run)
        killed_at = self._publish_and_kill(run)
        self.airflow.wait(lambda: self._count(run, "success") == SENSORS, "sensors still wait", BELATED)
        self.airflow.wait(self._all_noted, "messages are in no run", BELATED)
        self._took.append(time.monotonic() - killed_at)
        self._given += self._answers(run)

    def found(self) -> Found:
        """When nothing is on its way any more."""
        with open_broker(self.broker) as broker:
            self.airflow.wait(lambda: watched(broker, _EVENTS).left == 0, "unacknowledged")
        self.airflow.wait(lambda: not self.airflow.value(_AT_WORK), "runs aren't over")
        notes = self._notes()
        mine = Counter(one for ids, _ in notes.values() for one in ids) + Counter(self._given)
        brought = Counter(one for _, ids in notes.values() for one in ids)
        return Found(
            messages=len(self._published),
            kills=self._kills,
            lost=sorted(set(self._published) - mine.keys()),
            doubled=sorted(one for one, count in mine.items() if count > 1),
            brought_again=sum(count > 1 for count in brought.values()),
            slowest=max(self._took),
        )

    def _start_sensors(self, run: str) -> None:
        self.airflow.api("dags/killed_sensors/dagRuns", {"logical_date": None, "dag_run_id": run})
        self.airflow.wait(lambda: self._count(run, "deferred") == SENSORS, "sensors don't wait", BELATED)
        self.airflow.wait(lambda: not self.airflow.value(_UNASSIGNED), "nobody takes the triggers")

    def _publish_and_kill(self, run: str) -> float:
        moment, victims = self._random.randrange(SENSORS), self._random.choice(_VICTIMS)
        killed_at = 0.0
        with open_broker(self.broker) as broker:
            for number in range(SENSORS):
                self._publish(broker, _ANSWERS, [f"{run}-answer-{number}"])
                self._publish(broker, _EVENTS, [f"{run}-{number}-{one}" for one in range(PORTION)])
                pause = self._random.uniform(0, PAUSE)
                time.sleep(pause)
                if number == moment:
                    self.airflow.kill(*victims)
                    killed_at = time.monotonic()
                time.sleep(PAUSE - pause)
        for victim in victims:
            self.airflow.start_component(victim)
        self._kills += len(victims)
        return killed_at

    def _publish(self, broker: Broker, queue: str, ids: Sequence[str]) -> None:
        broker.publish(queue, [Message.of({"id": one}, id=one) for one in ids])
        self._published += ids

    def _count(self, run: str, state: str) -> int:
        return int(self.airflow.value(_STATES, run, state))

    def _all_noted(self) -> bool:
        answers = {one for one in self._published if "-answer-" in one}
        noted = {one for ids, _ in self._notes().values() for one in ids}
        return set(self._published) - answers <= noted

    def _notes(self) -> dict[str, tuple[Iterable[str], Iterable[str]]]:
        """By run: the messages it was given, and those that its events held."""
        lines = map(json.loads, self.noted.read_text().splitlines())
        return {run: (mine, brought) for run, mine, brought in lines}

    def _answers(self, run: str) -> list[str]:
        path = f"dags/killed_sensors/dagRuns/{run}/taskInstances/wait/xcomEntries/return_value"
        found = [self.airflow.api(f"{path}?deserialize=true&map_index={index}") for index in range(SENSORS)]
        return [answer["value"]["id"] for answer in found]
