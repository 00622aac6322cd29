# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""docker-compose.yaml: read without docker, and judged by docker's own command where there is one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES = COMPOSE["services"]
BROKERS = ("rabbitmq", "kafka", "redis")


def default(text: str) -> str:
    """An image as it is without settings in the environment: `${NAME:-default}`."""
    return text.partition(":-")[2].rstrip("}") if text.startswith("${") else text


def test_images_are_pinned():
    """A pull next year brings the version that was chosen, not whatever is newest then."""
    tags = {name: default(service["image"]).rpartition(":")[2] for name, service in SERVICES.items()}

    assert {*BROKERS, "toxiproxy"} == tags.keys()
    assert not [name for name, tag in tags.items() if not tag[0].isdigit()], tags


def test_kafka_is_the_one_the_tests_use():
    """Users with docker have the version that the contract suite runs against."""
    from tests.services.kafka import VERSION

    assert f"apache/kafka:{VERSION}" == SERVICES["kafka"]["image"]


def test_every_service_says_whether_it_is_well():
    """`docker compose up --wait` returns when the brokers can be used."""
    assert [] == [name for name, service in SERVICES.items() if "test" not in service.get("healthcheck", {})]


def test_nothing_listens_beyond_this_host():
    """Passwords are well known and nothing is encrypted, so every port is for this host only."""
    ports = [port for service in SERVICES.values() for port in service["ports"]]

    assert [] == [port for port in ports if not str(port).startswith("127.0.0.1:")]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("name", BROKERS)
def test_what_a_broker_has_confirmed_survives(name):
    """Each broker's data are in a volume with a name, which `down` and a newer image leave alone."""
    volumes = [volume.partition(":")[0] for volume in SERVICES[name]["volumes"]]

    assert volumes
    assert set(volumes) <= COMPOSE["volumes"].keys()


def test_redis_keeps_what_it_has_confirmed():
    """Tickrelay refuses a Redis that may evict; this one also writes before it answers."""
    command = SERVICES["redis"]["command"]
    settings = dict(zip(command[1::2], command[2::2], strict=True))

    assert {"--appendonly": "yes", "--appendfsync": "always", "--maxmemory-policy": "noeviction"} == settings


def test_kafkas_addresses():
    """A client is told an address that leads back to the listener it came in by."""
    settings = SERVICES["kafka"]["environment"]
    told = dict(one.split("://") for one in settings["KAFKA_ADVERTISED_LISTENERS"].split(","))
    opened = dict(one.split("://:") for one in settings["KAFKA_LISTENERS"].split(","))
    (proxied,) = [one for one in proxies() if one["name"] == "kafka"]

    assert f"127.0.0.1:{opened['HOST']}:9092" in SERVICES["kafka"]["ports"]
    assert ("localhost:9092", "kafka:19092") == (told["HOST"], told["INSIDE"])
    assert told["FAULTY"].partition(":")[2] == proxied["listen"].partition(":")[2]
    assert proxied["upstream"] == f"kafka:{opened['FAULTY']}"


def test_every_proxy_leads_to_a_broker():
    """Each broker can be reached through toxiproxy, on a port that is published."""
    ports = {port.split(":")[1] for port in SERVICES["toxiproxy"]["ports"]}

    assert set(BROKERS) == {one["upstream"].partition(":")[0] for one in proxies()}
    assert {one["listen"].partition(":")[2] for one in proxies()} < ports


def test_docker_takes_it():
    """Where `docker compose` exists, it finds no fault; elsewhere there is nobody to ask, and the rest holds anyway."""
    docker = shutil.which("docker")
    there = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if not there or there.returncode:
        return
    command = [docker, "compose", "-f", ROOT / "docker-compose.yaml", "--profile", "faults", "config", "-q"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == told.returncode, told.stderr


def proxies() -> list[dict]:
    """What toxiproxy is started with."""
    return json.loads((ROOT / "deploy/compose/toxiproxy.json").read_text())
