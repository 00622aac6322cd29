# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`/metrics`, `/healthz` and `/readyz`, and when a consumer calls itself healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tickrelay_consumer.engine.shared import Limits, Load, Shared
from tickrelay_consumer.health import Health
from tickrelay_consumer.http import serve
from tickrelay_consumer.metrics import Metrics
from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.errors import ConfigurationError, ServiceError, StorageCorrupt
from tickrelay_messaging.ledger import Ledger
from tickrelay_messaging.ledger.records import Owner


@pytest.fixture
def shared() -> Shared:
    """Of a consumer that has nothing to do."""
    return Shared(
        broker=cast("Broker", None),
        ledger=cast("Ledger", None),
        group="default",
        limits=Limits(stuck=2),
        metrics=Metrics(),
        owner=Owner(1, "me", 30),
        load=Load(10),
        routes=(),
        name="me",
    )


@pytest.fixture
def threads() -> SimpleNamespace:
    """Whether all of them live."""
    return SimpleNamespace(alive=True)


@pytest.fixture
def health(shared: Shared, threads: SimpleNamespace) -> Health:
    """With handlers of at most 10 s."""
    return Health(shared, lambda: threads.alive, 10)


@pytest.fixture
def url(shared: Shared, health: Health) -> Iterator[str]:
    """Where it is served."""
    with serve("127.0.0.1:0", shared.metrics, health) as port:
        yield f"http://127.0.0.1:{port}"


def test_metrics_can_be_parsed(url: str, shared: Shared) -> None:
    """By Prometheus' own parser; names begin with tickrelay_consumer_ or are of ticks; counters end in _total."""
    shared.metrics.settled.labels('or"ders', "g\n", "h\\", "done").inc(3)
    shared.metrics.watch_load(lambda: 7)
    answer = requests.get(f"{url}/metrics?x=1", timeout=5)
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}

    assert "text/plain" in answer.headers["Content-Type"]
    assert all(name.startswith(("tickrelay_consumer_", "tickrelay_ticks")) for name in families)
    (total,) = (one for one in families["tickrelay_consumer_settled"].samples if one.name.endswith("_total"))
    assert (3, 'or"ders', "g\n", "h\\") == (
        total.value,
        total.labels["queue"],
        total.labels["group"],
        total.labels["handler"],
    )
    assert 7 == families["tickrelay_consumer_in_hand"].samples[0].value


def test_health_and_readiness_over_http(url: str, shared: Shared, threads: SimpleNamespace) -> None:
    """200 while all is well; 503 with the reason otherwise; stopping is healthy, but not ready."""

    def ask(path: str) -> tuple[int, str]:
        answer = requests.get(url + path, timeout=5)
        return answer.status_code, answer.text

    assert ((200, "ok"), (200, "ready")) == (ask("/healthz"), ask("/readyz"))
    shared.stopping.set()
    assert ((200, "ok"), (503, "not ready")) == (ask("/healthz"), ask("/readyz"))
    threads.alive = False
    assert (503, "a thread of the consumer died") == ask("/healthz")
    assert (404, "see /metrics, /healthz, /readyz") == ask("/other")


def test_an_ipv6_address_is_served(shared: Shared, health: Health) -> None:
    """`[::1]:port`, as settings allow it."""
    with serve("[::1]:0", shared.metrics, health) as port:
        assert 200 == requests.get(f"http://[::1]:{port}/healthz", timeout=5).status_code


def test_an_address_in_use_is_refused_clearly(shared: Shared, health: Health) -> None:
    """The error names the address."""
    with (
        serve("127.0.0.1:0", shared.metrics, health) as port,
        pytest.raises(ConfigurationError, match=f"--http 127.0.0.1:{port}: Address already in use"),
        serve(f"127.0.0.1:{port}", shared.metrics, health),
    ):
        pass


def test_silence_is_unhealthy_only_after_patience(shared: Shared, health: Health) -> None:
    """The longest timeout and 30 s more may pass without progress."""
    shared.progress = time.monotonic() - 35
    assert [] == health.problems()
    shared.progress = time.monotonic() - 41
    assert ["no progress for 41 s"] == health.problems()
    assert not health.is_ready()


def test_giving_up_is_unhealthy_and_the_first_reason_stays(shared: Shared, health: Health) -> None:
    """What follows from a failure must not hide it."""
    shared.give_up("the first")
    shared.give_up("the second")
    assert ["the first"] == health.problems()
    assert shared.stopping.is_set()


def test_a_thread_that_dies_ends_the_consumer(shared: Shared) -> None:
    """A bug must not leave a consumer that looks alive."""

    def fail() -> None:
        raise KeyError("bug")

    shared.spawn("some", fail).join(5)
    assert "thread some died: KeyError: 'bug'" == shared.gave_up


def test_only_what_cannot_pass_ends_the_consumer(shared: Shared) -> None:
    """A service that is away is waited for; a damaged file isn't."""
    shared.note_trouble("ledger", ServiceError("away"), "can't settle")
    assert "" == shared.gave_up
    shared.note_trouble("ledger", StorageCorrupt("damaged"), "can't settle")
    assert "damaged" == shared.gave_up


def test_stuck_handlers_are_counted_up_and_down(shared: Shared) -> None:
    """At the limit, and not before, the consumer gives up."""
    shared.note_stuck(1)
    shared.note_stuck(-1)
    shared.note_stuck(1)
    assert "" == shared.gave_up
    shared.note_stuck(1)
    assert shared.gave_up.startswith("2 handlers hang")
