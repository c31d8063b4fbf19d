"""Nights on a machine with the GPU: in a mount namespace whose /sys shows one, all else is real."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.nights import Nights, code_object
from tests.e2e.project import Done, Project
from tests.unit.web import Server

FIRST, SECOND, THIRD = (f"10.1.0a2026090{day}" for day in (1, 2, 3))
PROPERTIES = "cpu_cores_count 0\nsimd_count 80\ngfx_target_version 110501\ncwsr_size 16777216\n"
FAULT = "amdgpu 0000:c5:00.0: amdgpu: [gfxhub] page fault (made by the tests of strixforge)"
SCRIPT = f"""
import os, pathlib
prefix = pathlib.Path(os.environ["STRIXFORGE_PREFIX"])
mode = (prefix / "kernels" / "kernels" / "mode").read_text()
if mode == "fails":
    raise SystemExit("the product is off by 0.5")
if mode == "faults":
    pathlib.Path("/dev/kmsg").write_text("<3>{FAULT}\\n")
print(f"{{os.environ['STRIXFORGE_ARCH']}} multiplies")
"""


def may_mount() -> bool:
    if os.geteuid() or not os.access("/dev/kmsg", os.W_OK):
        return False
    words = ["unshare", "--mount", "mount", "--bind", "/sys", "/sys"]
    return subprocess.run(words, capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not may_mount(),
        reason="only root mounts over /sys; CI is root",
    ),
]


# A device that is not there cannot be mounted over: /dev is made anew, of the same devices.
DEV = """
mkdir -p "$1" && mount -t tmpfs none "$1" && touch "$1/kfd"
for one in /dev/*; do
    name=$1/${one##*/}
    if [ -L "$one" ]; then cp -a "$one" "$name"; continue; fi
    if [ -d "$one" ]; then mkdir "$name"; else touch "$name"; fi
    mount --rbind "$one" "$name"
done
mount --move "$1" /dev
"""


class Machine:
    """This machine, with a GPU."""

    def __init__(self, nights: Nights, sysfs: Path) -> None:
        self.nights = nights
        node = sysfs / "class" / "kfd" / "kfd" / "topology" / "nodes" / "1"
        node.mkdir(parents=True)
        (node / "properties").write_text(PROPERTIES)
        (sysfs / "fs" / "cgroup").mkdir(parents=True)
        self._sysfs = sysfs

    def doit(self, *words: str, has_log: bool = True) -> Done:
        """Run a command of the stack."""
        hides = "" if has_log else "mount --bind /dev/null /dev/kmsg"
        lines = ["set -e", DEV, 'mount --bind "$0" /sys', hides, "shift", 'exec "$@"']
        command = self.nights.project.command("channel=nightly", *words)
        places = [str(self._sysfs), str(self._sysfs.with_name("dev"))]
        return self.nights.project.run(
            ["unshare", "--mount", "sh", "-c", "\n".join(lines), *places, *command],
            env=self.nights.env,
        )

    def publish(self, version: str, mode: str) -> None:
        """Offer a release whose kernels do so."""
        objects = {"gemm.hsaco": code_object(), "mode": mode.encode()}
        self.nights.publish(version, objects=objects)


@pytest.fixture
def here(project: Project, web: Server, index: dict[str, str], tmp_path: Path) -> Machine:
    """Return a stack that is locked and has a smoke test; one good release is there."""
    nights = Nights(project, web, index, FIRST, {"gemm.hsaco": code_object(), "mode": b"works"})
    (project.home / "smoke").mkdir()
    (project.home / "smoke" / "kernels_smoke.py").write_text(SCRIPT)
    nights.doit("lock").check(0)
    return Machine(nights, tmp_path / "sys")


def test_what_runs_is_promoted_with_what_ran(here: Machine) -> None:
    nights = here.nights
    here.doit("nightly").check(
        0, "gfx1151 multiplies", "1 ran on gfx1151, and the kernel told of no"
    )
    (entry,) = nights.feed()
    assert entry.smoke is not None
    assert (entry.smoke.arch, entry.smoke.components) == ("gfx1151", ("kernels",))
    assert entry.smoke.kernel == os.uname().release
    assert "ran on gfx1151" in (nights.place / "feed.html").read_text()
    # Nothing was written into what is installed.
    prefix = nights.place / "promoted" / "prefix"
    verify = [str(prefix / "env" / "bin" / "strixforge-verify"), str(prefix.resolve())]
    nights.project.run(verify).check(0)
    before = nights.bytes_of()
    here.doit("smoke").check(0, "gfx1151 multiplies")
    assert nights.bytes_of() == before


def test_what_fails_on_the_gpu_is_quarantined(here: Machine) -> None:
    here.doit("nightly").check(0)
    before = here.nights.bytes_of()
    here.publish(SECOND, "fails")
    here.doit("nightly").check(
        28, "is quarantined, in stage smoke", "Fails on the GPU: kernels", "off by 0.5"
    )
    cause = here.nights.feed()[-1].cause
    assert cause is not None
    assert (cause.stage, cause.code) == ("smoke", 29)
    assert here.nights.bytes_of() == before
    assert not (here.nights.place / "nights" / here.nights.feed()[-1].night / "prefix").exists()
    here.publish(THIRD, "works")
    here.doit("nightly").check(0, "promoted")


def test_a_fault_in_the_kernels_log_is_no_pass(here: Machine) -> None:
    here.publish(SECOND, "faults")
    here.doit("nightly").check(
        28, "in stage smoke", "the kernel told of a fault", f"kernel: {FAULT}"
    )
    assert here.nights.promoted() == ""


def test_a_log_that_cannot_be_read_is_no_pass_and_no_fault_of_the_release(here: Machine) -> None:
    here.doit("nightly", has_log=False).check(
        22, "is postponed, in stage smoke", "log cannot be read", "systemd-journal"
    )
    assert here.nights.promoted() == ""
    here.doit("nightly").check(0, "promoted", "gfx1151 multiplies")


def test_without_the_gpu_it_is_said_and_the_feed_tells_that_nothing_ran(here: Machine) -> None:
    nights = here.nights
    nights.doit("smoke").check(11, "nothing is promoted and installed")
    nights.doit("nightly").check(0, "nothing ran on a GPU: there is no gfx1151 here", "Use it:")
    assert nights.feed()[0].smoke is None
    assert "nothing ran on a GPU" in (nights.place / "feed.html").read_text()
    nights.doit("smoke").check(22, "there is no gfx1151 here")
    nights.doit("path=/nowhere", "smoke").check(11, "there is no installed environment")
    other = nights.project.home / "other"
    other.mkdir()
    mark = {"complete": True, "manifest": {"stack": "another"}}
    (other / ".strixforge-install.json").write_text(json.dumps(mark))
    nights.doit(f"path={other}", "smoke").check(11, "is of stack another")
    here.doit(f"path={nights.place / 'promoted' / 'prefix'}", "smoke").check(0, "multiplies")
