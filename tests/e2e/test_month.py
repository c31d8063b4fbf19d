"""A month of nights against a stand-in for TheRock, with real kernels for gfx1151 in its releases.

The kernels are those of the demo stack, compiled by Triton; every kind of bad release comes by.
"""

import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.nights import Nights
from tests.e2e.project import REPOSITORY, Project, poll
from tests.unit.therock import tarball, therock
from tests.unit.web import Reply, Server

pytestmark = pytest.mark.slow

LISTED = 8
"""Releases that the index keeps."""
BALLAST = 1_000_000
"""Bytes that make a release large enough to be missed on the disk."""
LIMIT = 24_000_000
"""Bytes for all: two promoted releases, a candidate, and the evidence of the others. A month of
releases that stayed would take five times as much."""


@pytest.fixture(scope="module")
def kernels() -> dict[str, Path]:
    """Return code objects of the demo stack by file name."""
    kept = ("PATH", "LANG", "HOME")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        [str(REPOSITORY / "doit"), "stack=demo", "build_attention_kernels"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    state = json.loads((REPOSITORY / "build/state/demo/attention_kernels.json").read_text())
    tree = REPOSITORY / "build" / "store" / "objects" / state["output"] / "tree"
    found = {path.name: path for path in tree.rglob("*.hsaco")}
    assert found
    return found


def version(day: int) -> str:
    return f"7.14.0a202606{day:02}"


@dataclass
class Month:
    """The nights, and what must hold after each of them."""

    nights: Nights
    good: dict[str, bytes]
    """The kernels of a good release."""
    worse: bytes
    """The attention kernel of another size: it takes more registers, so fewer waves fit."""

    def release(self, day: int, **kernels: bytes | None) -> bytes:
        """Return the archive of a release; `kernels` take the place of its own, or None takes."""
        objects = {**self.good, **{f"{name}.hsaco": one for name, one in kernels.items()}}
        more = {f"lib/kernels/{name}": one for name, one in objects.items() if one is not None}
        more["share/ballast"] = random.Random(day).randbytes(BALLAST)
        return tarball(therock("7.14.0", version(day)), more=more)

    def offer(self, day: int, body: bytes, family: str = "gfx1151") -> str:
        """Put a release into the index, which drops its oldest."""
        address = self.nights.publish(version(day), body=body, family=family)
        del self.nights.files[:-LISTED]
        self.nights.show()
        return address

    def night(self, code: int, *sentences: str) -> None:
        """Run one; what was promoted stays byte for byte where it promoted nothing."""
        before = (self.nights.promoted(), self.nights.bytes_of())
        self.nights.doit("nightly").check(code, *sentences)
        after = (self.nights.promoted(), self.nights.bytes_of())
        assert after == before or (after[0] != before[0] and not code)
        assert self.disk() < LIMIT

    def passes(self, day: int) -> None:
        """Offer a good release; it must be promoted."""
        self.offer(day, self.release(day))
        self.night(0, "promoted")
        assert self.nights.promoted() == version(day)

    def fails(self, day: int, body: bytes, stage: str) -> None:
        """Offer a bad release; it must be quarantined in that stage."""
        self.offer(day, body)
        self.night(28, f"{version(day)} is quarantined, in stage {stage}")

    def disk(self) -> int:
        """Return the bytes of all that nights have written; what has several names counts once."""
        places = (self.nights.project.home / "build", self.nights.project.cache)
        files = {
            (one.stat().st_dev, one.stat().st_ino): one.stat().st_size
            for place in places
            for one in place.rglob("*")
            if one.is_file() and not one.is_symlink()
        }
        return sum(files.values())


def test_a_month(
    project: Project, web: Server, index: dict[str, str], kernels: dict[str, Path]
) -> None:
    good = {
        "attention.hsaco": kernels["attention_forward-bf16-d64.hsaco"].read_bytes(),
        "softmax.hsaco": kernels["softmax-bf16.hsaco"].read_bytes(),
    }
    worse = kernels["attention_forward-bf16-d128.hsaco"].read_bytes()
    nights = Nights(project, web, index, version(1), good)
    month = Month(nights, good, worse)
    nights.files.clear()
    month.offer(1, month.release(1))
    nights.doit("lock").check(0)
    month.night(0, "promoted")
    month.passes(2)
    month.fails(3, month.release(3, attention=worse), "kernels")
    month.fails(4, month.release(4, softmax=None), "kernels")
    month.passes(5)
    month.fails(6, month.release(6)[:-20_000], "toolchain")
    month.fails(7, tarball(therock("7.14.0", version(2))), "toolchain")
    month.passes(8)
    for day in (9, 10, 11, 12):  # what policy.toml knows of these four
        month.offer(day, month.release(day))
        month.night(0, "therock-7.14-nightlies-of-june", "nothing new")
    month.offer(13, month.release(13), family="gfx110X-all")
    month.night(0, f"{version(13)} is there, and has no file for gfx1151", "nothing new")
    month.passes(14)
    _the_index_is_dead(month)
    _listed_and_gone(month, 16)
    month.passes(17)
    month.fails(18, month.release(18, attention=foreign(good["attention.hsaco"])), "build")
    _says_that_it_is_refused(month, 19)
    month.passes(20)
    _changed_after_pinning(month, 21)
    _slow(month, 22)
    _killed_again_and_again(month, 23)
    month.passes(24)
    _back(month, 24, 23)
    month.passes(25)
    month.fails(26, b"<html>maintenance</html>", "toolchain")
    for day in range(27, 31):
        month.passes(day)
    _what_was_written(month)
    _without_index_and_downloads(month)


def foreign(code: bytes) -> bytes:
    """Return a code object that says it is for gfx1100: the machine in its ELF flags."""
    assert code[48] == 0x4A
    return code[:48] + b"\x41" + code[49:]


def _the_index_is_dead(month: Month) -> None:
    month.nights.web.add("/tarball/", Reply(b"trouble", 404))
    month.night(27, "channel nightly cannot be asked", "Nothing was changed")
    month.nights.web.add("/tarball/", Reply(b"<html>we moved</html>", content_type="text/html"))
    month.night(27, "channel nightly is no index")


def _listed_and_gone(month: Month, day: int) -> None:
    address = month.offer(day, month.release(day))
    month.nights.web.add(address.removeprefix(month.nights.web.url), Reply(b"gone", 404))
    month.night(14, f"{version(day)} is postponed, in stage download")


def _says_that_it_is_refused(month: Month, day: int) -> None:
    month.offer(day, tarball(therock("7.0.1", "7.0.1")))
    month.night(12, f"{version(day)} is refused, in stage toolchain", "rule rocm-7.0.1")


def _changed_after_pinning(month: Month, day: int) -> None:
    nights = month.nights
    month.offer(day, month.release(day))
    with nights.project.started("channel=nightly", "nightly") as run:
        poll(lambda: "sha256" in run.text, "the release pinned")
    shutil.rmtree(nights.project.cache / "sha256")
    month.offer(day, month.release(day + 100))
    month.night(28, f"{version(day)} is quarantined, in stage toolchain", "not those of the lock")


def _slow(month: Month, day: int) -> None:
    body = month.release(day)
    address = month.offer(day, body)
    path = address.removeprefix(month.nights.web.url)
    # The connection ends twice; what has arrived is kept, and the rest asked for.
    cut = [Reply(body, cut=len(body) * part // 3) for part in (1, 2)]
    month.nights.web.add(path, *cut, Reply(body))
    month.night(0, "promoted")
    ranges = [wanted for asked, wanted in month.nights.web.asked if asked == path]
    assert len(ranges) == 3
    assert all(ranges[1:])


def _killed_again_and_again(month: Month, day: int) -> None:
    nights = month.nights
    before = (nights.promoted(), nights.bytes_of())
    month.offer(day, month.release(day))
    chance = random.Random(day)
    for _ in range(6):
        with nights.project.started("channel=nightly", "nightly") as run:
            end = chance.uniform(0.3, 6.5)
            try:
                run.process.wait(end)
            except subprocess.TimeoutExpired:
                run.kill_group()
        now = (nights.promoted(), nights.bytes_of())
        assert now[0] in (before[0], version(day))
        if now[0] == before[0]:
            assert now == before
        nights.feed()  # it can be read
    nights.doit("nightly").check(0)
    assert nights.promoted() == version(day)
    assert nights.verdicts().count((version(day), "promoted")) == 1


def _back(month: Month, day: int, to: int) -> None:
    nights = month.nights
    nights.doit("rollback").check(0, f"from {version(day)}")
    assert nights.promoted() == version(to)
    month.night(0, "nothing new")
    assert nights.promoted() == version(to)


def _what_was_written(month: Month) -> None:
    verdicts: dict[str, list[int]] = {}
    for release, verdict in month.nights.verdicts():
        verdicts.setdefault(verdict, []).append(int(release[-2:]))
    assert verdicts == {
        "promoted": [1, 2, 5, 8, 14, 17, 20, 22, 23, 24, 25, 27, 28, 29, 30],
        "quarantined": [3, 4, 6, 7, 18, 21, 26],
        "refused": [9, 10, 11, 12, 19],
        "postponed": [16],
        "rolled back": [24],
    }
    reasons = {int(one.release[-2:]): one.cause for one in month.nights.feed() if one.cause}
    codes = {day: cause.code for day, cause in reasons.items()}
    assert codes == {
        **dict.fromkeys((9, 10, 11, 12, 19), 12),
        **dict.fromkeys((3, 4, 7, 18), 21),
        **dict.fromkeys((6, 26), 16),
        16: 14,
        21: 15,
        24: 0,
    }
    assert "fewer waves" in reasons[3].what
    assert "are gone" in reasons[4].what
    assert "gfx1100" in reasons[18].what
    feed = [one for one in month.nights.feed() if one.verdict == "promoted"]
    assert all(one.kernels is not None and one.kernels.count == 4 for one in feed)


def _without_index_and_downloads(month: Month) -> None:
    """What is promoted can be built again when the index has pruned it and the cache is lost."""
    nights = month.nights
    for path in list(nights.web.asked):
        nights.web.add(path[0], Reply(b"pruned", 404))
    shutil.rmtree(nights.project.cache / "sha256")
    project = (nights.place / "promoted" / "night" / "project").resolve()
    words = [f"cache={nights.project.cache}", f"store={nights.project.store}", "stack=tiny"]
    records = nights.project.store / "records"
    for record in records.glob("*.json"):
        record.unlink()
    command = [*nights.project.command()[:2], str(project / "dodo.py"), *words, "build_kernels"]
    nights.project.run(command, env=nights.env).check(0, "kernels", "done in")
