# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Handlers in child processes: what comes back, what a death means, and what is refused."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from runner_lab import RunnerLab, until

from tickrelay_consumer import Consumer, Context, Message
from tickrelay_consumer.commands._target import load_consumer
from tickrelay_consumer.engine.runners import origin
from tickrelay_consumer.engine.runners.processes import Processes
from tickrelay_messaging.errors import ConfigurationError
from tickrelay_messaging.failpoints import VARIABLE
from tickrelay_messaging.ledger.records import Verdict

CHILDREN = Path(__file__).with_name("runner_children.py")


@pytest.fixture(scope="module")
def consumer() -> Consumer:
    return load_consumer(str(CHILDREN))


@pytest.fixture(scope="module")
def lab(consumer: Consumer) -> Iterator[RunnerLab]:
    """For tests that leave it whole."""
    with RunnerLab(consumer.handlers, workers=2) as lab:
        yield lab


@contextmanager
def standing_still(runner: Processes) -> Iterator[None]:
    """Its thread looks at nothing meanwhile, so that afterwards it sees all at once."""
    stands, go_on = threading.Event(), threading.Event()
    runner._post(lambda: bool(stands.set()) or go_on.wait(30))
    assert stands.wait(30)
    yield
    go_on.set()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("asked", "verdict", "kind", "delay"),
    [
        ("nothing", Verdict.DONE, None, 0),
        ("raise", Verdict.RETRY, "ValueError", 0.5),
        ("later", Verdict.RETRY, "RetryLater", 33),
        ("dead", Verdict.DEAD, "DeadLetter", 0),
        ("leave", Verdict.RETRY, "SystemExit", 0.5),
    ],
)
def test_what_a_handler_says_crosses_over(
    lab: RunnerLab, asked: str, verdict: Verdict, kind: str | None, delay: float
) -> None:
    """Done, an exception with its text and stack, and both wishes mean in a child what they mean in a thread."""
    (id_,) = lab.put("take", {"do": asked})
    result = lab.result(id_)
    assert (verdict, delay, False) == (result.verdict, result.delay, result.ambiguous)
    assert kind == (result.failure.kind if result.failure else None)
    assert kind is None or (result.failure and "in take" in result.failure.stack)


def test_the_context_is_the_same(lab: RunnerLab, tmp_path: Path) -> None:
    """Idempotency key, fence, attempt and route, in another process than ours."""
    (id_,) = lab.put("take", {"do": "nothing", "file": str(tmp_path / "f")}, attempt=2)
    lab.result(id_)
    pid, *rest = (tmp_path / "f").read_text().split()
    assert ["00" * 16, "7", "2", "take"] == rest
    assert os.getpid() != int(pid)


def test_a_deadline_is_hard(lab: RunnerLab, tmp_path: Path) -> None:
    """Past its timeout the child is dead before its message is given back, which says that it is ambiguous."""
    (id_,) = lab.put("hurry", {"do": "wait", "seconds": 5, "file": str(tmp_path / "f")})
    result = lab.result(id_)
    pid = int((tmp_path / "f").read_text().split()[0])
    assert not is_there(pid)
    assert (Verdict.RETRY, True) == (result.verdict, result.ambiguous)
    assert result.failure
    assert "HandlerTimeout" == result.failure.kind
    assert lab.shared.stuck == 0
    (again,) = lab.put("hurry", {"do": "nothing"})
    assert Verdict.DONE is lab.result(again).verdict


@pytest.mark.parametrize(("asked", "end"), [("segfault", "SIGSEGV"), ("exit", "exit code 3")])
def test_a_death_names_its_message(lab: RunnerLab, asked: str, end: str) -> None:
    """Only the message it died of is a crash; those behind it are carried out, by a child in its place."""
    bad, *good = lab.put("take", {"do": asked}, *[{"do": "nothing"}] * 20)
    result = lab.result(bad)
    assert Verdict.CRASHED is result.verdict
    assert result.failure
    assert end in result.failure.text
    assert {Verdict.DONE} == {lab.result(id_).verdict for id_ in good}


def test_a_batch_crosses_over(lab: RunnerLab) -> None:
    """Many in one call, and one of them failed by name."""
    ids = lab.put("many", {"do": "nothing"}, {"do": "fail"}, {"do": "nothing"})
    results = [lab.result(id_) for id_ in ids]
    assert [Verdict.DONE, Verdict.RETRY, Verdict.DONE] == [one.verdict for one in results]
    assert results[1].failure
    assert "KeyError" == results[1].failure.kind


def test_a_death_over_a_batch_blames_nobody_yet(lab: RunnerLab) -> None:
    """All of it is tried again, ambiguous; a message that was tried before goes alone, and is then named."""
    ids = lab.put("many", {"do": "nothing"}, {"do": "segfault"}, {"do": "nothing"})
    results = [lab.result(id_) for id_ in ids]
    assert {(Verdict.RETRY, True)} == {(one.verdict, one.ambiguous) for one in results}
    (alone,) = lab.put("many", {"do": "segfault"}, attempt=2)
    assert Verdict.CRASHED is lab.result(alone).verdict


def test_the_nursery_is_replaced(consumer: Consumer, tmp_path: Path) -> None:
    """If the process that children come from dies, they die, no message is to blame, and others take their place."""
    with RunnerLab(consumer.handlers, workers=1) as lab:
        (id_,) = lab.put("take", {"do": "wait", "seconds": 60, "file": str(tmp_path / "f")})
        until(lambda: (tmp_path / "f").exists() and (tmp_path / "f").read_text(), "it runs")
        (runner,) = lab.dispatcher._all
        assert isinstance(runner, Processes)
        pid = int((tmp_path / "f").read_text().split()[0])
        runner._nursery._process.kill()
        result = lab.result(id_)
        assert (Verdict.RETRY, True, 0) == (result.verdict, result.ambiguous, result.delay)
        until(lambda: not is_there(pid), "its child is gone")
        (again,) = lab.put("take", {"do": "nothing"})
        assert Verdict.DONE is lab.result(again).verdict


def test_the_nursery_and_its_child_are_seen_dead_at_once(consumer: Consumer, tmp_path: Path) -> None:
    """Nobody is asked to kill a child whose nursery has died: it is given up, and others take the place of both."""
    with RunnerLab(consumer.handlers, workers=1) as lab:
        (id_,) = lab.put("take", {"do": "wait", "seconds": 60, "file": str(tmp_path / "f")})
        until(lambda: (tmp_path / "f").exists() and (tmp_path / "f").read_text(), "it runs")
        (runner,) = (one for one in lab.dispatcher._all if isinstance(one, Processes))
        with standing_still(runner):
            runner._nursery._process.kill()
            until(lambda: not is_there(int((tmp_path / "f").read_text().split()[0])), "its child is gone")
        assert Verdict.RETRY is lab.result(id_).verdict
        (again,) = lab.put("take", {"do": "nothing"})
        assert Verdict.DONE is lab.result(again).verdict


def test_stopping_lets_what_runs_end(consumer: Consumer, tmp_path: Path) -> None:
    """Within the grace the running one ends, the others are released; and no process is left."""
    with RunnerLab(consumer.handlers, workers=1) as lab:
        data = [{"do": "wait", "seconds": 0.5, "file": str(tmp_path / f"{n}")} for n in range(3)]
        first, *others = lab.put("take", *data)
        until((tmp_path / "0").exists, "the first runs")
        lab.stop(20.0)
        assert Verdict.DONE is lab.result(first, 1).verdict
        assert {Verdict.RELEASE} == {lab.result(id_, 1).verdict for id_ in others}
        assert "through" == (tmp_path / "0").read_text()


def test_after_the_grace_it_is_killed(consumer: Consumer, tmp_path: Path) -> None:
    """What still runs then is given back as ambiguous, however many attempts it had, and its process is gone."""
    with RunnerLab(consumer.handlers, workers=1) as lab:
        data = {"do": "wait", "seconds": 15, "file": str(tmp_path / "f")}
        (id_,) = lab.put("take", data, attempt=99)
        until(lambda: (tmp_path / "f").exists() and (tmp_path / "f").read_text(), "it runs")
        pid = int((tmp_path / "f").read_text().split()[0])
        lab.stop(0.2)
        result = lab.result(id_, 1)
        assert (Verdict.RETRY, True) == (result.verdict, result.ambiguous)
        assert not is_there(pid)


def test_failpoints_strike_in_children(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Armed by the environment they are armed in children too."""
    monkeypatch.setenv(VARIABLE, "consumer.after_effect=kill@2")
    with RunnerLab(consumer.handlers, workers=1) as lab:
        ids = lab.put("take", {"do": "nothing"}, {"do": "nothing"})
        assert [Verdict.DONE, Verdict.CRASHED] == [lab.result(id_).verdict for id_ in ids]


BROKEN = "from tickrelay_consumer import Consumer\nimport os\n"
MAKE = """
consumer = Consumer()
@consumer.handler("orders", mode="process")
def take(message, ctx):
    pass
"""


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("if os.getpid() != {pid}: import nothing_like_that", "nothing_like_that"),
        ("if os.getpid() != {pid}: os._exit(4)", "exit code 4"),
        ("if os.getpid() != {pid}: Consumer().run()", "if __name__ == '__main__'"),
    ],
)
def test_handlers_that_cant_be_imported_end_the_consumer(tmp_path: Path, trouble: str, said: str) -> None:
    """It gives up once, and says why; it doesn't start children for ever."""
    file = tmp_path / f"broken_{abs(hash(trouble))}.py"
    file.write_text(BROKEN + trouble.format(pid=os.getpid()) + MAKE)
    with RunnerLab(load_consumer(str(file)).handlers, workers=2) as lab:
        until(lambda: lab.shared.gave_up, "it gave up")
        assert said in lab.shared.gave_up


def test_a_module_that_starts_threads_is_imported_by_each_child(tmp_path: Path) -> None:
    """A fork would share its threads and open files, so no child is forked from a process that has them."""
    file = tmp_path / "threads_at_import.py"
    thread = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    body = MAKE.replace("pass", f"open({str(tmp_path / 'seen')!r}, 'w').write(str(threading.active_count()))")
    file.write_text(BROKEN + thread + body)
    with RunnerLab(load_consumer(str(file)).handlers, workers=1) as lab:
        (id_,) = lab.put("take", 1)
        assert Verdict.DONE is lab.result(id_).verdict
        assert "2" == (tmp_path / "seen").read_text()


def test_a_consumer_that_no_child_can_find_is_refused() -> None:
    """It says so when it starts, and what to write."""
    hidden = Consumer()

    @hidden.handler("orders", mode="process")
    def take(message: Message, ctx: Context) -> None: ...

    with pytest.raises(ConfigurationError, match="let a global variable of an importable module hold it"):
        origin.target_of(hidden.handlers)


def test_a_child_is_replaced_quickly(lab: RunnerLab, capsys: pytest.CaptureFixture[str]) -> None:
    """The message behind one that kills its child waits about as long as a fork takes (goal: 1 s), which is printed."""
    lab.result(lab.put("take", {"do": "nothing"})[0])
    began = time.monotonic()
    ids = lab.put("take", {"do": "segfault"}, {"do": "segfault"}, {"do": "nothing"})
    assert Verdict.DONE is lab.result(ids[-1]).verdict
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\n  two children died and a third carried on: {took * 1000:.0f} ms")  # noqa: T201 - the figure
    assert took < 20


def test_a_death_and_the_end_of_its_line_in_one_round(consumer: Consumer) -> None:
    """A line that the nursery's word has closed is not read again, though the same look found it readable."""
    with RunnerLab(consumer.handlers, workers=2) as lab:
        (runner,) = (one for one in lab.dispatcher._all if isinstance(one, Processes))
        until(lambda: len(runner._children) == 2, "both children")
        first, second = runner._children
        with standing_still(runner):
            # In this order the first one's death makes the nursery speak before the second line ends.
            for pid in (first, second):
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: not is_there(pid), "reaped by the nursery")
        until(lambda: runner._children and {first, second}.isdisjoint(runner._children), "another child")
        (id_,) = lab.put("take", {"do": "nothing"})
        assert Verdict.DONE is lab.result(id_).verdict
        assert not lab.shared.gave_up


def test_a_consumer_that_dies_takes_its_children_along(tmp_path: Path) -> None:
    """SIGKILL for the process whose thread began the nursery: nursery and children are gone at once."""
    pid = os.spawnv(
        os.P_NOWAIT,
        sys.executable,
        [sys.executable, str(Path(__file__).with_name("runner_parent.py")), str(tmp_path / "f")],
    )
    try:
        until(lambda: (tmp_path / "f").exists() and (tmp_path / "f").read_text(), "its child works")
        child = int((tmp_path / "f").read_text().split()[0])
        assert is_there(child)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    until(lambda: not is_there(child), "its child is gone")
