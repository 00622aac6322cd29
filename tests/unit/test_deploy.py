# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The examples under deploy/: they can be read, wait long enough, and name only what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tickrelay_consumer.commands import _plugins
from tickrelay_consumer.engine.engine import SETTLING_SECONDS
from tickrelay_consumer.engine.shared import Limits
from tickrelay_consumer.metrics import Metrics
from tickrelay_consumer.settings import PREFIX, Settings
from tickrelay_messaging.brokers.kafka.groups import group_id
from tickrelay_messaging.brokers.rabbitmq.names import queue_of
from tickrelay_messaging.brokers.redis.keys import Keys
from tickrelay_messaging.ledger.sql.tables import WAITING, active

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = (DEPLOY / "systemd" / "tickrelay-consumer@.service").read_text()
LONGEST_STOP = Limits().grace + SETTLING_SECONDS
YAML = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
KEDA = sorted((DEPLOY / "keda").glob("*.yaml"))


def documents(*path: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(DEPLOY.joinpath(*path).read_text()) if one]


def setting(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


@pytest.fixture
def pod() -> dict[str, Any]:
    (deployment,) = [one for one in documents("kubernetes", "consumer.yaml") if one["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (found,) = pod["containers"]
    return dict(found)


def triggers(file: Path) -> list[dict[str, Any]]:
    (scaled,) = yaml.safe_load_all(file.read_text())
    return list(scaled["spec"]["triggers"])


@pytest.mark.parametrize("file", YAML, ids=lambda file: file.relative_to(DEPLOY).as_posix())
def test_yaml_can_be_read(file: Path) -> None:
    """By the safe loader, and it isn't empty."""
    assert [one for one in yaml.safe_load_all(file.read_text()) if one]


def test_everybody_waits_longer_than_a_graceful_stop(pod: dict[str, Any]) -> None:
    """The grace for handlers and the time for settling, before anybody sends SIGKILL."""
    (compose,) = documents("compose", "consumer.yaml")
    waits = {
        "systemd": float(setting("TimeoutStopSec")),
        "kubernetes": pod["terminationGracePeriodSeconds"],
        "compose": float(compose["services"]["consumer"]["stop_grace_period"].removesuffix("s")),
    }
    assert [] == [name for name, seconds in waits.items() if seconds <= LONGEST_STOP]
    assert ("SIGTERM", "on-failure") == (setting("KillSignal"), setting("Restart"))


def test_what_is_started_exists(container: dict[str, Any]) -> None:
    """`tickrelay consume TARGET`, everywhere, and it is process 1 that gets the signal."""
    (compose,) = documents("compose", "consumer.yaml")
    started = {
        "systemd": setting("ExecStart").split(),
        "kubernetes": container["command"],
        "compose": compose["services"]["consumer"]["command"],
    }
    for name, (program, command, target) in started.items():
        assert ("tickrelay", True) == (Path(program).name, command in _plugins.discover()), name
        assert target, name


def test_settings_exist(container: dict[str, Any]) -> None:
    """Each variable is one that the consumer reads."""
    (compose,) = documents("compose", "consumer.yaml")
    names = {one["name"] for one in container["env"]} | compose["services"]["consumer"]["environment"].keys()
    names |= {name for file in KEDA for name in re.findall(r"TICKRELAY_\w+", file.read_text())}
    names |= set(re.findall(rf"{PREFIX}\w+", UNIT))
    assert names <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_probes_ask_what_is_served(container: dict[str, Any]) -> None:
    """Liveness by progress, readiness by whether it takes messages, on the port it listens on."""
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert {"startup": "/readyz", "liveness": "/healthz", "readiness": "/readyz"} == paths
    (port,) = container["ports"]
    (http,) = [one["value"] for one in container["env"] if one["name"] == "TICKRELAY_HTTP"]
    assert http.endswith(f":{port['containerPort']}")
    assert "preStop" not in str(container)


@pytest.mark.parametrize("file", KEDA, ids=lambda file: file.stem)
def test_scalers_count_both_places(file: Path) -> None:
    """The broker's lag and what is parked in the ledger; to zero only where somebody else than a consumer tells."""
    (scaled,) = yaml.safe_load_all(file.read_text())
    kinds = [one["type"] for one in triggers(file)]
    assert (
        scaled["spec"]["scaleTargetRef"]["name"]
        == documents("kubernetes", "consumer.yaml")[0]["metadata"]["name"]
    )
    assert 2 == len(kinds)
    assert scaled["spec"]["minReplicaCount"] == (1 if "prometheus" in kinds else 0)


def test_scalers_use_our_names() -> None:
    """Queues and groups are called on each broker what its module calls them."""
    found = {one["type"]: one["metadata"] for file in KEDA for one in triggers(file)}
    assert queue_of("orders", "default") == found["rabbitmq"]["queueName"]
    assert ("orders", group_id("orders", "default")) == (
        found["kafka"]["topic"],
        found["kafka"]["consumerGroup"],
    )
    assert Keys("tickrelay", "orders").stream.decode() == found["redis-streams"]["stream"]


def test_the_ledger_query_fits_its_tables() -> None:
    """Table, columns and the code of the state are those of the SQL ledger."""
    (query,) = {
        one["metadata"]["query"].strip()
        for file in KEDA
        for one in triggers(file)
        if one["type"] == "postgresql"
    }
    expected = f"SELECT count(*) FROM {active.name} WHERE {active.c.state.name} = {WAITING} AND {active.c.due.name} <="
    assert query.startswith(expected)


def test_metrics_that_scale_exist() -> None:
    """And have the labels that the queries ask for."""
    queries = [
        one["metadata"]["query"] for file in KEDA for one in triggers(file) if one["type"] == "prometheus"
    ]
    there = {family.name for family in Metrics().registry.collect()}
    assert queries
    for query in queries:
        name, labels = re.findall(r"max\((\w+)\{(.*)\}\)", query)[0]
        assert name in there
        assert {"queue", "group"} == set(re.findall(r"(\w+)=", labels))
