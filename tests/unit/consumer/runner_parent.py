# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A process with a child that works for a minute; for a test that kills this one."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from runner_lab import RunnerLab

from tickrelay_consumer.commands._target import load_consumer

if __name__ == "__main__":
    consumer = load_consumer(str(Path(__file__).with_name("runner_children.py")))
    with RunnerLab(consumer.handlers, workers=1) as lab:
        lab.put("take", {"do": "wait", "seconds": 60, "file": sys.argv[1]})
        time.sleep(120)
