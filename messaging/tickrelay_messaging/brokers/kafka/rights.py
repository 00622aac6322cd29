# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The least rights a user of a Kafka cluster with access control needs, by what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Right:
    """
    One line for `kafka-acls.sh --add`: `--operation <operation> --<resource> <name>`.

    Attributes:
        operation: Kafka's word.
        resource: `topic` (its name is the queue's) or `group` (its name is `<queue>:<group>`; one for several is given
            with `--resource-pattern-type prefixed` on `<queue>:`).
    """

    operation: str
    resource: str


def _rights(*texts: str) -> tuple[Right, ...]:
    return tuple(Right(*text.split()) for text in texts)


RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "publisher": _rights("Describe topic", "Write topic"),
    "consumer": _rights("Describe topic", "Read topic", "Describe group", "Read group"),
    "declarer": _rights(
        "Describe topic",
        "Create topic",
        "Read topic",
        "Describe group",
        "Read group",
        "DescribeConfigs topic",
    ),
    "viewer": _rights("Describe topic", "Read topic", "Describe group"),
    "operator": _rights("Describe topic", "Read topic", "Describe group", "Read group", "Delete group"),
}
"""
A declarer makes queues and groups, an operator purges, replays and forgets. `DescribeConfigs topic` is a courtesy to
everybody: without it a message over the topic's limit is refused by Kafka alone, after others of its batch were stored,
and a compacted topic isn't noticed. A viewer is shown the groups it may describe, and no other.
"""
