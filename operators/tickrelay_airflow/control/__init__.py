# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Schedules controlled while they run: seen, paused, resumed, triggered, skipped. No Airflow is imported here."""
