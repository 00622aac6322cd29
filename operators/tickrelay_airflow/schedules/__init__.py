# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""`schedules.yaml` as DAGs."""

from tickrelay_airflow.schedules.factory import dags_from

__all__ = ["dags_from"]
