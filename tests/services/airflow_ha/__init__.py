# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A highly available Airflow on one machine, whose components can be killed and started again one by one."""

from tests.services.airflow_ha.system import AirflowHA, running_airflow_ha

__all__ = ["AirflowHA", "running_airflow_ha"]
