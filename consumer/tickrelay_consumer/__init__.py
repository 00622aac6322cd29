# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Carry out messages: claim, work, settle, acknowledge. Needs no Airflow."""

from tickrelay_consumer.consumer import Consumer
from tickrelay_consumer.handlers import Context, Retry
from tickrelay_messaging.errors import DeadLetter, RetryLater
from tickrelay_messaging.message import Message

__all__ = ["Consumer", "Context", "DeadLetter", "Message", "Retry", "RetryLater"]
