"""A full disk is a sentence with an exit code of its own, and nothing is lost by it."""

import re
import shlex
import subprocess

import pytest

from tests.e2e.project import Done, Project


@pytest.fixture(autouse=True)
def _mounts() -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no user and mount namespace can be made here")


def on_a_small_disk(project: Project, folder: str, size: str, *commands: list[str]) -> list[Done]:
    """Run doit on a disk of `size` at `folder`; before the last command it grows."""
    place = shlex.quote(str(project.home / folder))
    lines = [f"mkdir -p {place}; mount -t tmpfs -o size={size} tmpfs {place}"]
    for number, command in enumerate(commands):
        if number and number == len(commands) - 1:
            lines.append(f"mount -o remount,size=256m {place}")
        lines.append(f'{shlex.join(project.command(*command))}; echo "== ended with $?"')
    done = project.run(["unshare", "-rm", "sh", "-c", "\n".join(lines)])
    *runs, rest = done.text.split("== ended with ")
    codes = [int(part.splitlines()[0]) for part in [*runs[1:], rest]]
    return [Done(code, text) for code, text in zip(codes, runs, strict=True)]


def test_a_step_that_fills_the_disk(project: Project) -> None:
    project.add("small")
    project.add("big", "head -c 30000000 /dev/zero > {{ out }}/big", needs=["small"])
    full, again = on_a_small_disk(project, "build", "12m", ["build_big"], ["build_big"])
    full.check(22, "the disk was full while big was built", "big, step 1 of 1", "MB are free")
    text = again.check(0, "done in")
    assert re.search("^small +up to date$", text, re.MULTILINE)


def test_a_store_that_is_full(project: Project) -> None:
    project.add("small")
    project.add("big", "head -c 30000000 /dev/zero > {{ out }}/big", needs=["small"])
    build = [f"store={project.home}/store", "build_big"]
    verify = [f"store={project.home}/store", "verify"]
    full, whole, again = on_a_small_disk(project, "store", "12m", build, verify, build)
    full.check(22, "the disk is full", "store=/other/disk/store")
    assert "set aside" not in whole.check(0, "1 artifacts are whole")
    text = again.check(0, "done in")
    assert re.search("^small +up to date$", text, re.MULTILINE)


@pytest.mark.slow
def test_a_disk_that_is_full_before_anything_is_built(project: Project) -> None:
    project.add("working")
    full, again = on_a_small_disk(project, "build", "4k", ["build_working"], ["build_working"])
    full.check(22, "the disk is full")
    again.check(0, "done in")
