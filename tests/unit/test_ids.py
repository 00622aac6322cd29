# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Ids: the same for the same work, different for different work."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tickrelay_messaging.ids import TaskIdentity, digest_of, stable_id

ME = TaskIdentity("prod", "orders", "scheduled__2026-01-01T00:00:00+00:00", "publish")
parts = st.lists(st.text(max_size=6) | st.integers(-5, 5), max_size=4)


@given(parts, parts)
def test_only_equal_parts_give_equal_ids(left: list[str | int], right: list[str | int]) -> None:
    """Ids are equal exactly when the parts' texts are, however they are cut."""
    assert ([str(part) for part in left] == [str(part) for part in right]) == (
        stable_id(*left) == stable_id(*right)
    )


def test_ids_never_change() -> None:
    """The namespace and the layout are frozen: another id would make every known message a new one."""
    assert 5 == UUID(stable_id("a", 1)).version
    assert STABLE == stable_id("a", 1)
    assert BATCH == ME.batch
    assert MESSAGE == replace(ME).message_id(b"{}")


STABLE = "4cf40699-8ede-5951-be55-2e048d65d378"
BATCH = "c05e1c85-a715-5b80-9c71-382386a43579"
MESSAGE = "d16d0d84-c744-583f-b174-d7275b267931"


def fresh(**changes: object) -> TaskIdentity:
    """The identity as a new try of the task makes it."""
    return TaskIdentity(
        **{  # type: ignore[arg-type]
            "deployment": "prod", "dag_id": "orders", "run_id": "r1", "task_id": "publish", **changes
        }
    )  # fmt: skip


def test_a_retry_gives_the_same_ids_in_any_order() -> None:
    """A retry that reads its rows in another order publishes the same set of ids."""
    bodies = [b"a", b"b", b"a", b"c"]
    first, second = fresh(), fresh()
    assert {first.message_id(body) for body in bodies} == {
        second.message_id(body) for body in reversed(bodies)
    }


def test_equal_payloads_are_different_messages() -> None:
    """The same payload twice in one task is two messages."""
    identity = fresh()
    assert identity.message_id(b"a") != identity.message_id(b"a")


def test_a_named_item_is_one_message() -> None:
    """Giving one name twice gives one id twice, whatever the payload; a name is no digest."""
    identity = fresh()
    assert identity.message_id(b"a", "row-1") == identity.message_id(b"b", "row-1")
    assert identity.message_id(b"a", "row-1") != identity.message_id(b"a", "row-2")
    digest = hashlib.sha256(b"a").hexdigest()
    assert fresh().message_id(b"a") != fresh().message_id(b"a", digest)


def test_everything_that_makes_it_other_work_makes_another_id() -> None:
    """Deployment, DAG, run, task, map index and generation each tell messages and batches apart."""
    changes: list[dict[str, object]] = [
        {}, {"deployment": "x"}, {"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0},
        {"generation": 1},
    ]  # fmt: skip
    assert len(changes) == len({fresh(**change).message_id(b"a", "n") for change in changes})
    assert len(changes) == len({fresh(**change).batch for change in changes})
    assert fresh().batch != fresh().message_id(b"")


def test_the_source_names_the_task() -> None:
    """The CloudEvents source leads back to the task, not to its run."""
    assert "/tickrelay/prod/orders/publish" == ME.source == replace(ME, run_id="other").source


def test_digests_tell_payloads_and_keys_apart() -> None:
    """A digest depends on payload and key, names its key, and shows neither."""
    digests = [digest_of(b"a"), digest_of(b"b"), digest_of(b"a", b"k1", "one"), digest_of(b"a", b"k2", "one")]
    assert 4 == len(set(digests))
    assert digest_of(b"a", b"k1", "one") == digest_of(b"a", b"k1", "one")
    assert ["", "", "one", "one"] == [digest.partition(":")[0] for digest in digests]
    assert [32] * 4 == [len(digest.partition(":")[2]) for digest in digests]
