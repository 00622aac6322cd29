# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The whole system on a real RabbitMQ, Kafka and Redis: it ends as it does on the embedded queue."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.kafka import Kafka
from tests.services.process import free_ports
from tests.services.rabbitmq import running_node
from tests.services.redis import running_server

pytestmark = pytest.mark.timeout(240)

TICKRELAY = Path(sys.executable).with_name("tickrelay")
PASSWORD = "hush@hush"
"""Of a user that no server knows."""


@contextmanager
def rabbitmq(folder):
    """The URL of a RabbitMQ; queues of others can be listed, since the management API is named."""
    with running_node(folder) as node:
        yield node.url(options=f"?management={node.management}")


@contextmanager
def kafka(folder):
    """The URL of a Kafka."""
    folder.mkdir()
    server = Kafka(folder)
    try:
        server.start()
        yield server.url()
    finally:
        server.server.kill()


@contextmanager
def redis(folder):
    """The URL of a Redis."""
    with running_server(folder) as server:
        yield server.url(lease=10)


@pytest.fixture(scope="module", params=[redis, kafka, rabbitmq], ids=lambda one: one.__name__)
def broker(request, tmp_path_factory):
    """A real server's URL, each in turn."""
    with request.param(tmp_path_factory.mktemp("broker") / "server") as url:
        yield url


def test_a_run_with_an_end_ends_as_the_embedded_one(broker, elsewhere):
    """
    Orders, Airflow, consumer: with `--broker URL` alone all of them use it. Published are the effects, none twice, none
    lost, exit code 0, nothing left behind. A second terminal finds broker, queue and messages, then as meanwhile.
    """
    process = elsewhere.start("--broker", broker, "--for", "20", "--json", "--rate", "4")
    output, _ = process.communicate(timeout=150)

    (line,) = output.splitlines()
    end = json.loads(line)
    assert 0 == process.returncode, line
    assert (0, 0, 0) == (end["lost"], end["duplicates"], end["pending"]), line
    assert end["effects"] == end["published"] > 0
    assert [] == elsewhere.processes()
    assert not (elsewhere.home / "queue.db").exists()
    check_second_terminal(elsewhere, broker)


def ask(system, *arguments: str) -> str:
    """What a `tickrelay` command says in a second terminal; `-` is the id of a message that was carried out."""
    words = [system.message_id() if word == "-" else word for word in arguments]
    done = subprocess.run(
        [TICKRELAY, *words],
        env=system.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def check_second_terminal(system, url: str) -> None:
    address = re.search(r"127\.0\.0\.1:\d+", url)[0]
    doctor, queues, life = ask(system, "doctor"), ask(system, "queue", "list"), ask(system, "trace", "-")

    assert re.search(rf"ok +broker .*{address}.* answers", doctor), doctor
    assert re.search(r"orders +default", queues), queues
    assert "sync_order" in life, life


@pytest.mark.parametrize("scheme", ["amqp", "kafka", "redis"])
def test_a_broker_that_is_not_there(tmp_path, project, scheme):
    """It is said in a sentence, with the URL but without its password; nothing is started, and the exit code is 2."""
    url = f"{scheme}://ada:hush%40hush@127.0.0.1:{free_ports(1)[0]}"

    refused(tmp_path, project, f"{url}?security.protocol=SASL_SSL" if scheme == "kafka" else url)


def test_a_broker_that_refuses(broker, tmp_path, project):
    """The same for a user that the server doesn't let in."""
    if broker.startswith("kafka:"):  # this one lets everybody in, but speaks no TLS
        broker = broker.replace("?", "?security.protocol=SASL_SSL&")
    refused(tmp_path, project, re.sub(r"//(.*@)?", "//ada:hush%40hush@", broker, count=1))


def refused(folder: Path, project: Path, url: str) -> None:
    command = [TICKRELAY, "up", "--home", folder / "home", "--broker", url, "--for", "5", "--json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=90, check=False)

    assert (2, "") == (done.returncode, done.stdout), done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(r"broker \w+://ada:\*\*\*@127\.0\.0\.1:\d+.* can't be used", done.stderr), done.stderr
    assert not [secret for secret in ("hush%40hush", "hush@hush") if secret in done.stderr]
    assert not (folder / "home" / "processes.json").exists()
