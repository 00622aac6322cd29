# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that no linter knows. Who may import whom is import-linter's, in pyproject.toml."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOUSE = ("messaging", "consumer", "capture", "operators", "plugins")
SHIPPED = sorted(path for folder in HOUSE for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
EVERYTHING = sorted(
    {*SHIPPED, *TESTS, *(p for f in ("dags", "examples", "bench") for p in (ROOT / f).rglob("*.py"))}
)
MOST_LINES = 400

DRIVERS = {
    "sqlite3": (
        "messaging/tickrelay_messaging/sqlite_file.py",
        "*/brokers/sqlite/*.py",
        "*/ledger/*sqlite*.py",
    ),
    "pika": ("*/brokers/rabbitmq/*.py",),
    "confluent_kafka": ("*/brokers/kafka/*.py",),
    "redis": ("*/brokers/redis/*.py", "*/ledger/redis/*.py", "*/redis_server.py"),
    "psycopg": ("*/ledger/postgres/*.py",),
    "pymysql": ("*/ledger/mariadb/*.py",),
}
NEVER = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"}
"""Reading any of these from a broker or a database would run whatever somebody has put there."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[str]:
    """Top-level packages a module imports, wherever in it; those for type checking alone are none."""
    module = tree(path)
    typing_only = {
        id(node)
        for test in ast.walk(module)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    for node in ast.walk(module):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_is_imported_in_its_own_modules_only(driver):
    """A driver is an extra, and its errors must not leave the broker or ledger module that knows them."""
    strangers = [
        name(path)
        for path in SHIPPED
        if driver in imports(path) and not any(path.match(pattern) for pattern in DRIVERS[driver])
    ]

    assert [] == strangers


def test_nothing_that_runs_code_from_data_is_imported():
    """No pickle and nothing like it, except in tests, which may try whether something survives it."""
    shown = set(EVERYTHING) - set(TESTS)

    assert [] == [name(path) for path in sorted(shown) if NEVER & set(imports(path))]


def test_nothing_is_evaluated():
    """No eval or exec, anywhere."""
    calls = [
        f"{name(path)}:{node.lineno}"
        for path in EVERYTHING
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
    ]

    assert [] == calls


def test_modules_are_small():
    """A module that has outgrown a reader's patience is two modules."""
    sizes = {name(path): len(path.read_text().splitlines()) for path in SHIPPED}

    assert {} == {path: size for path, size in sizes.items() if size > MOST_LINES}


def test_every_file_says_whose_it_is():
    """Two SPDX lines on top of each Python file."""
    lines = {name(path): path.read_text().splitlines()[:2] for path in EVERYTHING}

    assert [] == [
        path
        for path, top in lines.items()
        if not (
            len(top) > 1
            and "SPDX-FileCopyrightText" in top[0]
            and "SPDX-License-Identifier: Apache-2.0" in top[1]
        )
    ]


def test_every_test_states_its_rule():
    """The docstring of a test is the rule it holds up."""
    silent = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path in TESTS
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]

    assert [] == silent


def test_every_shipped_module_says_what_it_is():
    """A module begins with a docstring, except an empty package marker."""
    silent = [name(path) for path in SHIPPED if tree(path).body and ast.get_docstring(tree(path)) is None]

    assert [] == silent


def test_the_commands_do_not_import_airflow():
    """`tickrelay up`, `cron` and `schedule` answer at once: only the keeper and its forks import Airflow."""
    heavy = {"keeper.py", "airflow_fork.py"}
    light = [
        path
        for path in SHIPPED
        if path.relative_to(ROOT).parts[2] in {"commands", "local", "control"}
        and "tickrelay_airflow" in path.parts
    ]

    assert [] == [name(path) for path in light if "airflow" in imports(path) and path.name not in heavy]
