# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a tick's instant to the work, also while schedulers are killed: ours, stock Airflow, and others."""

from bench.ticks.table import main

__all__ = ["main"]
