# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Schedules seen and changed through Airflow's API server: who may, what happens, what is written down."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tickrelay_airflow.control.revoking import kind_of
from tickrelay_messaging.ledger.records import Outcome, Route
from tickrelay_messaging.ledger.schedules import TickDecision, TickOutcome
from tickrelay_messaging.message import Message

API = "/tickrelay/api/schedules"
PAGE = "/tickrelay/schedules"
ID = "airflow/nightly"
ROUTE = Route("orders", "default", "sync")
CHANGES = ("pause", "resume", "trigger", "skip-next")


@pytest.fixture
def client(airflow_app, hook, nightly):
    """A program without a login."""
    from fastapi.testclient import TestClient

    return TestClient(airflow_app, raise_server_exceptions=False)


@pytest.fixture
def as_(token):
    """Headers of a program in which somebody of a role is logged in: `as_("op")`."""
    return lambda role: {"Authorization": f"Bearer {token(role)}"}


@pytest.fixture
def browser(client, token):
    """A browser in which somebody of a role is logged in: `browser("op")`."""

    def log_in(role: str):
        client.cookies.set("_token", token(role))
        return client

    return log_in


def _tick_message(due: datetime) -> Message:
    """What the publishing task puts on the queue for a tick."""
    return Message.of({}, deliver_at=due, extensions={"scheduleid": ID})


def paused() -> bool:
    """What Airflow's own database says."""
    from airflow.models.dag import DagModel

    return DagModel.get_dagmodel("nightly").is_paused


class TestReading:
    def test_the_list(self, client, as_):
        """Every DAG with a `CronSchedule`, and no other: expression, words, zone, the next tick in its zone."""
        answer = client.get(API, headers=as_("viewer")).json()
        (one,) = [row for row in answer["schedules"] if row["dag_id"] == "nightly"]

        assert "theirs" not in {row["dag_id"] for row in answer["schedules"]}
        assert ("0 30 2 ? * *", "Europe/Berlin", ID) == (one["expression"], one["timezone"], one["schedule"])
        assert "02:30" in one["words"]
        assert " 02:30:00 CE" in one["next"][0]["local"]
        assert (False, [], None, 0) == (one["paused"], one["revocations"], one["last"], one["misfires"])
        assert "" == answer["problem"]

    def test_one(self, client, as_):
        """One schedule has the five coming ticks, and the arguments with which they can be computed elsewhere."""
        one = client.get(f"{API}/nightly", headers=as_("viewer")).json()

        assert 5 == len({tick["at"] for tick in one["next"]})
        assert "shift" == one["settings"]["gap"]

    @pytest.mark.parametrize("dag_id", ["nobody", "theirs", "~"])
    def test_no_schedule(self, client, as_, dag_id):
        """A DAG that isn't there, has another timetable or stands for all, is not found."""
        found = [
            client.get(f"{API}/{dag_id}{end}", headers=as_("op")).status_code for end in ("", "/history")
        ]
        changed = [client.post(f"{API}/{dag_id}/{verb}", headers=as_("op")).status_code for verb in CHANGES]

        assert {404} == {*found, *changed}

    def test_decisions(self, client, as_, hook):
        """The newest decision, the misfires of the last day, and the history of all, as the ledger has them."""
        now = datetime.now(UTC).timestamp()
        outcomes = {
            now - 90_000: TickOutcome.MISFIRED,
            now - 90: TickOutcome.MISFIRED,
            now - 30: TickOutcome.FIRED,
        }
        hook.ledger.schedules.record(
            [
                TickDecision(schedule=ID, tick=tick, outcome=outcome, task_id="publish", reason="late")
                for tick, outcome in outcomes.items()
            ]
        )
        one = client.get(f"{API}/nightly", headers=as_("viewer")).json()
        history = client.get(f"{API}/nightly/history", headers=as_("viewer")).json()
        missed = client.get(f"{API}/nightly/history?outcome=misfired", headers=as_("viewer")).json()

        assert ("fired", 1) == (one["last"]["outcome"], one["misfires"])
        assert ["fired", "misfired", "misfired"] == [row["outcome"] for row in history["decisions"]]
        assert 2 == len(missed["decisions"])

    def test_without_a_ledger(self, client, as_, browser, monkeypatch):
        """Airflow's part is shown, with a word about the missing one."""
        monkeypatch.setenv(
            "AIRFLOW_CONN_TICKRELAY_DEFAULT", '{"conn_type": "tickrelay", "extra": {"broker": "memory:"}}'
        )
        answer = client.get(API, headers=as_("viewer")).json()

        assert "Ledger URL" in answer["problem"]
        assert {None} == {row["misfires"] for row in answer["schedules"]}
        assert "Ledger URL" in browser("viewer").get(PAGE).text


class TestChanging:
    @pytest.mark.parametrize("verb", CHANGES)
    def test_a_viewer_may_not(self, client, as_, hook, verb):
        """Changing needs the right to edit the DAG; a viewer is refused, and nothing happens."""
        answer = client.post(f"{API}/nightly/{verb}", headers=as_("viewer"))

        assert 403 == answer.status_code
        assert ([], False) == (hook.ledger.revocations.list(), paused())

    def test_pause_and_resume(self, client, as_, hook):
        """A pause stops Airflow and revokes what is out; both are undone by resume, and said twice each is once."""
        first = client.post(f"{API}/nightly/pause", headers=as_("op"), json={"reason": "audit week"}).json()
        (pause,) = hook.ledger.revocations.list(ID)
        was_paused = paused()
        again = client.post(f"{API}/nightly/pause", headers=as_("op")).json()
        back = client.post(f"{API}/nightly/resume", headers=as_("op")).json()
        nothing = client.post(f"{API}/nightly/resume", headers=as_("op")).json()

        assert (True, "pause", None) == (was_paused, kind_of(pause), pause.until)
        assert ("airflow:the-op", "audit week") == (pause.by, pause.reason)
        assert [True, False, True, False] == [one["changed"] for one in (first, again, back, nothing)]
        assert ([], False) == (hook.ledger.revocations.list(ID), paused())

    def test_changes_are_audited(self, client, as_, hook):
        """Who, what, when and why of each change stand in the ledger's trail and in the schedule's history."""
        for verb in ("pause", "resume"):
            client.post(f"{API}/nightly/{verb}", headers=as_("op"), json={"reason": f"{verb} it"})
        changes = client.get(f"{API}/nightly/history", headers=as_("viewer")).json()["changes"]

        assert ["schedule resumed", "revocation lifted", "schedule paused", "revoked"] == [
            one["what"] for one in changes
        ]
        assert {"airflow:the-op"} == {one["who"] for one in changes}
        assert changes[0]["detail"].endswith(": resume it")

    def test_trigger(self, client, as_):
        """A manual run belongs to no tick, takes a conf, and is made once where it has a name."""
        asked = {
            "conf": {"region": "eu"},
            "run_id": f"by-hand-{datetime.now(UTC).timestamp()}",
            "reason": "try",
        }
        first = client.post(f"{API}/nightly/trigger", headers=as_("op"), json=asked).json()
        again = client.post(f"{API}/nightly/trigger", headers=as_("op"), json=asked).json()
        run = client.get(f"/api/v2/dags/nightly/dagRuns/{asked['run_id']}", headers=as_("op")).json()

        assert (True, False) == (first["changed"], again["changed"])
        assert (None, {"region": "eu"}, "try") == (run["logical_date"], run["conf"], run["note"])

    def test_skip_next(self, client, as_, hook):
        """Exactly the next ticks are revoked, once; they are shown, and can be restored."""
        ticks = [tick["at"] for tick in client.get(f"{API}/nightly", headers=as_("op")).json()["next"]]
        client.post(f"{API}/nightly/skip-next", headers=as_("op"), json={"count": 1})
        client.post(f"{API}/nightly/skip-next", headers=as_("op"), json={"count": 2})
        revocations = hook.ledger.revocations.list(ID)
        shown = client.get(f"{API}/nightly", headers=as_("op")).json()
        undone = client.post(f"{API}/nightly/skip-next", headers=as_("op"), json={"undo": True}).json()

        assert [datetime.fromisoformat(tick).timestamp() for tick in ticks[:2]] == [
            one.since for one in revocations
        ]
        assert [True, True, False, False, False] == [tick["revoked"] is not None for tick in shown["next"]]
        assert (2, []) == (len(undone["facts"]["restored"]), hook.ledger.revocations.list(ID))

    def test_ticks_already_out(self, client, as_, hook):
        """
        A pause takes back ticks that were published ahead, parked at a consumer or still on the queue; those of
        before the pause and those that come after resume are carried out.
        """
        due = datetime.fromisoformat(client.get(f"{API}/nightly", headers=as_("op")).json()["next"][0]["due"])
        early, parked, queued, later = (
            _tick_message(at) for at in (datetime(2026, 1, 1, tzinfo=UTC), due, due, due)
        )
        owner = hook.ledger.enroll("consumer", [ROUTE])
        before = hook.ledger.claim(owner, ROUTE, [early, parked])
        client.post(f"{API}/nightly/pause", headers=as_("op"))
        during = hook.ledger.claim(owner, ROUTE, [queued])
        client.post(f"{API}/nightly/resume", headers=as_("op"))
        after = hook.ledger.claim(owner, ROUTE, [later])

        assert [Outcome.RUN, Outcome.PARKED] == [claim.outcome for claim in before]
        assert ["revoked"] == [life.state.value for life in hook.ledger.history.life(parked.id)]
        assert [Outcome.REVOKED] == [claim.outcome for claim in during]
        assert [Outcome.PARKED] == [claim.outcome for claim in after]

    def test_a_skip_is_of_one_tick(self, client, as_, hook):
        """Of ticks published ahead, only the next one is taken back."""
        ticks = client.get(f"{API}/nightly", headers=as_("op")).json()["next"][:2]
        next_, following = (_tick_message(datetime.fromisoformat(tick["due"])) for tick in ticks)
        hook.ledger.claim(hook.ledger.enroll("consumer", [ROUTE]), ROUTE, [next_, following])
        client.post(f"{API}/nightly/skip-next", headers=as_("op"))

        assert ["revoked", "waiting"] == [
            hook.ledger.history.life(message.id)[0].state.value for message in (next_, following)
        ]

    def test_a_ledger_that_fails(self, client, as_, monkeypatch):
        """Airflow is stopped all the same, and the answer says what holds and what doesn't."""
        monkeypatch.setenv(
            "AIRFLOW_CONN_TICKRELAY_DEFAULT", '{"conn_type": "tickrelay", "extra": {"broker": "memory:"}}'
        )
        answer = client.post(f"{API}/nightly/pause", headers=as_("op"))

        assert (502, True) == (answer.status_code, paused())
        assert "nightly is paused in Airflow" in answer.json()["detail"]
        assert "not revoked" in answer.json()["detail"]

    def test_resume_needs_the_ledger(self, client, as_, monkeypatch):
        """Else what Airflow then made would stay revoked: nothing is changed."""
        client.post(f"{API}/nightly/pause", headers=as_("op"))
        monkeypatch.setenv(
            "AIRFLOW_CONN_TICKRELAY_DEFAULT", '{"conn_type": "tickrelay", "extra": {"broker": "memory:"}}'
        )
        answer = client.post(f"{API}/nightly/resume", headers=as_("op"))

        assert (400, True) == (answer.status_code, paused())


class TestBrowser:
    def press(self, client, verb, headers, reason="because"):
        """A button of the page."""
        return client.post(
            f"{PAGE}/nightly/{verb}", data={"reason": reason}, headers=headers, follow_redirects=False
        )

    def test_the_page(self, browser):
        """Each schedule in words; buttons for those who may edit, and none for others."""
        viewer = browser("viewer").get(PAGE).text
        editor = browser("op").get(PAGE).text

        assert "nightly" in viewer
        assert "02:30" in viewer
        assert ("<form" in viewer, "<form" in editor) == (False, True)
        assert "<script" not in editor

    def test_a_button(self, browser, hook):
        """A button does what it says and leads back to the page, which says so."""
        client = browser("op")
        answer = self.press(client, "pause", {"Sec-Fetch-Site": "same-origin"})
        (pause,) = hook.ledger.revocations.list(ID)
        page = client.get(f"/tickrelay/schedules/nightly/{answer.headers['location']}").text

        assert (303, "because", True) == (answer.status_code, pause.reason, paused())
        assert "nightly is paused." in page
        assert "Resume" in page

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
            ({"Origin": "http://testserver"}, 303),
            ({"Sec-Fetch-Site": "same-origin"}, 303),
        ],
    )
    def test_other_sites(self, browser, hook, headers, status):
        """What a stranger's page makes a browser send with one's cookie is refused, as a form and as JSON."""
        client = browser("op")
        answers = {self.press(client, "pause", headers).status_code}
        if status == 403:
            answers |= {client.post(f"{API}/nightly/{verb}", headers=headers).status_code for verb in CHANGES}

        assert {status} == answers
        assert (status == 303) == bool(hook.ledger.revocations.list())

    def test_what_goes_wrong_is_a_page(self, browser, monkeypatch):
        """A change that failed, or half failed, says so on a page with a way back."""
        client = browser("op")
        monkeypatch.setenv(
            "AIRFLOW_CONN_TICKRELAY_DEFAULT", '{"conn_type": "tickrelay", "extra": {"broker": "memory:"}}'
        )
        answer = self.press(client, "pause", {"Sec-Fetch-Site": "same-origin"})

        assert 502 == answer.status_code
        assert "nightly is paused in Airflow" in answer.text
        assert "Back to the schedules" in answer.text

    def test_reasons_are_shown_as_text(self, browser):
        """What somebody typed as a reason is text on the page, never markup."""
        client = browser("op")
        self.press(client, "pause", {"Sec-Fetch-Site": "same-origin"}, reason="<script>alert(1)</script>")
        page = client.get(PAGE).text

        assert "&lt;script&gt;" in page
        assert "<script" not in page

    def test_nobody_else_s_words(self, browser):
        """The page says only what it knows: a link can't put words into it."""
        page = browser("op").get(f"{PAGE}?did=pause&to=<b>your bank</b>").text

        assert "your bank" not in page
