# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The embedded broker: one SQLite file, shared by the processes of one host."""

from tickrelay_messaging.brokers.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
