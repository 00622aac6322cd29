# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Ten thousand sensors that wait for messages in one event loop, beside the Kafka provider's, on one Kafka in one run.

The triggers are started directly, as a triggerer would: Airflow itself creates only a few tasks a second. Ours and the
provider's have a process each. The provider's have a Kafka consumer each, so there are few of them, each with a topic
and a group of its own, which is the best that can happen to them; their figures are per sensor.
"""

from bench.sensors.table import main

__all__ = ["main"]
