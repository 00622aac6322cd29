# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Cron expressions evaluated by our own rules: no Airflow, no I/O, no clock.

The dialect, the daylight-saving policy and the differences to other cron implementations are in
``docs/reference/cron.md``.
"""

from __future__ import annotations

from tickrelay_airflow.cron.errors import CronError
from tickrelay_airflow.cron.evaluator import Cron
from tickrelay_airflow.cron.parse import Dialect
from tickrelay_airflow.cron.wallclock import Gap, Overlap
from tickrelay_airflow.cron.words import describe

__all__ = ["Cron", "CronError", "Dialect", "Gap", "Overlap", "describe"]
