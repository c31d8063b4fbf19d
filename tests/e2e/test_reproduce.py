"""`doit reproduce`: what depends on circumstances is caught and explained, the rest passes."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import STEP_SECONDS, Done, Project, poll

# How builds leak what the sandbox cannot hide: a step, and what is said of it.
_MAIN = "#include <stdio.h>\\nint main(void) { puts(__DATE__ __TIME__); }"
LEAKS = {
    "folder": (
        "grep ' /strixforge/src ' /proc/self/mountinfo | cut -d' ' -f4 > {{ out }}/f",
        "the folder: build/work/tiny -> build/reproduce/tiny/again/project/build/work/tiny",
    ),
    "clock": (
        f"sleep 1; printf '{_MAIN}' > m.c; env -u SOURCE_DATE_EPOCH cc -o {{{{ out }}}}/f m.c",
        "the clock",
    ),
    "jobs": ('echo "made by $MAX_JOBS jobs" > {{ out }}/f', "the number of cores or jobs: 2 -> 1"),
    "cores": ('echo "{cores: $(nproc)}" > {{ out }}/f', "the number of cores or jobs: 2 -> 1"),
    "random": (
        "cat /proc/sys/kernel/random/uuid > {{ out }}/f",
        "an identifier that is made anew each time",
    ),
}
_ENVIRONMENT = "env | sort | grep -v -e MAX_JOBS -e PARALLEL"
HIDDEN = f"""{{
    date +%Z; date -d @0; locale; umask; hostname; uname -n; {_ENVIRONMENT}
    id; whoami; echo ~; cat /proc/self/uid_map /etc/passwd /etc/hosts; pwd
    printf 'const char *f = __FILE__, *d = __DATE__ __TIME__;' > f.c; cc -g -c f.c; cat f.o
    touch new; stat -c '%a %U %G' new
    }} > {{{{ out }}}}/f"""
"""What the sandbox hides, so that no build can write it down."""


def reproduce(project: Project, *words: str, env: Mapping[str, str] | None = None) -> Done:
    return project.doit(*words, "reproduce", env=env)


@pytest.fixture
def locked(project: Project, index: dict[str, str]) -> Callable[..., Done]:
    """Lock what the wheelhouse takes from the index, and build everything again."""

    def run() -> Done:
        project.doit("lock", env=index).check(0)
        return reproduce(project, env=index)

    return run


def report(project: Project) -> dict[str, Any]:
    text = (project.home / "build" / "reproduce" / "tiny.json").read_text()
    return dict(json.loads(text))


def excepted(project: Project, component: str, files: str, expires: str) -> None:
    policy = project.home / "policy.toml"
    entry = f'component = "{component}"\nfiles = ["{files}"]\nreason = "a known fault"\n'
    policy.write_text(f'{policy.read_text()}\n[[unreproducible]]\n{entry}expires = "{expires}"\n')


def test_what_depends_on_nothing_passes_and_all_that_the_sandbox_hides_did_vary(
    project: Project,
) -> None:
    project.add("quiet", HIDDEN)
    text = reproduce(project, "only=quiet").check(0, "builds again: quiet")
    assert re.search(r"^quiet +identical", text, re.MULTILINE)
    found = report(project)
    assert found["reproducible"]
    assert [one["verdict"] for one in found["components"]] == ["identical"]
    varied = {one["name"] for one in found["circumstances"] if one["varied"]}
    assert varied >= {"folder", "user", "host name", "umask", "locale", "time zone", "home"}
    assert not (project.home / "build" / "reproduce" / "tiny" / "again").exists()
    built = project.output("quiet") / "f"
    assert b"strixforge" in built.read_bytes()
    assert "elsewhere" not in built.read_bytes().decode(errors="replace")


@pytest.mark.parametrize("kind", LEAKS)
def test_what_leaks_into_an_output_is_caught_and_explained(project: Project, kind: str) -> None:
    if kind in ("jobs", "cores") and len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one core there is no other number of them")
    step, said = LEAKS[kind]
    project.add("leaky", step)
    project.add("sound")
    text = reproduce(project, "only=leaky").check(
        26, "Not reproducible: leaky came out differently", f"looks like {said}"
    )
    found = report(project)
    assert not found["reproducible"]
    (component,) = found["components"]
    assert component["verdict"] == "differs"
    assert [one["path"] for one in component["differences"]] == ["f"]
    first, second = re.findall(r"^ +(/\S+/tree)$", text, re.MULTILINE)
    assert Path(first) == project.output("leaky")
    assert (Path(first) / "f").read_bytes() != (Path(second) / "f").read_bytes()
    kept = project.home / "build" / "reproduce" / "tiny" / "again"
    assert [path.name for path in kept.iterdir()] == ["store"]
    assert [path.name for path in kept.glob("store/objects/*")] == [component["second"]]


def test_a_whole_stack_is_compared_with_its_wheelhouse(
    project: Project, locked: Callable[..., Done]
) -> None:
    project.add("base")
    project.add("above", "cp {{ base.prefix }}/hello.txt {{ out }}", needs=["base"])
    text = locked().check(0, "wheelhouse           identical")
    assert "builds again: base, above" in text
    assert report(project)["wheelhouse"] == []


def test_what_was_built_with_a_different_need_says_so_and_the_wheelhouse_follows(
    project: Project, locked: Callable[..., Done]
) -> None:
    project.add("base", LEAKS["random"][0])
    project.add("above", "cp {{ base.prefix }}/f {{ out }}", needs=["base"])
    text = locked().check(26, "base, above came out differently")
    assert "built with another base: look there first" in text
    assert "all because of the components above" in text
    found = report(project)
    assert [one["differs_after"] for one in found["components"]] == [[], ["base"]]
    assert found["wheelhouse"] == []
    assert "manifest.json" not in found["follows"]


def test_members_of_archives_are_looked_into(project: Project) -> None:
    project.add(
        "packed",
        "echo one > a; echo two > b; sleep 1",
        "tar -cf {{ out }}/t.tar a b",
        "cat /proc/sys/kernel/random/uuid > c; tar -czf {{ out }}/u.tgz c",
    )
    text = reproduce(project, "only=packed").check(26)
    assert re.search(r"t\.tar\n\S+ +time of 2 members, first a: \d{4}-\S+ \S+ -> ", text)
    assert "looks like the clock: it holds the time of the build" in text
    paths = [one["path"] for one in report(project)["components"][0]["differences"]]
    assert paths == ["t.tar", "u.tgz", "u.tgz/c"]


def test_outputs_are_kept_where_no_file_has_another_content(project: Project) -> None:
    project.add("named", "touch {{ out }}/made-by-$MAX_JOBS; cp hello.txt {{ out }}")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one core there is no other number of jobs")
    text = reproduce(project, "only=named").check(26, "only in the first", "only in the second")
    second = Path(re.findall(r"^ +(/\S+/tree)$", text, re.MULTILINE)[1])
    assert (second / "made-by-1").exists()


@pytest.mark.skipif(shutil.which("diffoscope") is None, reason="diffoscope is not installed")
def test_diffoscope_explains_where_it_is_installed(project: Project) -> None:
    project.add("leaky", LEAKS["random"][0])
    text = reproduce(project, "only=leaky").check(26)
    written = re.search(r"^diffoscope +(\S+)$", text, re.MULTILINE)
    assert written is not None
    assert "@@ -1 +1 @@" in Path(written[1]).read_text()


def test_an_exception_is_honoured_until_its_day_and_an_unneeded_one_is_said(
    project: Project, locked: Callable[..., Done]
) -> None:
    project.add("leaky", LEAKS["random"][0])
    project.add("sound")
    excepted(project, "leaky", "f", "2999-12-31")
    excepted(project, "sound", "*.txt", "2999-12-31")
    text = locked().check(0, "differs, as policy.toml lets it")
    assert "may differ: a known fault (until 2999-12-31)" in text
    assert "policy.toml lets sound: *.txt differ, and nothing of it does" in text
    found = report(project)
    assert found["reproducible"]
    assert found["useless"] == ["sound: *.txt"]
    assert found["components"][0]["verdict"] == "excepted"


def test_an_expired_exception_is_refused(project: Project) -> None:
    project.add("leaky", LEAKS["random"][0])
    excepted(project, "leaky", "*", "2026-01-01")
    text = reproduce(project, "only=leaky").check(26, "An exception of policy.toml has expired.")
    assert "might differ, no longer: a known fault (until 2026-01-01)" in text


def test_an_exception_of_no_component_is_refused(project: Project) -> None:
    project.add("sound")
    excepted(project, "sonud", "*", "2999-12-31")
    reproduce(project, "only=sound").check(
        10, "there is no recipe for 'sonud'", "Did you mean 'sound'?"
    )


def test_a_build_that_fails_elsewhere_says_so_with_its_own_exit_code(project: Project) -> None:
    mark = "reproduce/tiny/again"
    project.add("picky", f"cp hello.txt {{{{ out }}}}; ! grep -q {mark} /proc/self/mountinfo")
    text = reproduce(project, "only=picky").check(
        19, "the build in other circumstances failed; the first one did not."
    )
    assert "picky, step 1 of 1" in text
    assert (project.home / "build" / "reproduce" / "tiny" / "again" / "project").is_dir()


def test_only_one_is_built_again_and_needs_are_lent(project: Project) -> None:
    project.add("base", LEAKS["random"][0])
    project.add("above", "cp {{ base.prefix }}/f {{ out }}", needs=["base"])
    reproduce(project, "only=above").check(0, "builds again: above")
    project.check_store()


def test_an_unknown_component_is_refused(project: Project) -> None:
    project.add("sound")
    reproduce(project, "only=sonud").check(11, "no component 'sonud'", "Did you mean 'sound'?")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_stopped_it_leaves_no_process_and_nothing_in_the_way(
    project: Project, number: signal.Signals
) -> None:
    sleep = f"if grep -q reproduce/tiny/again /proc/self/mountinfo; then sleep {STEP_SECONDS}; fi"
    project.add("sleeper", f"{sleep}; cp hello.txt {{{{ out }}}}")
    again = project.home / "build" / "reproduce" / "tiny" / "again"
    log = again / "project" / "build" / "logs" / "tiny" / "sleeper.log"
    project.doit("build_sleeper").check(0)
    with project.started("only=sleeper", "reproduce") as run:
        poll(lambda: log.exists() and "step 1 of 1" in log.read_text(), "asleep")
        os.kill(run.process.pid, number)
        run.wait(20)
        poll(lambda: not project.processes(), "every process gone", 5)
    if number == signal.SIGINT:
        assert run.process.returncode == 130
        assert run.text.count("Stopped:") == 1
        assert not again.exists()
    project.components["sleeper"].steps = ("cp hello.txt {{ out }}",)
    project.write()
    reproduce(project, "only=sleeper").check(0, "identical")
    assert not again.exists()
