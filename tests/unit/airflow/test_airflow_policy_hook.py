# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The `dag_policy` hook: stock Airflow reads seconds last, and whoever wrote them first is told."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from importlib.metadata import entry_points

import pluggy
import pytest
from airflow import policies
from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronTriggerTimetable, MultipleCronTriggerTimetable
from airflow.timetables.interval import CronDataIntervalTimetable

from tickrelay_airflow.policy import dag_policy
from tickrelay_airflow.timetable import CronSchedule

SIX = "0 0 12 * * *"
TOLD = [
    SIX,
    CronTriggerTimetable(SIX, timezone="UTC"),
    CronDataIntervalTimetable(SIX, timezone="UTC"),
    MultipleCronTriggerTimetable("@daily", SIX, timezone="UTC"),
    AssetOrTimeSchedule(timetable=CronTriggerTimetable(SIX, timezone="UTC"), assets=[Asset("a")]),
]
NOT_TOLD = [None, "@daily", "0 12 * * *", CronSchedule(SIX), [Asset("a")], "@once"]


def dag_with(schedule) -> DAG:
    return DAG("noon", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("schedule", TOLD, ids=lambda one: type(one).__name__)
def test_six_fields_for_airflow_s_own_timetables_are_told(schedule, caplog):
    """Once, with the DAG, the expression and what to write instead; wherever the timetable keeps it."""
    with caplog.at_level(logging.WARNING, "tickrelay_airflow.policy"):
        dag_policy(dag_with(schedule))
    (record,) = caplog.records

    assert "DAG noon" in record.message
    assert f'CronSchedule("{SIX}")' in record.message


@pytest.mark.parametrize("schedule", NOT_TOLD, ids=lambda one: repr(one).partition(" object at")[0])
def test_others_are_not(schedule, caplog):
    """Five fields, presets, no cron at all, and ours."""
    dag_policy(dag_with(schedule))

    assert [] == caplog.records


def test_it_never_raises():
    """Whatever it is given: a policy that fails takes the DAG away."""
    dag_policy(object())


def test_airflow_finds_it():
    """By the entry point, as a hook of Airflow's own specification."""
    manager = pluggy.PluginManager(policies.local_settings_hookspec.project_name)
    manager.add_hookspecs(policies)
    for found in entry_points(group="airflow.policy", name="tickrelay"):
        manager.register(found.load())

    assert 1 == len(manager.hook.dag_policy.get_hookimpls())
