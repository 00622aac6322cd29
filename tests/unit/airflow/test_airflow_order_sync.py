# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The shipped DAG `order_sync`: which orders a run takes."""

from __future__ import annotations

import runpy
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

SCHEMA = """
CREATE TABLE orders (order_id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, amount_cents INTEGER
NOT NULL,
                     created_at TEXT NOT NULL, run_id TEXT);
CREATE INDEX orders_run ON orders (run_id);
"""


@pytest.fixture
def dag_file():
    """What the DAG file defines."""
    return runpy.run_path(str(Path(__file__).parents[3] / "dags" / "order_sync.py"))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A shop; call it to take more orders."""
    path = tmp_path / "shop.db"
    monkeypatch.setenv("TICKRELAY_SHOP", str(path))

    def order(number: int) -> None:
        with closing(sqlite3.connect(path)) as database, database:
            row = (
                "INSERT INTO orders (customer, amount_cents, created_at) VALUES ('ann', 100, '2026-01-01')",
            )
            for _ in range(number):
                database.execute(*row)

    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
    return order


def ids(orders):
    return [order["order_id"] for order in orders]


def test_an_order_is_in_one_run(shop, dag_file):
    """Two runs never share an order, and none is left out."""
    shop(3)
    first = ids(dag_file["orders_of"]("run-1"))
    shop(2)
    second = ids(dag_file["orders_of"]("run-2"))

    assert ([1, 2, 3], [4, 5]) == (first, second)


def test_a_retry_reads_the_same_and_more(shop, dag_file):
    """What a run has taken stays its own; a retry may add newer ones."""
    shop(2)
    first = ids(dag_file["orders_of"]("run-1"))
    shop(1)

    assert ([1, 2], [1, 2, 3]) == (first, ids(dag_file["orders_of"]("run-1")))


def test_a_run_is_bounded(shop, dag_file):
    """A run takes the oldest thousand; the next run takes the rest."""
    shop(1_001)

    assert (1_000, [1_001]) == (len(ids(dag_file["orders_of"]("run-1"))), ids(dag_file["orders_of"]("run-2")))


def test_no_shop_yet(tmp_path, monkeypatch, dag_file):
    """Without a file, or without its table, there are no orders, and no error."""
    monkeypatch.setenv("TICKRELAY_SHOP", str(tmp_path / "shop.db"))
    nothing = ids(dag_file["orders_of"]("run-1"))
    sqlite3.connect(tmp_path / "shop.db").close()

    assert ([], []) == (nothing, ids(dag_file["orders_of"]("run-1")))


def test_its_shape(dag_file):
    """It ticks every five seconds, one run at a time, retries, and waits for its messages."""
    dag = dag_file["publish"].dag

    assert ("*/5 * * * * ?", 1, False) == (dag.timetable.summary, dag.max_active_runs, dag.catchup)
    assert dag.get_task("publish").retries >= 2
    assert {"publish"} == dag.get_task("settled").upstream_task_ids
