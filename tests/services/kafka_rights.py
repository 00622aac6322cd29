# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The rights that the documentation lists, as a Kafka node takes them: the page is what is tested."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "kafka.md"
_COMMAND = re.compile(r"^kafka-acls\.sh (.+)$", re.MULTILINE)


def documented(role: str, user: str, queue: str = "orders", *, prefixed: bool = False) -> list[AclBinding]:
    """
    The rights of a role on the page.

    Args:
        role: who has them there.
        user: who gets them.
        queue: instead of the page's `orders`.
        prefixed: `queue` is how the names of the queues begin.
    """
    asked = [_parser().parse_args(shlex.split(command)) for command in _COMMAND.findall(PAGE.read_text())]
    mine = [one for one in asked if one.allow_principal == f"User:{role}"]
    assert mine, f"{PAGE.name} gives {role} no rights"
    bindings = []
    for one in mine:
        pattern = one.resource_pattern_type
        name = re.sub(r"^orders\b", queue, one.topic or one.group)
        if prefixed and name.startswith(queue):
            name, pattern = queue, "prefixed"
        kind = ResourceType.TOPIC if one.topic else ResourceType.GROUP
        bindings += [_binding(kind, name, pattern, (user, operation)) for operation in one.operation]
    return bindings


def _binding(kind: ResourceType, name: str, pattern: str, given: tuple[str, str]) -> AclBinding:
    user, operation = given
    return AclBinding(
        kind,
        name,
        ResourcePatternType[pattern.upper()],
        f"User:{user}",
        "*",
        AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
        AclPermissionType.ALLOW,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    for name in ("--bootstrap-server", "--allow-principal", "--topic", "--group"):
        parser.add_argument(name)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--operation", action="append")
    parser.add_argument("--resource-pattern-type", default="literal")
    return parser
