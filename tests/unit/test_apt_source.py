"""Debian packages as a source: locked, fetched and unpacked over HTTP, with every trouble."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from strixforge.model.errors import (
    ArchiveError,
    FetchError,
    IntegrityError,
    UnpinnedError,
    UsageError,
)
from strixforge.model.packages import PackageList, list_file, load_packages, render
from strixforge.model.pins import AptPin
from strixforge.model.repository import Repository
from strixforge.sources import Site, apt, kind_of
from strixforge.sources.apt import simulate
from strixforge.sources.apt.locking import resolve
from strixforge.store.tree import scan, tree_digest
from tests.unit.debian_archive import (
    INRELEASE,
    Archive,
    Files,
    Keys,
    file,
    lay_out,
    link,
    repository,
    serve,
)
from tests.unit.web import Reply, Server

PIN = AptPin(
    component="tool",
    version="1.0",
    epoch=1_600_000_000,
    repositories=("tests",),
    packages=("tool",),
)
TOOL = "pool/main/t/tool_1.0_amd64.deb"


def quiet(done: int, total: int | None) -> None:
    del done, total


@pytest.fixture(scope="session")
def archive() -> Archive:
    made = Archive()
    made.add(
        "tool",
        "1.0",
        file("opt/tool/bin/tool", b"tool", 0o755),
        link("opt/tool/lib/current", "/opt/tool/lib/libbase.so.2"),
        Depends="base (>= 2)",
        form=".zst",
    )
    made.add("base", "2.0", file("opt/tool/lib/libbase.so.2", b"base" * 1000))
    made.add("base", "1.0", file("opt/tool/lib/libbase.so.1", b"old"))
    made.add("unrelated")
    return made


@pytest.fixture(scope="session")
def signed(archive: Archive, keys: Keys) -> Files:
    return archive.files(keys)


class World:
    """A site whose one repository is on the loopback server, and the pin of a tool in it."""

    def __init__(self, site: Site, keys: Keys, web: Server, files: Files) -> None:
        self.web = web
        self.keys = keys
        self.url = serve(web, files)
        self.where = site.home
        self.where.mkdir(exist_ok=True)
        self.site = replace(site, repositories={"tests": repository(keys, self.where, self.url)})

    def resolve(self, pin: AptPin = PIN, **more: Any) -> PackageList:
        """Find the packages of a pin."""
        mirrors = self.site.mirrors
        return resolve(pin, self.site.repositories, mirrors, **({"allow_expired": False} | more))

    def lock(self, pin: AptPin = PIN, **more: Any) -> AptPin:
        """Do what `doit lock` does."""
        found = self.resolve(pin, **more)
        path = list_file(self.site.home, pin)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(found))
        return msgspec.structs.replace(pin, sha256=found.digest())

    def unpack(self, pin: AptPin) -> Path:
        """Unpack into a new folder."""
        target = self.where / "target"
        target.mkdir()
        apt.unpack(pin, self.site, target)
        return target

    def behind_mirrors(self, *mirrors: str) -> None:
        """Have the repository be one that has mirrors."""
        values = msgspec.structs.asdict(self.site.repositories["tests"])
        one = Repository(**(values | {"url": None, "archive": "debian"}))
        self.site = replace(self.site, repositories={"tests": one}, mirrors=mirrors)

    def asked(self, end: str = "") -> list[str]:
        """Return what was asked for."""
        return [path for path, _ in self.web.asked if path.endswith(end)]


@pytest.fixture
def world(site: Site, keys: Keys, web: Server, signed: Files) -> World:
    return World(site, keys, web, signed)


def test_packages_are_locked_fetched_and_unpacked(world: World, archive: Archive) -> None:
    pin = world.lock()
    packages = load_packages(world.site.home, pin)
    assert [str(one) for one in packages.package] == ["base 2.0", "tool 1.0"]
    assert packages.release[0].signed_by == world.keys.good
    assert packages.wanted == ("tool",)
    assert apt.missing(pin, world.site)
    seen: list[tuple[int, int | None]] = []
    apt.fetch(pin, world.site, lambda *progress: seen.append(progress))
    assert seen[-1] == (packages.bytes(), packages.bytes())
    assert max(done for done, _ in seen) == packages.bytes()
    assert not apt.missing(pin, world.site)
    assert len(world.asked(".deb")) == 2
    target = world.unpack(pin)
    assert (target / "opt/tool/lib/current").read_bytes() == b"base" * 1000
    assert not (target / "opt/tool/lib/libbase.so.1").exists()
    assert apt.digest(pin, world.site) == f"apt:{pin.sha256}"
    assert archive.components


def test_a_prefix_leaves_what_it_lacks_to_the_root(site: Site, keys: Keys, web: Server) -> None:
    archive = Archive()
    archive.add(
        "tool", "1.0", file("opt/tool/bin/x", b"x", 0o755), Depends="libc6 (>= 2), tool-lib"
    )
    archive.add("tool-lib", "1.0", file("opt/tool/lib/y", b"y"), file("usr/share/doc/y", b"doc"))
    world = World(site, keys, web, archive.files(keys))
    pin = world.lock(msgspec.structs.replace(PIN, folder="opt/tool"))
    packages = load_packages(world.site.home, pin)
    assert packages.left == ("libc6",)
    assert packages.resolver == "strixforge"
    apt.fetch(pin, world.site, quiet)
    assert {entry["path"] for entry in scan(world.unpack(pin))} == {"bin/x", "lib/y"}


def test_the_same_packages_make_the_same_tree_and_the_same_list(world: World) -> None:
    digests = set()
    for number in range(2):
        pin = world.lock()
        apt.fetch(pin, world.site, quiet)
        target = world.where / f"target{number}"
        target.mkdir()
        apt.unpack(pin, world.site, target)
        digests.add((pin.sha256, tree_digest(scan(target))))
    assert len(digests) == 1


def test_apt_and_our_own_search_make_the_same_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not simulate.available():
        pytest.skip("this machine has no apt-get")
    theirs = world.resolve()
    monkeypatch.setenv("PATH", str(_without_apt(world.where)))
    ours = world.resolve()
    assert (theirs.resolver.split()[0], ours.resolver) == ("apt", "strixforge")
    assert ours.package == theirs.package


def _without_apt(where: Path) -> Path:
    import shutil

    made = where / "bin"
    made.mkdir()
    gpgv = shutil.which("gpgv")
    assert gpgv is not None
    (made / "gpgv").symlink_to(gpgv)
    return made


def test_a_second_fetch_asks_nobody(world: World) -> None:
    pin = world.lock()
    apt.fetch(pin, world.site, quiet)
    asked = len(world.web.asked)
    apt.fetch(pin, world.site, quiet)
    assert len(world.web.asked) == asked


def test_only_what_is_missing_is_fetched_again(world: World) -> None:
    pin = world.lock()
    apt.fetch(pin, world.site, quiet)
    base = load_packages(world.site.home, pin).find("base")
    assert base is not None
    cached = world.site.cache.find(base.sha256)
    assert cached is not None
    cached.unlink()
    assert apt.missing(pin, world.site)
    seen: list[tuple[int, int | None]] = []
    apt.fetch(pin, world.site, lambda *progress: seen.append(progress))
    assert len(world.asked(TOOL)) == 1
    assert seen[-1][0] == seen[-1][1]


def test_what_is_not_locked_is_neither_fetched_nor_unpacked(world: World) -> None:
    actions: list[Callable[[], object]] = [
        lambda: apt.missing(PIN, world.site),
        lambda: apt.fetch(PIN, world.site, quiet),
        lambda: apt.unpack(PIN, world.site, world.where),
    ]
    for action in actions:
        with pytest.raises(UnpinnedError):
            action()
    assert world.web.asked == []


def test_the_kind_of_a_pin_of_packages_is_this_one() -> None:
    module: object = kind_of(PIN)
    assert module is apt


def test_a_package_that_the_mirror_changed_is_refused(world: World, signed: Files) -> None:
    pin = world.lock()
    world.web.add(f"/debian/{TOOL}", Reply(signed[TOOL][:-1] + b"\1"))
    with pytest.raises(IntegrityError, match=r"tool 1\.0: the downloaded bytes are not those"):
        apt.fetch(pin, world.site, quiet)
    assert apt.missing(pin, world.site)
    with pytest.raises(IntegrityError, match=r"tool 1\.0 is not in the download cache"):
        world.unpack(pin)
    assert list((world.where / "target").iterdir()) == []


def test_a_package_that_is_gone_says_that_the_archive_moved_on(world: World) -> None:
    pin = world.lock()
    world.web.add(f"/debian/{TOOL}", Reply(b"no", 404))
    with pytest.raises(FetchError, match=r"tool 1\.0 is not in the archive any more") as caught:
        apt.fetch(pin, world.site, quiet)
    error = caught.value
    assert error.where == f"{world.url}/{TOOL}"
    assert "has moved on since tool was locked" in error.cause
    assert error.fix.startswith("./doit lock")


def test_a_password_of_a_mirror_is_not_shown(world: World) -> None:
    pin = world.lock()
    one = repository(world.keys, world.where, world.url.replace("//", "//me:secret@"))
    world.site = replace(world.site, repositories={"tests": one})
    world.web.add(f"/debian/{TOOL}", Reply(b"no", 404))
    with pytest.raises(FetchError) as caught:
        apt.fetch(pin, world.site, quiet)
    assert caught.value.where == f"{world.url}/{TOOL}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [404, 403])
def test_the_second_mirror_is_used_where_the_first_lacks_a_package(
    world: World, signed: Files, status: int
) -> None:
    second = serve(world.web, signed, "/second")
    world.behind_mirrors(world.url, second)
    pin = world.lock()
    world.web.add(f"/debian/{TOOL}", Reply(b"no", status))
    apt.fetch(pin, world.site, quiet)
    assert not apt.missing(pin, world.site)
    assert world.asked(TOOL) == [f"/debian/{TOOL}", f"/second/{TOOL}"]


def test_a_mirror_without_the_suite_is_passed_over_when_locking(
    world: World, signed: Files
) -> None:
    second = serve(world.web, signed, "/second")
    world.behind_mirrors(f"{world.web.url}/empty", second)
    world.lock()
    assert world.asked(INRELEASE) == [f"/empty/{INRELEASE}", f"/second/{INRELEASE}"]


def test_a_mirror_with_a_wrong_signature_is_not_passed_over(world: World, signed: Files) -> None:
    good = serve(world.web, signed, "/second")
    world.behind_mirrors(world.url, good)
    world.web.add(f"/debian/{INRELEASE}", Reply(signed[INRELEASE].replace(b"Tests", b"Pests")))
    with pytest.raises(IntegrityError, match="not signed by its pinned key"):
        world.resolve()


def test_an_expired_index_is_locked_only_where_that_is_accepted(
    site: Site, keys: Keys, web: Server, archive: Archive
) -> None:
    files = archive.files(keys, Valid_Until="Sat, 22 Nov 2025 09:30:00 UTC")
    world = World(site, keys, web, files)
    with pytest.raises(IntegrityError, match="has expired"):
        world.resolve()
    assert len(world.resolve(allow_expired=True).package) == 2


def test_no_mirror_at_all_is_a_usage_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from strixforge.sources.apt import mirrors

    monkeypatch.setattr(mirrors, "_configured", lambda _: ())
    world.behind_mirrors()
    with pytest.raises(UsageError, match="no mirror of debian"):
        world.resolve()


def test_several_repositories_are_read_together(
    site: Site, keys: Keys, web: Server, tmp_path: Path
) -> None:
    first, second = Archive(), Archive()
    first.add("tool", "1.0", Depends="base")
    second.add("base", "1.0")
    second.add("tool", "0.9")
    world = World(site, keys, web, first.files(keys))
    other = repository(keys, world.where, lay_out(tmp_path / "second", second.files(keys)))
    both = {"tests": world.site.repositories["tests"], "other": other}
    world.site = replace(world.site, repositories=both)
    pin = world.lock(msgspec.structs.replace(PIN, repositories=("tests", "other")))
    packages = load_packages(world.site.home, pin)
    assert [(str(one), one.repository) for one in packages.package] == [
        ("base 1.0", "other"),
        ("tool 1.0", "tests"),
    ]
    apt.fetch(pin, world.site, quiet)
    assert {"base", "tool"} == {
        path.name for path in (world.unpack(pin) / "usr/share/doc").iterdir()
    }


def test_a_damaged_file_in_the_cache_is_refused_with_the_cure(world: World) -> None:
    pin = world.lock()
    apt.fetch(pin, world.site, quiet)
    tool = load_packages(world.site.home, pin).find("tool")
    assert tool is not None
    path = world.site.cache.verified(tool.sha256, what="x")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(IntegrityError, match=r"tool 1\.0 has changed in the download") as caught:
        world.unpack(pin)
    assert caught.value.fix == f"rm -r '{path.parent}' && ./doit fetch"
    assert list((world.where / "target").iterdir()) == []


def test_packages_that_do_not_fit_together_leave_nothing(
    site: Site, keys: Keys, web: Server
) -> None:
    archive = Archive()
    archive.add("tool", "1.0", file("usr/bin/x", b"one"), Depends="base")
    archive.add("base", "1.0", file("usr/bin/x", b"two"))
    world = World(site, keys, web, archive.files(keys))
    pin = world.lock()
    apt.fetch(pin, world.site, quiet)
    with pytest.raises(ArchiveError, match="two packages have a different x"):
        world.unpack(pin)
    assert list((world.where / "target").iterdir()) == []


def test_an_archive_may_be_a_folder(
    site: Site, keys: Keys, web: Server, signed: Files, tmp_path: Path
) -> None:
    world = World(site, keys, web, {})
    url = lay_out(tmp_path / "archive", signed)
    one = repository(keys, world.where, url)
    world.site = replace(world.site, repositories={"tests": one})
    pin = world.lock()
    apt.fetch(pin, world.site, quiet)
    assert (world.unpack(pin) / "opt/tool/bin/tool").read_bytes() == b"tool"
    assert world.web.asked == []


def test_what_is_wanted_and_not_there_is_a_fetch_error(world: World) -> None:
    with pytest.raises(FetchError) as caught:
        world.resolve(msgspec.structs.replace(PIN, packages=("tool", "nothing")))
    assert caught.value.fix.startswith("Mend `packages`")
