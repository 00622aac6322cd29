# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A Kafka node for the tests of a file, and queues on it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from tests.services.kafka import IMPATIENT, Kafka, running_kafka

from tickrelay_messaging.brokers import QueueSpec
from tickrelay_messaging.brokers.kafka import KafkaBroker


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One node for all tests of a file."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as node:
        yield node


@pytest.fixture
def broker(kafka: Kafka) -> Iterator[KafkaBroker]:
    """A broker whose killed consumers are missed soon."""
    with KafkaBroker.from_url(kafka.url(IMPATIENT)) as broker:
        yield broker


@pytest.fixture
def queue(broker: KafkaBroker) -> str:
    """A queue of the test's own."""
    name = f"faults-{uuid4().hex}"
    broker.declare(QueueSpec(name))
    return name
