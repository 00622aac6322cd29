# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""What a run is given of the messages that its events hold."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tickrelay_airflow.messages import messages_of
from tickrelay_messaging.errors import ConfigurationError


def _event(*names: str, source: str = "s") -> SimpleNamespace:
    messages = [{"id": name, "source": source} for name in names]
    return SimpleNamespace(extra={"payload": {"queue": "q", "messages": messages}})


def test_messages_of_a_run():
    """All events of a run, in their order, each message once; other triggers' events are none of ours."""
    others = [
        SimpleNamespace(extra=None),
        SimpleNamespace(extra={"payload": "text"}),
        SimpleNamespace(extra={}),
    ]
    events = [_event("a", "b"), _event("b", "c")]

    assert ["a", "b", "c"] == [one["id"] for one in messages_of({"x": others, "y": events})]


@pytest.fixture
def given(hook, monkeypatch):
    """What a task of a run is given, whose events hold these messages: `given("run 1", "a", "b")`."""

    def ask(run_id: str, *names: str, dag_id: str = "shop", source: str = "s") -> list[str]:
        run = SimpleNamespace(dag_id=dag_id, run_id=run_id)
        context = {"dag_run": run, "triggering_asset_events": {"incoming": [_event(*names, source=source)]}}
        monkeypatch.setattr("tickrelay_airflow.hook.get_current_context", lambda: context)
        return [message["id"] for message in hook.triggering_messages()]

    return ask


def test_each_message_is_given_to_one_run(given):
    """Brought again in another event, it stays the first run's; a retry has it again, another DAG has it for itself."""
    assert ["a", "b"] == given("run 1", "a", "b")
    assert ["c"] == given("run 2", "b", "c")
    assert ["a", "b"] == given("run 1", "a", "b")
    assert ["b"] == given("run 1", "b", dag_id="other")
    assert [] == given("run 3")


def test_what_has_no_id_is_given_to_whom_it_comes(given):
    """Two that can't be decoded may be one that came twice, or two alike: neither is kept from anybody."""
    assert ["a", "x", "x"] == given("run 1", "a", "x", "x", source="undecodable/q")
    assert ["x"] == given("run 2", "x", source="undecodable/q")


def test_one_run_each_needs_a_ledger(hook, connection, urls, given):
    """The sentence says what to do."""
    connection({"broker": urls["broker"]})
    with pytest.raises(ConfigurationError, match="giving each message to one run needs a ledger"):
        given("run 1", "a")
