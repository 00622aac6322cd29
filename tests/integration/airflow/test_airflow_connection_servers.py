# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Airflow's button "Test", pressed in the API server, for connections to real servers: right and wrong passwords."""

from __future__ import annotations

import json

import pytest
from tests.services.kafka_secure import PASSWORD, PLAIN_USER, SecureKafka
from tests.services.process import free_ports
from tests.services.rabbitmq import running_node
from tests.services.redis import running_server

pytestmark = [
    pytest.mark.timeout(180),
    # Airflow's own API server uses what Airflow has deprecated.
    pytest.mark.filterwarnings("ignore:ProvidersManager.hooks is deprecated"),
]

GOOD = "p@ss:w/ö?rd#%&=+ [1]"
BAD = "not@the:pass/word"


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    """A RabbitMQ with a user of ours in a virtual host of ours."""
    with running_node(tmp_path_factory.mktemp("rabbit") / "node") as node:
        node.control("add_user", "ada", GOOD)
        node.control("add_vhost", "a/b")
        node.control("set_permissions", "-p", "a/b", "ada", ".*", ".*", ".*")
        yield {"conn_type": "amqp", "host": "127.0.0.1", "port": node.port, "login": "ada", "schema": "a/b"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A Redis with a user of ours."""
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        server.client().execute_command("ACL", "SETUSER", "ada", "on", f">{GOOD}", "~*", "&*", "+@all")
        yield {"conn_type": "redis", "host": "127.0.0.1", "port": server.port, "login": "ada"}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """The extras of a Kafka that wants a user, by TLS."""
    server = SecureKafka(tmp_path_factory.mktemp("kafka"))
    try:
        server.start()
        yield {
            "bootstrap.servers": server.sasl,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": PLAIN_USER,
            "ssl.ca.location": str(server.authority.file),
            "group.id": "of-other-operators",
        }
    finally:
        server.node.server.kill()


@pytest.fixture
def browser(airflow_app, monkeypatch):
    """A browser in which an administrator is logged in, and Airflow lets connections be tested."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    # As in a real API server; without it connections would only be looked for in the environment.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")
    client = TestClient(airflow_app)
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="root", role="ADMIN"))
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.fixture
def press(browser):
    """Press "Test" in a form that was filled in: `press(conn_type="amqp", ...)` is the answer, and its text."""

    def test(**form) -> tuple[bool, str]:
        answer = browser.post("/api/v2/connections/test", json={"connection_id": "being_made", **form})
        assert 200 == answer.status_code, answer.text
        return answer.json()["status"], answer.json()["message"]

    return test


@pytest.fixture
def stored(browser):
    """Save a connection in Airflow's database: `stored("mine", conn_type=...)`."""
    made = []

    def save(conn_id: str, **form) -> str:
        answer = browser.post("/api/v2/connections", json={"connection_id": conn_id, **form})
        assert 201 == answer.status_code, answer.text
        made.append(conn_id)
        return conn_id

    yield save
    for conn_id in made:
        browser.delete(f"/api/v2/connections/{conn_id}")


@pytest.fixture
def through(press, tmp_path):
    """Press "Test" for a Tickrelay connection that names another: `through("rabbit")`."""

    def test(conn_id: str) -> tuple[bool, str]:
        extra = {"broker_conn_id": conn_id, "ledger": f"sqlite:///{tmp_path}/ledger.db"}
        return press(conn_type="tickrelay", extra=json.dumps(extra))

    return test


def without(text: str, *secrets: str) -> str:
    """The text, known to hold none of these."""
    from urllib.parse import quote

    assert not [one for one in secrets if one in text or quote(one, safe="") in text], text
    return text


class TestAmqp:
    def test_the_right_password(self, rabbit, press):
        """A connection of type amqp has a form, a hook and a test; the answer holds no password."""
        works, text = press(**rabbit, password=GOOD, extra=json.dumps({"tls": False, "cafile": None}))

        assert works, text
        assert without(text, GOOD).startswith("broker answers (amqp://ada:***@127.0.0.1:")

    def test_a_wrong_password(self, rabbit, press):
        """The server's refusal is the answer."""
        works, text = press(**rabbit, password=BAD)

        assert not works
        assert "refused" in without(text, BAD)

    def test_nobody_there(self, press):
        """A port that nobody listens on is an answer too, and soon."""
        works, text = press(conn_type="amqp", host="127.0.0.1", port=free_ports(1)[0])

        assert (False, True) == (works, text.startswith("BrokerUnavailable")), text


class TestThrough:
    """A Tickrelay connection whose broker is another connection, stored in Airflow's database."""

    def test_amqp(self, rabbit, stored, through):
        """Its test reaches the broker of the connection it names, with that connection's password."""
        works, text = through(stored("right_rabbit", **rabbit, password=GOOD))
        refused, why = through(stored("wrong_rabbit", **rabbit, password=BAD))

        assert (True, False) == (works, refused), (text, why)
        assert "connection 'right_rabbit'" in without(text, GOOD)
        assert "refused" in without(why, BAD)

    def test_redis(self, redis, stored, through):
        """The same for the Redis provider's connection."""
        extra = json.dumps({"db": 1, "ssl": False, "cluster": False, "ssl_cert_reqs": "required"})
        works, text = through(stored("right_redis", **redis, password=GOOD, extra=extra))
        refused, why = through(stored("wrong_redis", **redis, password=BAD))

        assert (True, False) == (works, refused), (text, why)
        assert "/1)" in without(text, GOOD)
        assert "password" in without(why, BAD)

    def test_kafka(self, kafka, stored, through):
        """The same for the Kafka provider's connection, over TLS with a user."""
        right = json.dumps({**kafka, "sasl.password": PASSWORD})
        wrong = json.dumps({**kafka, "sasl.password": BAD})
        works, text = through(stored("right_kafka", conn_type="kafka", extra=right))
        refused, why = through(stored("wrong_kafka", conn_type="kafka", extra=wrong))

        assert (True, False) == (works, refused), (text, why)
        assert "connection 'right_kafka'" in without(text, PASSWORD)
        assert "uthentication" in without(why, BAD)

    def test_nothing_there(self, through):
        """A name that leads to no connection is said, with the name."""
        works, text = through("nowhere")

        assert (False, True) == (works, "`nowhere`" in text), text


def test_a_task_publishes_through_it(rabbit, monkeypatch):
    """An operator given the broker's own connection publishes, password and virtual host being what they may."""
    from types import SimpleNamespace

    from tickrelay_airflow.connection import pool
    from tickrelay_airflow.publish import PublishToQueueOperator

    monkeypatch.delenv("TICKRELAY_LEDGER", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_RABBIT", json.dumps({**rabbit, "password": GOOD}))
    task = PublishToQueueOperator(task_id="publish", queue="orders", data=lambda: [1, 2, 3], conn_id="rabbit")
    ti = SimpleNamespace(
        dag_id="shop", run_id="1", task_id="publish", map_index=-1, max_tries=0, context_carrier=None
    )

    assert 3 == task.execute({"ti": ti, "outlet_events": {}})["published"]
    pool.close()
