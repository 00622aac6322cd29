# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""From a URL to a broker, and names."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tickrelay_messaging.brokers import _opening, check_name, open_broker, redact
from tickrelay_messaging.brokers.base import QueueSpec
from tickrelay_messaging.brokers.memory import MemoryBroker
from tickrelay_messaging.errors import ConfigurationError


def test_sqlite_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes are relative to the working directory, four absolute; escapes are read."""
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///one.db", f"sqlite:///{tmp_path}/sub/two%20words.db"):
        open_broker(url).close()
    assert (tmp_path / "one.db").is_file()
    assert (tmp_path / "sub" / "two words.db").is_file()


def test_memory_names() -> None:
    """A name is shared within the process, none is private."""
    with (
        open_broker("memory:named") as one,
        open_broker("memory:named") as two,
        open_broker("memory:") as private,
    ):
        one.declare(QueueSpec("q"))
        assert [1, 0] == [len(broker.queues()) for broker in (two, private)]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no scheme"),
        ("queues.db", "no scheme"),
        ("/var/queues.db", "no scheme"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:relative.db", "names no file"),
        ("sqlite://host/q.db", "names no file"),
        ("sqlite:///q.db?timeout=3", "options nobody reads: .'timeout'"),
        ("memory://host", "write memory:"),
        ("memory:a/b", "write memory:"),
        ("zeromq://host", "nobody offers.*sqlite"),
        ("sqlite://[::1/q", "can't be read"),
        ("amqp://h:port/", "can't be read"),
    ],
)
def test_bad_urls_say_what_to_do(url: str, words: str) -> None:
    """A URL that names no broker is the configuration's fault."""
    with pytest.raises(ConfigurationError, match=words):
        open_broker(url)


def test_a_broker_not_built_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that's ours but missing in this version says so."""
    monkeypatch.setitem(_opening._OURS, "amqp", "tickrelay_messaging.brokers.not_yet:Broker")
    with pytest.raises(ConfigurationError, match="this version of Tickrelay has no broker for amqp:"):
        open_broker("amqp://user:secret@host/")


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver isn't installed, the command that installs it is given."""

    def load(self: metadata.EntryPoint) -> object:
        raise ModuleNotFoundError("No module named 'redis'", name="redis")

    monkeypatch.setattr(metadata.EntryPoint, "load", load)
    with pytest.raises(ConfigurationError, match=r"pip install 'tickrelay-messaging\[redis\]'"):
        open_broker("redis://localhost")


def test_third_parties_join_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that isn't ours is looked up among the entry points, and ours can't be taken over."""

    class Theirs(MemoryBroker):
        @classmethod
        def from_url(cls, url: str) -> Theirs:
            return cls()

    monkeypatch.setattr(sys.modules[__name__], "Theirs", Theirs, raising=False)
    offered = metadata.EntryPoints(
        metadata.EntryPoint(scheme, f"{__name__}:Theirs", _opening.GROUP) for scheme in ("theirs", "memory")
    )
    monkeypatch.setattr(_opening, "entry_points", lambda group: offered)
    assert isinstance(open_broker("theirs://x"), Theirs)
    assert type(open_broker("memory:")) is MemoryBroker


@pytest.mark.parametrize(
    ("expected", "url"),
    [
        ("amqp://user:***@host/v", "amqp://user:secret@host/v"),
        ("amqp://user:***@host/v", "amqp://user:sec@ret@host/v"),
        ("redis://:***@host", "redis://:secret@host"),
        ("redis://host:99999999", "redis://host:99999999"),
        ("kafka://h/?sasl_password=***&a=b", "kafka://h/?sasl_password=secret&a=b"),
        ("amqp://user:***@[bad", "amqp://user:secret@[bad"),
        ("sqlite:///a@b:c.db", "sqlite:///a@b:c.db"),
    ],
)
def test_passwords_are_not_shown(expected: str, url: str) -> None:
    """`redact` hides every password, in malformed URLs too."""
    assert expected == redact(url)


@pytest.mark.parametrize(
    "url", ["zmq://user:secret@host", "amqp://user:secret@h:port/", "memory://u:secret@h"]
)
def test_no_password_in_an_error(url: str) -> None:
    """No error about a URL, nor anything that caused it, shows the password."""
    with pytest.raises(ConfigurationError) as caught:
        open_broker(url)
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 200, "...", "-"])
def test_good_names(name: str) -> None:
    """The rule's letters are allowed, up to 200."""
    assert name == check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 201, "a b", "ö", "a/b", "a\n", "a~r1", None, 7])
def test_bad_names(name: str) -> None:
    """Anything else is refused, with the rule in the text."""
    with pytest.raises(ConfigurationError, match=r"group name .* letters"):
        check_name(name, "group")


def test_no_driver_is_imported_before_its_broker() -> None:
    """Importing the seam loads neither a driver nor pytest."""
    code = (
        "import sys, tickrelay_messaging.brokers;"
        "print(sorted({'sqlite3', 'pika', 'confluent_kafka', 'redis', 'pytest'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert "[]" == done.stdout.strip()
