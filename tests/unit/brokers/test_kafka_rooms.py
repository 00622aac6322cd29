# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What the Kafka broker makes of URLs, complaints and acknowledgements, without a server."""

from __future__ import annotations

import random

import pytest
from confluent_kafka import KafkaError

from tickrelay_messaging.brokers.kafka import KafkaBroker
from tickrelay_messaging.brokers.kafka.errors import Complaints
from tickrelay_messaging.brokers.kafka.lanes import Lane
from tickrelay_messaging.brokers.kafka.settings import read
from tickrelay_messaging.errors import BrokerRefused, ConfigurationError, ServiceError
from tickrelay_messaging.message import Message


def test_a_refusal_is_final_when_no_server_is_left():
    """One server that refuses a certificate is no end while others serve; when all are down it is, until one serves."""
    refusal = KafkaError(KafkaError._SSL, "certificate verify failed")
    complaints = Complaints()
    complaints.note(refusal)
    complaints.check("here")
    complaints.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    with pytest.raises(BrokerRefused, match=r"here.*certificate verify failed"):
        complaints.check("here")
    complaints.settle()
    complaints.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    complaints.check("here")


def test_an_offset_never_passes_an_unfinished_message():
    """Whatever order messages finish in, what is due is the oldest unfinished one, or behind the last."""
    chance = random.Random(7)
    for _ in range(200):
        lane = Lane(None, 0)
        offsets = sorted(chance.sample(range(60), 20))  # with gaps, as transactions and compaction leave them
        unfinished = set()
        waiting = list(offsets)
        while waiting or unfinished:
            if waiting and (not unfinished or chance.random() < 0.5):
                unfinished.add(waiting[0])
                lane.hand_out(waiting.pop(0))
            else:
                done = chance.choice(sorted(unfinished))
                unfinished.remove(done)
                lane.finish(done)
            handed = offsets[: len(offsets) - len(waiting)]
            assert min(unfinished, default=handed[-1] + 1) == lane.due()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://a", {"bootstrap.servers": "a:9092"}),
        ("kafka://a:1,b:2/", {"bootstrap.servers": "a:1,b:2"}),
        ("kafka://u:p%40ss@a:1", {"sasl.password": "p@ss", "security.protocol": "SASL_SSL"}),
        ("kafka://u:p@a:1", {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u"}),
        (
            "kafka://u:p@a:1?sasl.mechanism=PLAIN",
            {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_SSL"},
        ),
        (
            "kafka://a?security.protocol=SSL&ssl.key.location=k",
            {"ssl.key.location": "k", "security.protocol": "SSL"},
        ),
    ],
)
def test_a_url_becomes_settings(url, expected):
    """Servers, SASL and TLS by librdkafka's names, safe where the URL is silent."""
    assert expected.items() <= read(url).client.items()


@pytest.mark.parametrize(
    "url",
    [
        "kafka://u:hunter2@a:1?security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN",
        "kafka://u:hunter2@a:1?enable.auto.commit=true",
        "kafka://u:hunter2@a:1/queue",
        "kafka://u:hunter2@a:1?partitions=0",
        "kafka://u:hunter2@:1",
        "kafka://a?sasl.password=hunter2&plugin.library.paths=x",
        "kafka://u:hunter2@",
    ],
)
def test_a_bad_url_is_refused_without_its_password(url):
    """An option nobody knows, a password in the clear, no server: refused, and the secret isn't shown."""
    with pytest.raises(ConfigurationError) as caught:
        read(url)
    assert "hunter2" not in str(caught.value)


def test_a_wrong_ca_file_shows_no_secret():
    """What the driver refuses is our error, and holds no password."""
    url = "kafka://u:hunter2@127.0.0.1:1?ssl.ca.location=/no/such/file"
    with KafkaBroker.from_url(url) as broker, pytest.raises((ConfigurationError, ServiceError)) as caught:
        broker.publish("queue", [Message.of(0, id="m0")], timeout=1.0)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}"
