# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Subcommands that the Airflow distribution adds to the `tickrelay` command."""
