# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`schedules.yaml`: what its entries become, and that one's mistake is its own."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from tickrelay_airflow.schedules import dags_from

GOOD = """
  - name: good
    cron: "*/5 * * * * ?"
    queue: q
"""


@pytest.fixture
def dags(tmp_path):
    """The DAGs of a file with this text: `dags(text)`; `schedules:` and one good entry are put in front."""

    def make(entries: str, *, whole: bool = False):
        file = tmp_path / "schedules.yaml"
        file.write_text(
            entries if whole else f"schedules:{GOOD}{textwrap.indent(textwrap.dedent(entries), '  ')}"
        )
        return dags_from(file)

    return make


def only_broken(found):
    """The one broken DAG; the good one beside it is what it was."""
    assert found.pop("good").timetable.summary == "*/5 * * * * ?"
    (dag,) = found.values()
    assert {"tickrelay", "broken"} == dag.tags
    assert not dag.timetable.can_be_scheduled
    return dag


class TestGood:
    def test_an_entry_is_a_dag(self, dags):
        """Cron, zone, queue, payload and what else is named end up in the DAG and its task."""
        dag = dags(
            """
            - name: report
              cron: "0 6 * * *"
              timezone: Europe/Berlin
              queue: reports
              data: {run: "{{ run_id }}", n: [1, 2.5, null]}
              key: run
              headers: {h: v}
              expires_after: 60
              retries: 7
              tags: [x]
            """
        )["report"]
        task = dag.get_task("publish")

        assert ("0 6 * * *", "Europe/Berlin", 7) == (
            dag.timetable.summary,
            dag.timetable.cron.timezone,
            task.retries,
        )
        assert ("reports", {"run": "{{ run_id }}", "n": [1, 2.5, None]}) == (task.queue_name, task.data)
        assert ("run", {"h": "v"}, 60) == (task.key_of, task.headers, task.expires.total_seconds())
        assert {"x", "tickrelay"} == dag.tags

    def test_ticks_ahead_and_policies(self, dags):
        """Windows, lead, jitter and bounds are the timetable's; ticks and policies the task's."""
        dag = dags(
            """
            - name: ahead
              cron: "*/5 * * * * ?"
              window: 1m
              lead: 30
              jitter: 250ms
              start: 2026-01-01T00:00:00Z
              end: "2027-01-01T00:00:00+00:00"
              misfire: latest
              misfire_threshold: 5s
              queue: q
              data: {at: "{{ tick }}"}
            """
        )["ahead"]
        task = dag.get_task("publish")

        assert {"window": "60s", "lead": "30s", "jitter": "250ms", "seed": "ahead"}.items() <= (
            dag.timetable.serialize().items()
        )
        assert {"start": "2026-01-01T00:00:00+00:00", "end": "2027-01-01T00:00:00+00:00"}.items() <= (
            dag.timetable.serialize().items()
        )
        assert (True, "latest", 5) == (
            task.ticks,
            task.policies.misfire,
            task.policies.threshold.total_seconds(),
        )

    def test_runs_that_queue(self, dags):
        """One after the other, as is the default of `max_active_runs`."""
        dag = dags("- {name: one, cron: '@hourly', queue: q, overlap_runs: queue}")["one"]

        assert ("queue", 1, False) == (
            dag.get_task("publish").policies.overlap, dag.max_active_runs, dag.get_task("publish").ticks,
        )  # fmt: skip

    def test_the_shipped_file(self):
        """The repository's own schedules have no mistakes."""
        found = dags_from(Path(__file__).parents[3] / "dags" / "schedules.yaml")

        assert found
        assert not [dag.dag_id for dag in found.values() if "broken" in dag.tags]

    @pytest.mark.parametrize("text", ["", "schedules:", "schedules: []", "# nothing\n"])
    def test_nothing(self, dags, text):
        """An empty file makes no DAGs, and no trouble."""
        assert {} == dags(text, whole=True)

    def test_no_file(self, tmp_path):
        """No file, no DAGs."""
        assert {} == dags_from(tmp_path / "nowhere.yaml")


class TestBrokenEntries:
    @pytest.mark.parametrize(
        ("field", "line", "text"),
        [
            ('crom: "* * * * *"', 8, "`crom`: Extra inputs"),
            ('cron: "61 * * * *"', 8, "`cron`: "),
            ("cron: 5", 8, "`cron`: Input should be a valid string"),
            ("cron: ''", 8, "`cron`: is empty"),
            ('cron: "0 0 30 2 *"', 8, "`cron`: "),
            ("timezone: Mars/Base", 8, "`timezone`: "),
            ("queue: 'no spaces'", 8, "`queue`: "),
            ("data: {when: 2026-01-01}", 8, "`data`: .*JSON"),
            ("data: {a: 1, a: 2}", 8, "`a`: is there twice"),
            ("headers:\n    h: 1", 9, "`headers.h`: Input should be a valid string"),
            ("retries: -1", 8, "`retries`: "),
            ("name: bad", 8, "`name`: is there twice"),
            ("window: soon", 8, "`window`: 'soon' is no duration"),
            ("window: [1]", 8, "`window`: Input should be a valid"),
            ("window: 1.5", 8, "`window`: '1.5' is not a whole number of seconds"),
            ("lead: 30s", 8, "`lead`: has no meaning without window"),
            ("jitter: -1", 8, "`jitter`: '-1' is outside"),
            ("start: yesterday", 8, "`start`: 'yesterday' is no ISO 8601 instant"),
            ("end: 1960-01-01T00:00:00Z", 9, "`cron`: .*never ticks"),
            ("misfire: never", 8, "`misfire`: Input should be 'all', 'latest' or 'none'"),
            ("misfire_threshold: 5 minutes", 8, "`misfire_threshold`: '5 minutes' is no duration"),
            ("overlap: skip", 8, "`overlap`: Input should be 'first' or 'both'"),
            ("overlap_runs: first", 8, "`overlap_runs`: Input should be 'all', 'skip' or 'queue'"),
            ("overlap_runs: skip\n  window: 1m", 8, "`overlap_runs`: goes by runs"),
            ("max_active_runs: 2\n  overlap_runs: queue", 8, "`max_active_runs`: must be 1"),
        ],
    )
    def test_says_file_line_and_field(self, dags, field, line, text):
        """A broken entry keeps its name, is never scheduled and says where the mistake is."""
        fields = {"cron": '"* * * * *"', "queue": "q"}
        fields.pop(field.partition(":")[0], None)
        given = "\n".join([f"  {field}", *(f"  {name}: {value}" for name, value in fields.items())])
        dag = only_broken(dags(f"\n\n- name: bad\n{given}\n"))

        assert "bad" == dag.dag_id
        assert re.search(f"`schedules.yaml`, line {line}, {text}", dag.doc_md), dag.doc_md

    @pytest.mark.parametrize(
        ("entry", "name", "text"),
        [
            ('- cron: "* * * * *"\n  queue: q', "schedules__line_5", "line 5, `name`: Field required"),
            (
                '- name: "a b"\n  cron: "* * * * *"\n  queue: q',
                "schedules__line_5",
                "line 5, `name`: String should match",
            ),
            ("- just text", "schedules__line_5", "line 5, `entry`: must be fields"),
            (
                '- name: good\n  cron: "* * * * *"\n  queue: q',
                "schedules__line_5",
                "line 5, `name`: 'good' is taken",
            ),
            ("- name: n", "n", "line 5, `cron`: Field required"),
        ],
    )
    def test_without_a_usable_name(self, dags, entry, name, text):
        """An entry that can't have its own name is named after file and line."""
        dag = only_broken(dags(entry))

        assert name == dag.dag_id
        assert text in dag.doc_md

    def test_running_it_by_hand_says_what_is_wrong(self, dags):
        """Whoever triggers a broken DAG reads the mistake in the task's log."""
        dag = only_broken(dags('- name: bad\n  cron: "x"\n  queue: q'))

        with pytest.raises(AirflowFailException, match=r"schedules\.yaml, line 6, cron: "):
            dag.get_task("broken").execute({})


class TestBrokenFile:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("schedules:\n  - name: [", "line 2"),
            ("schedules:\n  - cron: *\n", "line 2"),
            ("- name: a", "line 1"),
            ("schedules: 5", "line 1"),
            ("schedules: []\nother: 1", "line 1"),
            ("a\x00b", "line 1"),
        ],
    )
    def test_one_broken_dag_named_after_it(self, dags, text, place):
        """A file that can't be read as schedules is one broken DAG that says where it ends being one."""
        (dag,) = dags(text, whole=True).values()

        assert "schedules.yaml" == dag.dag_id
        assert "broken" in dag.tags
        assert place in dag.doc_md
