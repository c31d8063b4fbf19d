"""Following TheRock, through the command line: real HTTP, real builds of a tiny stack."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.nights import Nights, code_object
from tests.e2e.project import Project, poll
from tests.unit.repository import Repository
from tests.unit.test_codeobjects import GFX1100
from tests.unit.therock import MANIFEST, tarball, therock
from tests.unit.web import Reply, Server, closed_port

FIRST = "10.1.0a20260901"
SECOND = "10.1.0a20260902"


@pytest.fixture
def nights(project: Project, web: Server, index: dict[str, str]) -> Nights:
    """Return a stack that is locked, and of which nothing is promoted yet."""
    made = Nights(project, web, index)
    made.doit("lock").check(0)
    return made


@pytest.fixture
def followed(nights: Nights) -> Nights:
    """Return the same with one release promoted."""
    nights.doit("nightly").check(0)
    return nights


def stays(nights: Nights, before: dict[str, bytes]) -> None:
    """Assert that what was promoted first is still promoted, byte for byte."""
    assert nights.promoted() == FIRST
    assert nights.bytes_of() == before


def test_a_good_night_is_promoted_and_the_next_has_nothing_to_do(nights: Nights) -> None:
    said = nights.doit("nightly").check(0, "promoted", "install.sh", "rollback")
    assert "made from commit" in said
    assert nights.promoted() == FIRST
    (entry,) = nights.feed()
    assert entry.verdict == "promoted"
    assert entry.cause is None
    assert entry.pins == {"rocm": FIRST, "kernels": "1.0.0"}
    assert entry.kernels is not None
    assert entry.kernels.count == 2
    assert entry.toolchain is not None
    assert re.fullmatch("[0-9a-f]{40}", entry.toolchain.commit)
    assert entry.toolchain.bytes > 0
    assert {"policy", "download", "toolchain", "identity", "build", "kernels"} <= set(entry.seconds)
    nights.doit().check(0, f"promoted           {entry.night}")
    before = nights.bytes_of()
    asked = len(nights.web.asked)
    nights.doit("nightly").check(0, "nothing new to try")
    assert len(nights.web.asked) == asked + 1  # the index alone
    assert nights.bytes_of() == before
    assert len(nights.feed()) == 1


def test_a_newer_release_takes_its_place_and_rollback_goes_back(followed: Nights) -> None:
    old = followed.bytes_of()
    followed.publish(SECOND, objects={"gemm.hsaco": code_object(vgpr_count=90)})
    followed.doit("nightly").check(0, "moves rocm", "0 gone, 0 new, 2 changed")
    assert followed.promoted() == SECOND
    assert followed.bytes_of() != old
    followed.doit("rollback").check(0, f"from {SECOND}", "not tried again by itself")
    stays(followed, old)
    followed.doit("nightly").check(0, "nothing new to try")
    stays(followed, old)
    assert followed.verdicts() == [
        (FIRST, "promoted"),
        (SECOND, "promoted"),
        (SECOND, "rolled back"),
    ]
    page = (followed.place / "feed.html").read_text()
    assert page.count("rolled back") >= 1
    assert SECOND in page
    followed.doit("rollback").check(11, "there is nothing to go back to", "Only one candidate")
    followed.doit(f"release={SECOND}", "promote").check(0, "promoted")
    assert followed.promoted() == SECOND


def test_what_rollback_goes_back_to_is_promoted_as_it_lies_there(followed: Nights) -> None:
    old = followed.bytes_of()
    followed.publish(SECOND)
    followed.doit("nightly").check(0)
    said = followed.doit(f"release={FIRST}", "promote").check(0, "promoted")
    assert "candidate" not in said
    stays(followed, old)
    followed.doit("rollback").check(0)
    assert followed.promoted() == SECOND


def test_only_what_changed_is_built(followed: Nights) -> None:
    followed.publish(SECOND)  # another release whose kernels are the same
    followed.project.add("leaf", "cp -r {{ kernels.prefix }} {{ out }}/leaf", needs=["kernels"])
    followed.doit("lock").check(0)
    said = followed.doit("nightly").check(0)
    assert "  kernels            building" in said  # its toolchain is another one
    assert "  leaf               building" in said
    followed.publish("10.1.0a20260903")
    said = followed.doit("nightly").check(0)
    assert "  kernels            building" in said
    assert "  leaf               building" not in said  # its need came out the same


def test_what_is_promoted_is_kept_with_its_repositories(followed: Nights, tmp_path: Path) -> None:
    remote = Repository(tmp_path / "remote")
    commit = remote.commit(readme="from a repository")
    pin = {"source": "git", "url": remote.url, "commit": commit}
    followed.project.add("tool", "cp readme {{ out }}/", pin=pin, needs=["kernels"])
    followed.doit("lock").check(0)
    followed.doit("nightly").check(0, "promoted")
    # Every host is gone, and so is the cache.
    for path, _ in list(followed.web.asked):
        followed.web.add(path, Reply(b"pruned", 404))
    shutil.rmtree(remote.path)
    for name in ("sha256", "git"):
        shutil.rmtree(followed.project.cache / name)
    for record in (followed.project.store / "records").glob("*.json"):
        record.unlink()
    project = (followed.place / "promoted" / "night" / "project").resolve()
    places = (f"cache={followed.project.cache}", f"store={followed.project.store}")
    command = [*followed.project.command()[:2], str(project / "dodo.py"), *places, "build_tool"]
    followed.project.run(command, env=followed.env).check(0, "tool", "done in")


@dataclass(frozen=True)
class Bad:
    """A release that must not be promoted, and the stage that must find it."""

    stage: str
    objects: Mapping[str, bytes] | None = None
    package: str | None = None
    body: bytes | None = None


WITHOUT_MANIFEST = {k: v for k, v in therock(package="").items() if k != MANIFEST}
BAD = {
    "no device code": Bad("build", objects={}),
    "code for another GPU": Bad("build", {"gemm.hsaco": code_object(flags=GFX1100)}),
    "more spills": Bad("kernels", {"gemm.hsaco": code_object(vgpr_spill_count=99)}),
    "a kernel gone": Bad("kernels", {"other.hsaco": code_object("other")}),
    "another build": Bad("toolchain", package="10.1.0a20260830"),
    "truncated": Bad("toolchain", body=tarball(therock())[:2000]),
    "no archive": Bad("toolchain", body=b"<html>not here</html>"),
    "no manifest": Bad("identity", body=tarball(WITHOUT_MANIFEST)),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_night_touches_nothing(followed: Nights, case: str) -> None:
    bad = BAD[case]
    before = followed.bytes_of()
    followed.publish(SECOND, objects=bad.objects, package=bad.package, body=bad.body)
    followed.doit("nightly").check(28, f"{SECOND} is quarantined, in stage {bad.stage}")
    stays(followed, before)
    entry = followed.feed()[-1]
    assert (entry.release, entry.verdict) == (SECOND, "quarantined")
    assert entry.cause is not None
    assert entry.cause.stage == bad.stage
    # It is judged once, and what it took is gone.
    followed.doit("nightly").check(0, "nothing new to try")
    assert len(followed.feed()) == 2
    assert not (followed.place / "nights" / entry.night / "wheelhouse").exists()
    stays(followed, before)


def test_what_policy_refuses_is_never_loaded(nights: Nights) -> None:
    first, good = "7.0.0a20250801", "7.14.0a20260608"
    nights.files.clear()
    nights.follow(first, nights.publish(first))
    nights.doit("lock").check(0)
    nights.doit("nightly").check(0)
    bad = [nights.publish("7.0.1")]
    nights.doit("nightly").check(0, "7.0.1 is not used: rule rocm-7.0.1", "nothing new")
    bad.append(nights.publish("7.14.0a20260610"))
    nights.doit("nightly").check(0, "therock-7.14-nightlies-of-june", "nothing new")
    nights.publish(good)
    nights.doit("nightly").check(0)
    assert nights.promoted() == good
    assert nights.verdicts() == [
        (first, "promoted"),
        ("7.0.1", "refused"),
        ("7.14.0a20260610", "refused"),
        (good, "promoted"),
    ]
    asked = {path for path, _ in nights.web.asked}
    assert not any(url.endswith(path) for path in asked for url in bad)


DEVICE = """
[device]
needs = ["rocm"]
[device.build]
steps = [
    "cp {{ rocm.prefix }}/lib/kernels/gemm.hsaco {{ out }}",
    "printf '1\\tgemm.hsaco\\n' > {{ out }}/seconds.tsv",
]
[device.check]
code_objects = true
"""


def test_device_code_is_compiled_and_compared_before_anything_long(nights: Nights) -> None:
    recipe = nights.project.home / "recipes" / "kernels.toml"
    recipe.write_text(recipe.read_text() + DEVICE)
    nights.doit("nightly").check(0, "device_kernels")
    assert "devices" in nights.feed()[-1].seconds
    before = nights.bytes_of()
    nights.publish(SECOND, objects={"gemm.hsaco": code_object(vgpr_spill_count=99)})
    said = nights.doit("nightly").check(28, f"{SECOND} is quarantined, in stage devices")
    assert "  kernels            building" not in said
    stays(nights, before)
    nights.publish("10.1.0a20260903")
    nights.doit("nightly").check(0, "0 gone, 0 new, 0 changed")


def test_worse_kernels_are_taken_when_a_person_says_so(followed: Nights) -> None:
    followed.publish(SECOND, objects={"gemm.hsaco": code_object(vgpr_spill_count=99)})
    followed.doit("nightly").check(28, "in stage kernels", "takes it all the same")
    followed.doit(f"release={SECOND}", "promote").check(0, "promoted by hand, although:")
    assert followed.promoted() == SECOND
    followed.doit("release=10.1.0a20260999", "promote").check(11, "was not tried yet")


def test_without_network_nothing_changes(followed: Nights) -> None:
    before, feed = followed.bytes_of(), followed.feed()
    (followed.project.home / "channels.toml").write_text(
        '[[channel]]\nname = "nightly"\nsource = "the tests"\n'
        f'index = "http://127.0.0.1:{closed_port()}/tarball/"\n'
    )
    followed.doit("nightly").check(27, "channel nightly cannot be asked", "Nothing was changed")
    followed.doit("releases").check(27, "channel nightly cannot be asked")
    assert followed.feed() == feed
    stays(followed, before)


def test_what_vanished_between_listing_and_download_is_tried_again(followed: Nights) -> None:
    before = followed.bytes_of()
    name = f"therock-dist-linux-gfx1151-{SECOND}.tar.gz"
    followed.name_file(name)
    followed.doit("nightly").check(14, f"{SECOND} is postponed, in stage download", "404")
    stays(followed, before)
    followed.publish(SECOND)
    followed.doit("nightly").check(0)
    assert followed.promoted() == SECOND


def test_bytes_that_changed_after_pinning_are_quarantined(followed: Nights) -> None:
    before = followed.bytes_of()
    followed.publish(SECOND)
    with followed.project.started("channel=nightly", "nightly") as run:
        poll(lambda: "sha256" in run.text, "the release pinned")
    shutil.rmtree(followed.project.cache / "sha256")
    followed.publish(SECOND, objects={"gemm.hsaco": code_object(vgpr_count=8)})
    followed.doit("nightly").check(28, f"{SECOND} is quarantined, in stage toolchain")
    entry = followed.feed()[-1]
    assert entry.cause is not None
    assert entry.cause.code == 15
    assert "the downloaded bytes are not those of the lock" in entry.cause.what
    stays(followed, before)


def test_two_nights_at_once(followed: Nights) -> None:
    followed.publish(SECOND)
    with followed.project.started("channel=nightly", "nightly") as run:
        poll(lambda: "candidate" in run.text, "the first one at work")
        followed.doit("nightly").check(22, "another night of stack tiny is under way")
        followed.doit("rollback").check(22, "another night of stack tiny is under way")


def test_the_summary_and_the_command_at_the_end(followed: Nights, tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = f'then=echo "$NIGHTLY_SAID $NIGHTLY_SUMMARY" >> {told}'
    followed.doit(command, "nightly").check(0)
    followed.publish(SECOND, objects={})
    followed.doit(command, "nightly").check(28)
    first, second = told.read_text().splitlines()
    assert first.startswith("nothing new ")
    assert second.startswith("quarantined ")
    summary = json.loads(Path(second.split()[1]).read_text())
    assert summary["said"] == "quarantined"
    assert summary["last"]["release"] == SECOND
    assert summary["promoted"].startswith(FIRST)
    followed.doit("then=exit 3", "nightly").check(0, "the command of then= ended with 3")


def test_a_slow_index_and_a_broken_download_are_waited_for(followed: Nights) -> None:
    body = tarball(therock("10.1.0", SECOND), more={"lib/kernels/gemm.hsaco": code_object()})
    name = f"therock-dist-linux-gfx1151-{SECOND}.tar.gz"
    followed.web.add(f"/tarball/{name}", Reply(body, cut=1000))
    followed.name_file(name)
    followed.doit("nightly").check(14, "postponed")
    followed.web.add(f"/tarball/{name}", Reply(body))
    followed.doit("nightly").check(0)
    assert followed.promoted() == SECOND


def test_releases_shows_what_there_is(followed: Nights) -> None:
    followed.publish(SECOND)
    followed.publish("7.0.1")
    followed.publish("10.1.0a20260905", family="gfx110X-all")
    said = followed.doit("releases").check(0, "refused: ", "10.1.0a20260905 is there")
    newest, promoted, refused = (
        next(line for line in said.splitlines() if line.startswith(f"  {one} "))
        for one in (SECOND, FIRST, "7.0.1")
    )
    assert "nightly" in newest
    assert "promoted" in promoted
    assert "pinned" in promoted
    assert "refused" in refused
    followed.project.doit("releases").check(11, "stack tiny follows no channel")
    followed.project.doit("channel=nigthly", "releases").check(11, "Did you mean 'nightly'")


@pytest.mark.slow
def test_a_rollback_that_is_killed_is_finished_or_never_begun(followed: Nights) -> None:
    first = followed.bytes_of()
    followed.publish(SECOND, objects={"gemm.hsaco": code_object(vgpr_count=90)})
    followed.doit("nightly").check(0)
    second = followed.bytes_of()
    for step in range(12):
        with followed.project.started("channel=nightly", "rollback") as run:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(0.15 + 0.03 * step)
            run.kill_group()
        now = {FIRST: first, SECOND: second}[followed.promoted()]
        assert followed.bytes_of() == now
        followed.doit("nightly").check(0)  # finishes what was begun
        backs = followed.verdicts().count((SECOND, "rolled back"))
        assert backs == (followed.promoted() == FIRST)
        if followed.promoted() == FIRST:
            break
    else:
        pytest.fail("no rollback came to its end")
