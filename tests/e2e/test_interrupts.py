"""However a run is stopped: no process is left, what was finished is kept, the next run goes on."""

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import STEP_SECONDS, Project, poll

SLEEP = f"sleep {STEP_SECONDS}"


@pytest.fixture
def sleeper(project: Project, either_sandbox: str) -> Project:
    """Return a project where `above` sleeps after `quick` is done, with children of all sorts."""
    return put_to_sleep(project, either_sandbox)


def put_to_sleep(project: Project, kind: str) -> Project:
    """Add the components of the fixture above."""
    project.sandbox = kind
    project.add("quick")
    step = f"trap '' TERM INT HUP; (setsid {SLEEP} &); {SLEEP} & echo asleep; wait; wait"
    project.add("above", step, needs=["quick"])
    return project


def asleep(project: Project) -> bool:
    return project.log("above").rstrip().endswith("] asleep")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    "whole_group", [pytest.param(True, marks=pytest.mark.slow, id="group"), False]
)
def test_a_stopped_run_says_so_once_and_leaves_nothing(
    sleeper: Project, number: signal.Signals, whole_group: bool
) -> None:
    with sleeper.started("build_above") as run:
        poll(lambda: asleep(sleeper), "asleep")
        (os.killpg if whole_group else os.kill)(run.process.pid, number)
        text = run.wait(20).check(130, "Stopped: the run was stopped.", "The same command goes on")
        poll(lambda: not sleeper.processes(), "every process gone", 5)
    assert text.count("Stopped:") == 1
    assert "Build failed" not in text
    sleeper.doit("build_quick").check(0, "up to date")


def test_a_second_ctrl_c_does_no_harm(sleeper: Project) -> None:
    with sleeper.started("build_above") as run:
        poll(lambda: asleep(sleeper), "asleep")
        os.kill(run.process.pid, signal.SIGINT)
        os.kill(run.process.pid, signal.SIGINT)
        run.wait(20).check(130)


def test_a_ctrl_c_that_is_held_down_changes_no_exit_code(sleeper: Project) -> None:
    """Also the last one, which comes when Python takes itself down."""
    with sleeper.started("build_above") as run:
        poll(lambda: asleep(sleeper), "asleep")
        for _ in range(20_000):
            if run.process.poll() is not None:
                break
            os.kill(run.process.pid, signal.SIGINT)
            time.sleep(0.001)
        run.wait(20).check(130)
        poll(lambda: not sleeper.processes(), "every process gone", 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_run_that_is_stopped_while_it_plans_ends_quietly(
    project: Project, number: signal.Signals
) -> None:
    project.add("working")
    policy = project.home / "policy.toml"
    policy.unlink()
    os.mkfifo(policy)
    # The block is entered when doit waits for the text of its policy.
    with project.started("build_working") as run, open_for_writing(policy):
        time.sleep(0.2)  # a signal between open and read would be heard only after the read
        os.kill(run.process.pid, number)
        run.wait(20).check(130)
    assert not project.files()


@contextlib.contextmanager
def open_for_writing(fifo: Path) -> Iterator[None]:
    """Hold a pipe open, from the moment that somebody reads it."""
    handles: list[int] = []

    def opened() -> bool:
        with contextlib.suppress(OSError):  # ENXIO: nobody reads yet
            handles.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        return bool(handles)

    poll(opened, "doit reads its policy")
    try:
        yield
    finally:
        os.close(handles[0])


@pytest.mark.parametrize(
    "whole_group", [pytest.param(True, marks=pytest.mark.slow, id="group"), False]
)
def test_kill_9_leaves_no_process_and_loses_nothing(
    project: Project, sandbox: str, whole_group: bool
) -> None:
    sleeper = put_to_sleep(project, sandbox)
    with sleeper.started("build_above") as run:
        poll(lambda: asleep(sleeper), "asleep")
        assert len(sleeper.processes()) >= 3
        (os.killpg if whole_group else os.kill)(run.process.pid, signal.SIGKILL)
        assert run.wait(5).code == -signal.SIGKILL
        poll(lambda: not sleeper.processes(), "every process gone", 5)
    sleeper.components["above"].steps = ("cp -r . {{ out }}",)
    sleeper.write()
    text = sleeper.doit("build_above").check(0)
    assert re.search(r"^quick +up to date$", text, re.MULTILINE)
    sleeper.check_store()


def test_a_sandbox_whose_runner_died_before_it_could_watch_ends_too(sleeper: Project) -> None:
    """The parent-death signal is asked for after the fork; a stopped child shows the gap."""
    with sleeper.started("build_above") as run:
        poll(lambda: asleep(sleeper), "asleep")
        os.kill(run.process.pid, signal.SIGSTOP)
        os.kill(run.process.pid, signal.SIGKILL)
        run.wait(5)
        poll(lambda: not sleeper.processes(), "every process gone", 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_any_moment_the_next_run_gives_the_same(
    project: Project, sandbox: str, seed: int
) -> None:
    """Several kills, then to the end: same bytes as undisturbed, nothing is built twice."""
    names = ["one", "two", "three", "four"]
    project.sandbox = sandbox
    many = "mkdir {{ out }}/many; for i in $(seq 300); do echo $i > {{ out }}/many/$i; done"
    for number, name in enumerate(names):
        project.add(
            name,
            "cc -shared -fPIC -o {{ out }}/lib.so a.c",
            f"sleep 0.2; {many}",
            files={"a.c": f"int f(void) {{ return {number}; }}\n"},
            needs=names[:number][-1:],
        )
    undisturbed = f"store={project.home}/undisturbed"
    project.doit(undisturbed, "build_four").check(0)
    expected = {name: project.record(name)["output"] for name in names}
    for path in (project.home / "build" / "state").rglob("*.json"):
        path.unlink()

    chance = random.Random(seed)
    finished: set[str] = set()
    for _ in range(4):
        with project.started("build_four") as run:
            # The moment is what is tested: anywhere from the start to about the end of a run.
            time.sleep(chance.uniform(0.2, 2.5))
            run.kill_group()
            run.wait()
            poll(lambda: not project.processes(), "every process gone", 5)
        text = run.text
        rebuilt = {line.split()[0] for line in text.splitlines() if "building in" in line}
        assert not rebuilt & finished, text
        records = project.store.glob("records/*.json")
        finished = {name for name in names if any(f'"{name}"' in p.read_text() for p in records)}
        finished |= {line.split()[0] for line in text.splitlines() if " done in " in line}
        assert "Traceback" not in text
    text = project.doit("build_four").check(0)
    rebuilt = {line.split()[0] for line in text.splitlines() if "building in" in line}
    assert not rebuilt & finished
    assert {name: project.record(name)["output"] for name in names} == expected
    objects = {path.name for path in (project.store / "objects").iterdir()}
    assert objects == set(expected.values())
    project.check_store()
