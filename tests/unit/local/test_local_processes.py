# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Finding and ending process trees by session, and being the only one in a home."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tickrelay_airflow.local.home import Home
from tickrelay_airflow.local.ports import is_free, web_port
from tickrelay_airflow.local.processes import Identity, end, kill, load, save
from tickrelay_messaging.errors import ConfigurationError

FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
os.write(1, bytes([10]))
time.sleep(60)
"""


@pytest.fixture
def family():
    """A session leader and its child in a group of its own, as Airflow's tasks are; both deaf to SIGTERM."""
    leader = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True)
    assert [b"\n"] * 2 == [leader.stdout.readline() for _ in range(2)]
    identity = Identity.of("family", leader.pid)
    yield leader, identity
    kill(identity)
    leader.communicate(timeout=10)


def test_a_session_has_its_members_in_whatever_group(family):
    """The child has left its parent's group, not its session."""
    leader, identity = family

    members = identity.members()

    assert 2 == len(members)
    assert leader.pid in {member.pid for member in members}


def test_members_are_found_after_their_leader_has_died(family):
    """An orphan is still known by its session."""
    leader, identity = family
    leader.kill()
    leader.wait()

    assert 1 == len(identity.members())


def test_the_deaf_are_killed_when_the_grace_is_over(family):
    """`end` is bounded, and leaves nobody."""
    _, identity = family
    begun = time.monotonic()

    assert ["family"] == end([identity], grace=0.3)

    assert [] == identity.members()
    assert time.monotonic() - begun < 5


def test_a_stranger_with_the_same_number_is_left_alone(family):
    """A number that was given to another process since is nobody of ours."""
    _, identity = family
    earlier = replace(identity, created=identity.created - 3600)

    assert [] == earlier.members()


def test_what_is_saved_is_loaded_and_rubbish_is_nobody(tmp_path):
    """A record that can't be read, for whatever reason, names no process: nothing is killed by mistake."""
    path = tmp_path / "processes.json"
    identities = [Identity("a", 1, 2.5), Identity("b", 3, 4.0)]
    save(path, identities)

    assert identities == load(path)
    for rubbish in ("", "{", '{"a": 1}', '[{"pid": 1}]', "[1]"):
        path.write_text(rubbish)
        assert [] == load(path)
    assert [] == load(tmp_path / "missing.json")


def test_a_home_has_one_holder(tmp_path):
    """The second is refused with the first one's pid; when the first has ended, the home is free."""
    home = Home(tmp_path)
    with home.hold(), pytest.raises(ConfigurationError, match=rf"in use .*pid {os.getpid()}"), home.hold():
        pass
    with home.hold():
        pass


def test_secrets_are_made_once_and_private(tmp_path):
    """What they have encrypted must stay readable at the next start, by their owner only."""
    home = Home(tmp_path)

    first = home.secrets()

    assert first == home.secrets()
    assert 0o600 == (tmp_path / "secrets.json").stat().st_mode & 0o777
    assert 3 == len(set(first.values()))


def test_a_port_that_is_taken_is_refused_by_name(free_port):
    """A port the user has asked for is used or refused, never silently another one."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()

        assert not is_free(free_port)
        with pytest.raises(ConfigurationError, match=str(free_port)):
            web_port(free_port)
