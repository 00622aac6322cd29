# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The broker of the docs, written as a third party would: it keeps the contract, and the docs show it whole."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tickrelay_messaging.brokers import Broker
from tickrelay_messaging.testing import BrokerContract

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "broker" / "folder_broker.py"
GUIDE = ROOT / "docs" / "guide" / "brokers.md"

spec = spec_from_file_location("folder_broker", FILE)
assert spec is not None
assert spec.loader is not None
folder_broker = module_from_spec(spec)
spec.loader.exec_module(folder_broker)


class TestFolderBroker(BrokerContract):
    """`examples/broker/folder_broker.py`."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.url = f"folder:///{tmp_path}"

    def make_broker(self) -> Broker:
        """Any number of them share a folder."""
        return folder_broker.FolderBroker.from_url(self.url)


def test_the_guide_shows_the_file() -> None:
    """The code in the guide is the file, letter by letter, without its two lines of licence."""
    shown = re.search(r"<!-- folder_broker.py -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert shown is not None
    assert FILE.read_text().split("\n", 2)[2] == shown[1]


def test_the_suite_needs_no_airflow() -> None:
    """`tickrelay_messaging.testing` is importable where Airflow, drivers and the consumer are not installed."""
    code = (
        "import sys\n"
        "for name in ('airflow', 'tickrelay_consumer', 'pika', 'redis', 'confluent_kafka', 'psycopg'):\n"
        "    sys.modules[name] = None\n"
        "from tickrelay_messaging.testing import BrokerContract\n"
        "from tickrelay_messaging.testing.ledger_contract import LedgerContract\n"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
