# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""An AIRFLOW_HOME of its own, unless the run has one: importing Airflow writes its configuration there."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="tickrelay-cron-tests-"))
