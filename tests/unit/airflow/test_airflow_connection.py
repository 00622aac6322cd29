# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What an Airflow connection becomes: broker, ledger, deployment; named by another or by itself."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.sdk._shared.secrets_masker import redact

from tickrelay_airflow.connection.settings import Settings
from tickrelay_airflow.hook import AmqpHook, QueueHook
from tickrelay_airflow.publish import PublishToQueueOperator
from tickrelay_messaging.errors import ConfigurationError


@pytest.fixture
def define(monkeypatch):
    """Define a connection of any type: `define("mine", conn_type="redis", host=...)`."""
    for name in ("TICKRELAY_LEDGER", "TICKRELAY_DEPLOYMENT"):
        monkeypatch.delenv(name, raising=False)

    def add(conn_id: str, **fields) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return add


def both(conn_id: str) -> Settings:
    """What a task and a trigger read, which must be the same."""
    read = Settings.load(conn_id)
    assert read == asyncio.run(Settings.aload(conn_id))
    return read


def test_a_connection_names_its_brokers(define):
    """The extra `broker_conn_id` leads to the broker; ledger and deployment stay the Tickrelay connection's."""
    define("rabbit", conn_type="amqp", host="rabbit", login="ada", password="secret-1")
    extra = {"broker_conn_id": "rabbit", "ledger": "sqlite:////ledger.db", "deployment": "eu"}
    read = both(define("mine", conn_type="tickrelay", extra=extra))

    assert ("amqp://ada:secret-1@rabbit/%2F", "sqlite:////ledger.db", "eu") == (
        read.broker,
        read.ledger,
        read.deployment,
    )


def test_a_brokers_own_connection(define, monkeypatch):
    """It needs no Tickrelay connection; ledger and deployment are the environment's, as for a consumer."""
    define("cache", conn_type="redis", host="cache")

    assert ("redis://cache/0", None, "airflow") == tuple(_three(both("cache")))
    monkeypatch.setenv("TICKRELAY_LEDGER", "sqlite:////ledger.db")
    monkeypatch.setenv("TICKRELAY_DEPLOYMENT", "eu")
    assert ("redis://cache/0", "sqlite:////ledger.db", "eu") == tuple(_three(both("cache")))


def test_a_uri_in_the_environment(monkeypatch):
    """Airflow's other spelling of a connection, the URI, is the same connection."""
    monkeypatch.setenv("AIRFLOW_CONN_RABBIT", "amqps://ada:p%40ss@rabbit:5671/a%2Fb?cafile=%2Fca.pem")

    assert "amqps://ada:p%40ss@rabbit:5671/a%2Fb?cafile=/ca.pem" == both("rabbit").broker


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        ({"broker": "memory:", "broker_conn_id": "cache"}, "both a 'Broker URL' and a 'Broker connection'"),
        ({}, "names no broker"),
        ({"broker_conn_id": "nowhere"}, "the broker connection that 'mine' names isn't there: .*`nowhere`"),
        ({"broker_conn_id": "web"}, "'web' is of type 'http', which is no broker's"),
        ({"broker_conn_id": "mine"}, "'mine' is of type 'tickrelay'"),
    ],
)
def test_mistakes(define, extra, text):
    """Two brokers, none, one that isn't there, or something that is no broker: a sentence each."""
    define("cache", conn_type="redis", host="cache")
    define("web", conn_type="http", host="web")
    define("mine", conn_type="tickrelay", extra=extra)

    with pytest.raises(ConfigurationError, match=text):
        Settings.load("mine")
    with pytest.raises(ConfigurationError, match=text):
        asyncio.run(Settings.aload("mine"))


def test_passwords_are_masked(define):
    """Airflow's logs show no password, neither as it is nor as a URL spells it; errors and repr don't either."""
    password = "p@ss/w?rd-of-ada"
    read = Settings.load(define("rabbit", conn_type="amqp", host="rabbit", login="ada", password=password))

    assert password not in read.broker
    assert "p%40ss" not in redact(f"can't reach {read.broker}")
    assert "p@ss" not in redact(f"refused: {password}")
    assert "p%40ss" not in repr(read)


def test_passwords_among_the_options_are_masked(define):
    """The same for a key's password and for that of the management API."""
    extra = {"management": "http://ada:hush-hush@rabbit:15672", "tls": True}
    read = Settings.load(define("rabbit", conn_type="amqp", host="rabbit", extra=extra))
    kafka = {"bootstrap.servers": "one:1", "ssl.key.password": "also-hush-hush"}
    other = Settings.load(define("kafka", conn_type="kafka", extra=kafka))

    assert {"hush-hush"} == set(read.secrets())
    assert "also-hush-hush" in set(other.secrets())


def test_publishing_needs_no_ledger(define, tmp_path, context):
    """A bare broker connection publishes; what needs a ledger says where one would be named."""
    from tickrelay_airflow.connection import pool

    define("mine", conn_type="sqlite", host=f"{tmp_path}/queue.db")
    task = PublishToQueueOperator(task_id="publish", queue="orders", data=lambda: [1, 2], conn_id="mine")
    published = task.execute(context())

    assert (2, None) == (published["published"], published["ledger"])
    with pytest.raises(ConfigurationError, match=r"waiting needs a ledger: .*'mine'.*TICKRELAY_LEDGER"):
        QueueHook("mine").require_ledger("waiting")
    assert (True, "no ledger") == (QueueHook("mine").test_connection()[0], _word(QueueHook("mine")))
    pool.close()


def test_test_says_what_answers(define, tmp_path):
    """The button's answer names the connection that the broker is from, and no password."""
    define("file", conn_type="sqlite", host=f"{tmp_path}/queue.db")
    extra = {"broker_conn_id": "file", "ledger": f"sqlite:///{tmp_path}/ledger.db"}
    works, text = QueueHook(define("mine", conn_type="tickrelay", extra=extra)).test_connection()

    assert works, text
    assert text.startswith("broker answers (connection 'file', sqlite:///")


def test_the_amqp_hook(define):
    """Airflow makes it for connections of type amqp; nothing is opened until it is used."""
    hook = AmqpHook(define("amqp_default", conn_type="amqp", host="rabbit"))

    assert ("amqp_default", "amqp://rabbit/%2F") == (AmqpHook().conn_id, hook.settings.broker)


def _three(read: Settings):
    return read.broker, read.ledger, read.deployment


def _word(hook: QueueHook) -> str:
    text = hook.test_connection()[1]
    return "no ledger" if "; no ledger: publishing works" in text else text
