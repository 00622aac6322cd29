# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The shipped DAGs in a git repository, read by Airflow's DAG processor: what a push changes, and what it breaks."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.process import Server
from tests.services.waiting import wait_until

pytestmark = pytest.mark.timeout(240)

REFRESH = 2
"""Seconds between two looks at the repository."""
PATIENCE = 90.0
"""Seconds: a busy machine isn't a fault."""
AIRFLOW = Path(sys.executable).with_name("airflow")


class Site:
    """
    A repository and a DAG processor that reads it.

    Attributes:
        clone: where somebody edits DAGs and pushes.
    """

    def __init__(self, folder: Path, dags: Path) -> None:
        self._folder = folder
        self._bare = folder / "dags.git"
        self.clone = folder / "clone"
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self._bare), at=folder)
        self._git("clone", "--quiet", str(self._bare), str(self.clone), at=folder)
        shutil.copytree(dags, self.clone / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        self._git("checkout", "--quiet", "-b", "main")
        self.push()

    def push(self) -> None:
        """Commit what there is, and push it."""
        who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
        self._git("add", "--all")
        self._git(*who, "commit", "--quiet", "--message", "a change")
        self._git("push", "--quiet", "origin", "main")

    def edit(self, old: str, new: str) -> None:
        """Change a text that is in schedules.yaml, and push."""
        file = self.clone / "dags" / "schedules.yaml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self.push()

    @property
    def environment(self) -> dict[str, str]:
        """Of an Airflow that reads the repository."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        bundle = {
            "name": "dags",
            "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
            "kwargs": {
                "repo_url": str(self._bare),
                "tracking_ref": "main",
                "subdir": "dags",
                "refresh_interval": REFRESH,
            },
        }
        return kept | {
            "AIRFLOW_HOME": str(self._folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self._folder / "bundles"),
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-for-the-tests-of-this-repository-" + "0" * 32,
        }

    def dags(self) -> dict[str, tuple[str, str, set[str]]]:
        """By DAG: its schedule, its bundle's version and its tags; tests may look behind Airflow's back."""
        with closing(sqlite3.connect(self._folder / "home" / "airflow.db")) as connection:
            rows = connection.execute("SELECT dag_id, timetable_summary, bundle_version FROM dag").fetchall()
            tags = connection.execute("SELECT dag_id, name FROM dag_tag").fetchall()
        return {
            dag: (schedule, version, {tag for one, tag in tags if one == dag})
            for dag, schedule, version in rows
        }

    def head(self) -> str:
        """The pushed commit."""
        return self._git("rev-parse", "HEAD").strip()

    def last_words(self) -> str:
        """The end of what the processor said."""
        return (self._folder / "processor.log").read_text(errors="replace")[-3000:]

    def _git(self, *arguments: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=at or self.clone, check=True, capture_output=True, text=True
        )
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[Site]:
    """The processor at work, until the module's end."""
    folder = tmp_path_factory.mktemp("git-dags")
    site = Site(folder, project / "dags")
    migrate = [AIRFLOW, "db", "migrate"]
    subprocess.run(migrate, env=site.environment, check=True, capture_output=True, timeout=120)
    processor = Server(
        [AIRFLOW, "dag-processor"], lambda: True, folder / "processor.log", env=site.environment
    )
    processor.start()
    try:
        yield site
    finally:
        # Not asked to end: under load it takes longer over that than is worth waiting for.
        processor.kill()


def until(site: Site, condition: Callable[[], object], what: str) -> None:
    wait_until(condition, lambda _: f"{what}\n{site.last_words()}", within=PATIENCE, every=0.2)


def test_what_is_pushed_is_what_runs(site: Site) -> None:
    """All shipped DAGs are there from the repository; a push changes a schedule, and no other DAG's."""
    until(site, lambda: len(site.dags()) == 4, "the shipped DAGs are read")
    before = site.dags()
    assert "*/15 * * * *" == before["cache_refresh"][0]

    site.edit('"*/15 * * * *"', '"*/20 * * * *"')

    until(site, lambda: site.dags()["cache_refresh"][:2] == ("*/20 * * * *", site.head()), "the push counts")
    assert {name: dag[0] for name, dag in before.items() if name != "cache_refresh"} == {
        name: dag[0] for name, dag in site.dags().items() if name != "cache_refresh"
    }


def test_a_mistake_breaks_its_own_entry_only(site: Site) -> None:
    """It becomes a DAG without a schedule, tagged `broken`; the other entries go on."""
    site.edit('"0 0 6 ? * MON-FRI"', '"0 0 66 ? * MON-FRI"')

    until(site, lambda: "broken" in site.dags()["daily_report"][2], "the mistake is told")
    assert "*/20 * * * *" == site.dags()["cache_refresh"][0]
    assert "broken" not in site.dags()["cache_refresh"][2]
