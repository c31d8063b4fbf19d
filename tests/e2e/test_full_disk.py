"""A full disk is a sentence with an exit code of its own, and nothing is lost by it."""

import re
import shlex
import subprocess
from collections.abc import Mapping

import pytest

from tests.e2e.nights import Nights, code_object
from tests.e2e.project import Done, Project
from tests.unit.therock import tarball, therock
from tests.unit.web import Server


@pytest.fixture(autouse=True)
def _mounts() -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no user and mount namespace can be made here")


def on_a_small_disk(
    project: Project,
    folder: str,
    size: str,
    *commands: list[str],
    env: Mapping[str, str] | None = None,
) -> list[Done]:
    """Run doit on a disk of `size` at `folder`; before the last command it grows."""
    place = shlex.quote(str(project.home / folder))
    lines = [f"mkdir -p {place}; mount -t tmpfs -o size={size} tmpfs {place}"]
    for number, command in enumerate(commands):
        if number and number == len(commands) - 1:
            lines.append(f"mount -o remount,size=256m {place}")
        lines.append(f'{shlex.join(project.command(*command))}; echo "== ended with $?"')
    done = project.run(["unshare", "-rm", "sh", "-c", "\n".join(lines)], env=env)
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


@pytest.mark.slow
def test_a_night_on_a_full_disk_is_postponed_and_made_up_for(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    version = "10.1.0a20260901"
    nights = Nights(project, web, index, version)
    more = {"lib/kernels/gemm.hsaco": code_object(), "share/ballast": bytes(40_000_000)}
    nights.files.clear()
    nights.publish(version, body=tarball(therock("10.1.0", version), more=more))
    nights.doit("lock").check(0)
    night = ["channel=nightly", "nightly"]
    full, again = on_a_small_disk(project, "build", "30m", night, night, env=index)
    full.check(22, "is postponed, in stage toolchain", "disk", "tries it again")
    again.check(0, "promoted")
