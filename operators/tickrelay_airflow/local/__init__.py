# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The parts of `tickrelay up`: Airflow, a consumer and the demo's orders as one local system that starts and stops as one.

`up` (the terminal) -> `keeper` (one process that imports Airflow once, forks its components and keeps them alive) ->
the components. Only `keeper` and `airflow_fork` import Airflow.
"""
