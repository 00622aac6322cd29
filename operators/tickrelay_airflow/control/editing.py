# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
One entry of `schedules.yaml` changed in place: not a byte of anything else, so that a diff shows what was meant.

The places come from the YAML parser; what comes out is parsed again and compared before anybody sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import yaml

from tickrelay_messaging.errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_/+-]*")


def edit(text: str, name: str, changes: Mapping[str, str]) -> str | None:
    """
    The file's text with some fields of one entry set; None if it has no entry of that name.

    Raises:
        ConfigurationError: the file can't be read, or is written in a way that has to be edited by hand.
    """
    root = _parsed(text)
    entry = next((one for one in _entries(root) if _text(_fields(one).get("name")) == name), None)
    if entry is None:
        return None
    for start, end, fresh in sorted(_splices(text, entry, changes), reverse=True):
        text = text[:start] + fresh + text[end:]
    _compare(text, root, entry, changes)
    return text


def line_of(text: str, name: str) -> int | None:
    """The line of an entry, from 1; None if there is none of that name."""
    found = (one for one in _entries(_parsed(text)) if _text(_fields(one).get("name")) == name)
    return next((int(one.start_mark.line) + 1 for one in found), None)


def _parsed(text: str) -> yaml.Node:
    try:
        root = yaml.SafeLoader(text).get_single_node()
    except yaml.YAMLError as error:
        raise ConfigurationError(f"no YAML: {' '.join(str(error).split())}") from error
    return root or yaml.MappingNode("tag:yaml.org,2002:map", [])


def _entries(root: yaml.Node) -> Sequence[yaml.MappingNode]:
    listed = _fields(root).get("schedules")
    found = listed.value if isinstance(listed, yaml.SequenceNode) else ()
    return [one for one in found if isinstance(one, yaml.MappingNode)]


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _text(node: yaml.Node | None) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def _splices(
    text: str, entry: yaml.MappingNode, changes: Mapping[str, str]
) -> Iterator[tuple[int, int, str]]:
    """What to put where: (from, to, text)."""
    keys = {str(key.value): key for key, _ in entry.value}
    missing = {field: value for field, value in changes.items() if field not in keys}
    for field in changes.keys() - missing.keys():
        value = _fields(entry)[field]
        if not isinstance(value, yaml.ScalarNode) or value.style in {"|", ">"}:
            raise ConfigurationError(f"line {value.start_mark.line + 1}, {field}: has to be edited by hand")
        yield value.start_mark.index, value.end_mark.index, _scalar(changes[field], value.style)
    if missing:
        yield _inserted(text, entry, keys.get("cron") or keys["name"], missing)


def _inserted(
    text: str, entry: yaml.MappingNode, key: yaml.Node, missing: Mapping[str, str]
) -> tuple[int, int, str]:
    """New fields behind another: on its line within braces, else on lines of their own."""
    at = _fields(entry)[str(key.value)].end_mark.index
    written = [f"{field}: {_scalar(value, None)}" for field, value in missing.items()]
    if entry.flow_style:
        return at, at, "".join(f", {one}" for one in written)
    end = text.find("\n", at)
    line_break = "\r\n" if "\r\n" in text else "\n"
    at = len(text) if end < 0 else end - (line_break == "\r\n")
    margin = line_break + " " * key.start_mark.column
    return at, at, "".join(margin + one for one in written)


def _scalar(value: str, style: str | None) -> str:
    """In the quotes it had; without any only what can't be read as something else."""
    if style is None and _PLAIN.fullmatch(value) and _is_text(value):
        return value
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=False)


def _is_text(value: str) -> bool:
    """Whether YAML takes it for text without quotes too; `yes` is none."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call] # PyYAML's
    return bool(tag == "tag:yaml.org,2002:str")


def _compare(text: str, root: yaml.Node, entry: yaml.MappingNode, changes: Mapping[str, str]) -> None:
    """
    Nothing may be other than before but the fields meant.

    Values are compared as text: another entry may hold a date that doesn't exist, which is no concern of this one.

    Raises:
        ConfigurationError: something is: an alias shares the field, or a line of text runs on.
    """
    index = list(_fields(root)["schedules"].value).index(entry)
    expected = yaml.BaseLoader("").construct_document(root)
    expected["schedules"][index] |= changes
    try:
        now = yaml.BaseLoader(text).get_single_data()
    except yaml.YAMLError:
        now = None
    if now != expected:
        raise ConfigurationError(
            f"line {entry.start_mark.line + 1}: this entry is written in a way that has to be edited by hand"
        )
