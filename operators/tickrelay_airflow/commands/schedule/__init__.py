# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Schedules while they run: list, show, pause, resume, trigger, skip-next, set, lint, history."""

from __future__ import annotations

from tickrelay_airflow.commands.schedule.history import tell_history
from tickrelay_airflow.commands.schedule.linting import lint
from tickrelay_airflow.commands.schedule.reading import list_schedules, show_schedule
from tickrelay_airflow.commands.schedule.setting import set_schedule
from tickrelay_airflow.commands.schedule.skipping import skip_next
from tickrelay_airflow.commands.schedule.switching import pause_schedule, resume_schedule
from tickrelay_airflow.commands.schedule.triggering import trigger_schedule
from tickrelay_consumer.commands._options import new_app

app = new_app("Schedules while they run: list, show, pause, resume, trigger, skip-next, set, lint, history.")

app.command("list")(list_schedules)
app.command("show")(show_schedule)
app.command("pause")(pause_schedule)
app.command("resume")(resume_schedule)
app.command("trigger")(trigger_schedule)
app.command("skip-next")(skip_next)
app.command("set")(set_schedule)
app.command("lint")(lint)
app.command("history")(tell_history)
