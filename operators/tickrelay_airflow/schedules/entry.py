# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""The entries of `schedules.yaml`: read, checked, and every mistake with its file, line and field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from tickrelay_airflow.connection.settings import DEFAULT_CONN_ID
from tickrelay_airflow.cron import CronError
from tickrelay_airflow.publishing.policies import Misfire, Overlap, Policies
from tickrelay_airflow.timetable import CronSchedule
from tickrelay_messaging import strict_json
from tickrelay_messaging.message import DEFAULT_TYPE

_NAME = r"^[A-Za-z0-9_.-]{1,200}$"
_QUEUE = r"^[A-Za-z0-9_.-]{1,200}$"
# Fields that errors about schedules name by themselves; whatever else they name is a part of `cron`.
_CRON_FIELDS = frozenset(
    {"timezone", "gap", "overlap", "window", "lead", "jitter", "start", "end", "misfire_threshold"}
)


@dataclass(frozen=True, slots=True)
class Problem:
    """
    What is wrong with an entry or a whole file.

    Attributes:
        dag_id: of the DAG that shows it.
        details: one each: line (counted from 1), field, and what is wrong with it.
    """

    dag_id: str
    file: str
    details: tuple[tuple[int, str, str], ...]

    @property
    def summary(self) -> str:
        """All of it on one line."""
        return "; ".join(f"{self.file}, line {line}, {field}: {text}" for line, field, text in self.details)

    @property
    def markdown(self) -> str:
        """A list item each, without the list's first dash."""
        return "\n- ".join(
            f"`{self.file}`, line {line}, `{field}`: {text}" for line, field, text in self.details
        )


Length = str | int | float
"""Seconds, or text such as `90s` or `5m`."""


class Entry(BaseModel):
    """
    One schedule.

    Attributes:
        name: the DAG's id.
        cron: 5 fields, or 6 with the second first; see `CronSchedule`.
        data: the payload; its texts are templates (`{{ run_id }}`).
        id: the field of `data` that names the message within its run.
        key: the field of `data` that holds the message's key.
        expires_after: seconds after publishing, or with `window` after the tick, from which the message is of no use.
        window: with it the ticks of so long a time are published at once, each delivered at its instant; texts of
            `data` and `headers` may then say `tick` and `tick_local`.
        lead: how long before their window.
        jitter: the most by which a tick is delayed.
        start: no tick before this instant.
        end: no tick at or after this one.
        misfire: what becomes of ticks later than `misfire_threshold`.
        overlap_runs: what becomes of a run while an earlier one is at work; `overlap` is about clocks set back.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=_NAME)]
    cron: str
    timezone: str = "UTC"
    gap: Literal["skip", "shift"] = "skip"
    overlap: Literal["first", "both"] = "first"
    window: Length | None = None
    lead: Length = 0
    jitter: Length = 0
    start: datetime | str | None = None
    end: datetime | str | None = None
    misfire: Misfire = "all"
    misfire_threshold: Length = 60
    overlap_runs: Overlap = "all"
    queue: Annotated[str, Field(pattern=_QUEUE)]
    data: Any = None
    id: str | None = None
    key: str | None = None
    headers: dict[str, str] = {}
    type: str = DEFAULT_TYPE
    expires_after: Annotated[float, Field(gt=0, strict=False)] | None = None
    conn_id: str = DEFAULT_CONN_ID
    description: str = ""
    owner: str = "airflow"
    tags: list[str] = []
    catchup: bool = False
    max_active_runs: Annotated[int, Field(ge=1)] = 1
    retries: Annotated[int, Field(ge=0)] = 3
    _file: str = PrivateAttr("")
    _line: int = PrivateAttr(0)

    @field_validator("data")
    @classmethod
    def _is_json(cls, data: Any) -> Any:
        # A YAML date or binary is no JSON: better said now than by the task at night.
        strict_json.dumps(data)
        return data

    @field_validator("cron")
    @classmethod
    def _not_empty(cls, cron: str) -> str:
        if not cron.strip():
            raise ValueError("is empty")
        return cron

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self._file}, line {self._line}"

    def locate(self, file: str, line: int) -> None:
        """Remember where it is written."""
        self._file, self._line = file, line

    def timetable(self) -> CronSchedule:
        """
        Its timetable.

        Raises:
            CronError: expression or zone can't be used.
        """
        return CronSchedule(
            self.cron,
            timezone=self.timezone,
            gap=self.gap,
            overlap=self.overlap,
            seed=self.name,
            window=self.window,
            lead=self.lead,
            jitter=self.jitter,
            start=self.start,
            end=self.end,
        )

    def contradiction(self) -> tuple[str, str] | None:
        """
        A field that can't be kept beside another, and why.

        Raises:
            CronError: `misfire_threshold` is no duration.
        """
        Policies.of(self.misfire, self.misfire_threshold, self.overlap_runs)
        if self.overlap_runs == "all":
            return None
        if self.window is not None:
            return (
                "overlap_runs",
                "goes by runs, and with `window` a run isn't one tick: let the consumer see to it",
            )
        if self.overlap_runs == "queue" and self.max_active_runs != 1:
            return "max_active_runs", "must be 1 with `overlap_runs: queue`"
        return None

    def problem(self, text: str) -> Problem:
        """Something wrong with the entry as a whole."""
        return Problem(self.name, self._file, ((self._line, "entry", text),))


def read_entries(path: Path) -> list[Entry | Problem]:
    """The entries of a file, in its order; never raises."""
    try:
        text = path.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except FileNotFoundError:
        return []
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return [Problem(path.name, path.name, ((line, "file", f"no YAML: {error.problem or error}"),))]
    except (OSError, ValueError, yaml.YAMLError) as error:
        return [Problem(path.name, path.name, ((1, "file", f"can't be read: {error}"),))]
    return _Reader(path, loader).read(root)


class _Reader:
    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self._file = path.name
        self._stem = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem)
        self._loader = loader
        self._names: set[str] = set()

    def read(self, root: yaml.Node | None) -> list[Entry | Problem]:
        if root is None:
            return []
        top = _children(root)
        entries = top.get("schedules")
        if not isinstance(root, yaml.MappingNode) or set(top) - {"schedules"} or entries is None:
            return [self._whole_file(root, "must hold one list: `schedules:`")]
        if isinstance(entries, yaml.ScalarNode) and entries.tag == "tag:yaml.org,2002:null":
            return []
        if not isinstance(entries, yaml.SequenceNode):
            return [
                self._whole_file(
                    entries, "`schedules` must be a list of entries, each beginning with `- name:`"
                )
            ]
        return [self._entry(node) for node in entries.value]

    def _whole_file(self, node: yaml.Node, text: str) -> Problem:
        return Problem(self._file, self._file, ((_line(node), "file", text),))

    def _entry(self, node: yaml.Node) -> Entry | Problem:
        try:
            return self._checked(node)
        except ValidationError as error:
            details = [_detail(node, one["loc"], one["msg"]) for one in error.errors()]
        except CronError as error:
            word, _, text = str(error).partition(": ")
            field, told = (word, text) if word in _CRON_FIELDS else ("cron", text or str(error))
            details = [_detail(node, (field,), told)]
        except _FieldError as error:
            details = [(error.line, error.field, str(error))]
        except Exception as error:  # noqa: BLE001 - never raises: see the module
            details = [(_line(node), "entry", f"{type(error).__name__}: {error}")]
        return Problem(self._name_for(node), self._file, tuple(details))

    def _checked(self, node: yaml.Node) -> Entry:
        if not isinstance(node, yaml.MappingNode):
            raise _FieldError(_line(node), "entry", "must be fields: `name`, `cron`, `queue`, `data`...")
        for repeated in _repeated(node):
            raise _FieldError(_line(repeated), repeated.value, "is there twice")
        entry = Entry.model_validate(self._loader.construct_object(node, deep=True))
        entry.locate(self._file, _line(node))
        entry.timetable()
        if found := entry.contradiction():
            field, text = found
            raise _FieldError(_line(_children(node).get(field, node)), field, text)
        if entry.name in self._names:
            raise _FieldError(
                _line(_children(node)["name"]), "name", f"{entry.name!r} is taken by an entry above"
            )
        self._names.add(entry.name)
        return entry

    def _name_for(self, node: yaml.Node) -> str:
        """The entry's own name if it can be a DAG's, so that its runs stay where they were; else file and line."""
        name = _children(node).get("name")
        text = str(name.value) if isinstance(name, yaml.ScalarNode) else ""
        if re.fullmatch(_NAME, text) and text not in self._names:
            self._names.add(text)
            return text
        return f"{self._stem}__line_{_line(node)}"


class _FieldError(Exception):
    def __init__(self, line: int, field: str, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.field = field


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _children(node: yaml.Node) -> dict[str, yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return {str(index): value for index, value in enumerate(node.value)}
    return {}


def _repeated(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Keys that are there twice in one mapping, near or deep: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                yield key
            seen.add(str(key.value))
    for child in _children(node).values():
        yield from _repeated(child)


def _detail(node: yaml.Node, path: Sequence[int | str], text: str) -> tuple[int, str, str]:
    """The line of the field at `path`, or of the nearest thing around it; what lies deeper is no field."""
    depth = 0
    for name in path:
        child = _children(node).get(str(name))
        if child is None:
            break
        node, depth = child, depth + 1
    return (
        _line(node),
        ".".join(map(str, path[: max(1, depth)])) or "entry",
        text.removeprefix("Value error, "),
    )
