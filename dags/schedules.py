# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The DAGs of schedules.yaml. Airflow reads only files that mention both `airflow` and `dag`, as this line does."""

from __future__ import annotations

from pathlib import Path

from tickrelay_airflow.schedules import dags_from

globals().update(dags_from(Path(__file__).with_name("schedules.yaml")))
