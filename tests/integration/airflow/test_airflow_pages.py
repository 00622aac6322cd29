# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The page of a task's messages inside Airflow: who may see it, and what it shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from tickrelay_airflow.links import MessagesLink
from tickrelay_airflow.publish import PublishToQueueOperator

RUN = "manual__2026-01-01T00:00:00+00:00"
PATH = f"/tickrelay/dags/shop/runs/{RUN}/tasks/publish"
API = f"/tickrelay/api/dags/shop/runs/{RUN}/tasks/publish"


@pytest.fixture
def client(airflow_app, hook, bundle):
    """A browser without a session, and a DAG that Airflow knows."""
    from airflow.sdk import DAG
    from fastapi.testclient import TestClient

    with DAG("shop", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        PublishToQueueOperator(task_id="publish", queue="orders", data=1)
    bundle(dag)
    return TestClient(airflow_app, raise_server_exceptions=False)


@pytest.fixture
def viewer(client):
    """A browser in which a viewer is logged in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="vic", role="VIEWER"))
    client.cookies.set("_token", token)
    return client


@pytest.fixture
def publish(hook):
    """Publish as the task would: `publish(payload, ...)`."""

    def run(*payloads, **attributes):
        given = {"dag_id": "shop", "run_id": RUN, "task_id": "publish", "map_index": -1, "max_tries": 0}
        ti = SimpleNamespace(**{**given, "context_carrier": None, **attributes})
        task = PublishToQueueOperator(task_id="publish", queue="orders", data=lambda: list(payloads))
        return task.execute({"ti": ti, "outlet_events": {}})

    return run


def settle(hook, *verdicts, rule="none"):
    """Carry out what is on the queue, each with the next verdict; what the rule of keys skips has none."""
    from tickrelay_messaging.envelope import decode
    from tickrelay_messaging.ledger.records import Failure, KeyRule, Outcome, Route, Settlement, Verdict

    route = Route("orders", "default", "sync")
    owner = hook.ledger.enroll("test", [route])
    with hook.broker.subscribe("orders") as subscription:
        deliveries = subscription.receive(len(verdicts))
        messages = [decode(one.headers, one.body) for one in deliveries]
        claims = hook.ledger.claim(owner, route, messages, rule=KeyRule(rule))
        failure = Failure("ValueError", "<script>alert(1)</script>")
        endings = [
            Settlement(claim, Verdict(verdict), failure=failure)
            for claim, verdict in zip(claims, verdicts, strict=True)
            if claim.outcome is Outcome.RUN
        ]
        hook.ledger.settle(owner, endings)
        subscription.acknowledge(deliveries)
    hook.ledger.retire(owner)


class TestAccess:
    def test_every_route_needs_a_login(self, client):
        """No route of the application answers anybody unknown, whatever routes there will be."""
        from tickrelay_plugin.app import build

        routes = [(method, route.path) for route in build().routes for method in route.methods]
        answers = {
            (method, path): client.request(method, "/tickrelay" + re.sub(r"\{\w+\}", "x", path)).status_code
            for method, path in routes
        }

        assert {"GET", "POST"} == {method for method, _ in routes}
        assert {401} == set(answers.values())

    @pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
    def test_no_description_of_itself(self, viewer, path):
        """The application doesn't describe its routes."""
        assert 404 == viewer.get(f"/tickrelay{path}").status_code

    def test_a_viewer_may_read(self, viewer):
        """Reading needs no more than reading the DAG."""
        assert [200, 200] == [viewer.get(PATH).status_code, viewer.get(API).status_code]

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_nothing_can_be_changed(self, viewer, method):
        """There are only pages to read."""
        assert 405 == getattr(viewer, method)(PATH).status_code

    @pytest.mark.parametrize("dag", ["nobody", "~"])
    def test_another_dag(self, viewer, dag):
        """A DAG that isn't there, or that stands for all, is not found."""
        assert 404 == viewer.get(PATH.replace("/shop/", f"/{dag}/")).status_code

    def test_a_dag_one_may_not_read(self, viewer, monkeypatch):
        """Airflow's permissions decide, DAG by DAG."""
        from airflow.api_fastapi.app import get_auth_manager

        manager = get_auth_manager()
        monkeypatch.setattr(
            manager, "is_authorized_dag", lambda *, details, **_: details.id != "shop", raising=False
        )

        assert [403, 403] == [viewer.get(PATH).status_code, viewer.get(API).status_code]

    def test_a_forged_token(self, client):
        """A token of somebody else's making is refused."""
        assert client.get(PATH, headers={"Authorization": "Bearer e30.e30.x"}).status_code in (401, 403)

    def test_without_its_guard_nothing_is_shown(self, monkeypatch):
        """If Airflow's security can't be imported, the pages answer 503 and nothing else."""
        import sys

        import anyio

        from tickrelay_plugin.plugin import Pages

        monkeypatch.setitem(sys.modules, "airflow.api_fastapi.core_api.security", None)
        monkeypatch.delitem(sys.modules, "tickrelay_plugin.app", raising=False)
        sent = []

        async def send(event):
            sent.append(event)

        anyio.run(Pages(), {"type": "http", "path": "/"}, None, send)

        assert 503 == sent[0]["status"]

    def test_headers(self, viewer, client):
        """Nothing runs, nothing is framed by others, kept or sniffed; on errors too."""
        for path, status in ((PATH, 200), (PATH.replace("shop", "nobody"), 404)):
            answer = viewer.get(path)
            policy = answer.headers["content-security-policy"]

            assert status == answer.status_code
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'self'" in policy
            assert "unsafe" not in policy
            assert "script-src" not in policy
            assert ("no-store", "nosniff") == (
                answer.headers["cache-control"],
                answer.headers["x-content-type-options"],
            )


class TestContent:
    def test_not_published_yet(self, viewer):
        """A task that hasn't published says so."""
        answer = viewer.get(PATH)

        assert "Nothing published yet" in answer.text
        assert "not_published" == viewer.get(API).json()["status"]

    def test_no_ledger(self, viewer, monkeypatch):
        """Without a ledger the page says what is missing, not what is secret."""
        monkeypatch.setenv(
            "AIRFLOW_CONN_TICKRELAY_DEFAULT", '{"conn_type": "tickrelay", "extra": {"broker": "memory:"}}'
        )
        answer = viewer.get(PATH)

        assert 200 == answer.status_code
        assert "ledger can&#39;t be read" in answer.text or "ledger can't be read" in answer.text
        assert "Ledger URL" in answer.text

    def test_messages(self, viewer, hook, publish):
        """
        Every message with its state, attempts, events and error; payloads aren't shown, and what is shown is
        escaped.
        """
        publish({"card": "4111"}, {"card": "4222"})
        settle(hook, "done", "dead")
        page, found = viewer.get(PATH).text, viewer.get(API).json()
        (batch,) = found["batches"]

        assert {"done", "dead"} == {message["state"] for message in found["messages"]}
        assert (2, 1, 1, 0) == (
            batch["count"],
            *(batch["progress"][0][name] for name in ("done", "dead", "open")),
        )
        assert "ValueError" in next(
            message["error"] for message in found["messages"] if message["state"] == "dead"
        )
        assert all(message["id"] in page for message in found["messages"])
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "4111" not in page

    def test_a_skipped_message_has_ended(self, viewer, hook, publish):
        """What a singleton skipped is counted as skipped, not as open, and has no error to tell."""
        publish(1, 2, 3)
        settle(hook, "done", "done", "done", rule="singleton")
        found = viewer.get(API).json()
        (row,) = found["batches"][0]["progress"]

        assert (1, 2, 0) == (row["done"], row["skipped"], row["open"])
        assert {None} == {message["error"] for message in found["messages"]}
        assert '<th class="number">Skipped</th>' in viewer.get(PATH).text

    def test_nobody_there_yet(self, viewer, publish):
        """Messages that no consumer has seen: the batch is there, and the page says nobody was."""
        publish(1)
        page = viewer.get(PATH).text

        assert "No consumer has been seen" in page
        assert 'http-equiv="refresh"' in page

    def test_paging(self, viewer, hook, publish):
        """A long batch is shown a hundred at a time, and no message is left out."""
        publish(*range(130))
        settle(hook, *(["done"] * 130))
        first = viewer.get(API).json()
        second = viewer.get(f"{API}?after={first['next']}").json()
        ids = [message["id"] for page in (first, second) for message in page["messages"]]

        assert (100, 30, None) == (len(first["messages"]), len(second["messages"]), second["next"])
        assert 130 == len(set(ids))
        assert f"after={first['next']}" in viewer.get(PATH).text

    @pytest.mark.parametrize(
        ("query", "expected"), [("", {0, 1}), ("?map_index=1", {1}), ("?map_index=%7BMAP_INDEX%7D", {0, 1})]
    )
    def test_map_index(self, viewer, publish, query, expected):
        """A mapped task's page shows one index, or all; Airflow's placeholder, left in place, means all."""
        publish(1, map_index=0)
        publish(2, map_index=1)

        assert expected == {batch["map_index"] for batch in viewer.get(API + query).json()["batches"]}

    def test_the_link_leads_there(self, viewer, publish):
        """The button of the task opens its page."""
        publish(1)
        key = SimpleNamespace(dag_id="shop", run_id=RUN, task_id="publish", map_index=-1)
        answer = viewer.get(MessagesLink().get_link(None, ti_key=key))

        assert (200, True) == (answer.status_code, "Messages of publish" in answer.text)
