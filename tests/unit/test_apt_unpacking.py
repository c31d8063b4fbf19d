"""Many packages into one tree: links that stay inside, files that two have, older packages."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.model.errors import ArchiveError
from strixforge.sources.apt.unpacking import unpack_packages
from strixforge.store.tree import scan, tree_digest
from tests.unit.debian_archive import deb, file, folder, hard_link, link, special, tar
from tests.unit.home import refusal

Members = list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]]


class Root:
    """A tree to unpack packages into, with something beside it that must stay as it is."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.target = where / "in" / "target"
        self.target.mkdir(parents=True)
        (where / "outside").mkdir()
        (where / "outside" / "file").write_text("untouched")

    def unpack(self, *packages: Members | bytes, prefix: str | None = None) -> Path:
        """Unpack packages, each a list of members, named p0, p1, and so on."""
        files = []
        for number, package in enumerate(packages):
            path = self.where / f"p{number}.deb"
            path.write_bytes(package if isinstance(package, bytes) else deb(tar(*package)))
            files.append((f"p{number} 1", path))
        unpack_packages(files, self.target, folder=prefix)
        self.check_outside()
        return self.target

    def refuse(self, *packages: Members | bytes, prefix: str | None = None) -> ArchiveError:
        """Unpack, which must fail, and leave nothing in the target nor beside it."""
        with pytest.raises(ArchiveError) as caught:
            self.unpack(*packages, prefix=prefix)
        self.check_outside()
        assert list(self.target.iterdir()) == []
        assert caught.value.what.endswith(".")
        assert caught.value.where
        return caught.value

    def check_outside(self) -> None:
        """Nothing may have appeared, gone or changed beside the target."""
        (outside,) = (self.where / "outside").iterdir()
        assert outside.read_text() == "untouched"
        beside = {path.name for path in (self.where / "in").iterdir()}
        assert beside <= {"target", "target.unpacking"}
        names = {path.name for path in self.where.iterdir() if path.suffix != ".deb"}
        assert names == {"in", "outside"}


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


def names(target: Path) -> set[str]:
    return {entry["path"] for entry in scan(target)}


def test_packages_lie_together_and_nothing_is_left_beside_them(root: Root) -> None:
    one: Members = [folder("usr"), folder("usr/bin"), file("usr/bin/a", b"a", 0o755)]
    other: Members = [folder("usr"), folder("usr/share"), file("usr/share/b", b"b")]
    target = root.unpack(one, other)
    assert names(target) == {"usr/bin/a", "usr/share/b", "bin"}
    assert {path.name for path in (root.where / "in").iterdir()} == {"target"}


def test_a_folder_of_members_need_not_be_named_and_may_be_empty(root: Root) -> None:
    target = root.unpack([file("a/b/c", b"x")], [folder("var"), folder("var/empty")])
    assert names(target) == {"a/b/c", "var/empty"}


def test_absolute_links_are_made_relative_and_lead_to_the_same_file(root: Root) -> None:
    target = root.unpack(
        [
            file("etc/real", b"real"),
            link("usr/share/deep/way", "/etc/real"),
            link("way", "/etc/real"),
            link("usr/top", "/"),
            link("usr/slashes", "//etc//real"),
        ],
        [link("opt/other", "/etc/real"), link("opt/dead", "/nowhere/at/all")],
    )
    for name in ("usr/share/deep/way", "way", "usr/slashes", "opt/other"):
        assert (target / name).read_text() == "real"
        assert not (target / name).readlink().is_absolute()
    assert (target / "usr/top").resolve() == target
    assert (target / "opt/dead").resolve() == target / "nowhere/at/all"


def test_the_host_is_never_reached_by_an_absolute_link(root: Root) -> None:
    target = root.unpack([link("passwd", "/etc/passwd")])
    assert not (target / "passwd").exists()


def test_a_link_stays_true_when_the_tree_is_moved(root: Root) -> None:
    target = root.unpack([file("etc/real", b"real"), link("usr/way", "/etc/real")])
    moved = target.rename(root.where / "in" / "target.unpacking")
    assert (moved / "usr/way").read_text() == "real"
    moved.rename(target)


@pytest.mark.parametrize("target", ["/../outside", "../../outside", "/a/../../outside", "a/../.."])
def test_a_link_that_leaves_the_root_is_refused(root: Root, target: str) -> None:
    assert "would write outside" in root.refuse([file("a/f"), link("way", target)]).what


def chain(name: str, outside: str) -> Members:
    """Links that stay inside by their text, and lead out when they are followed."""
    return [
        folder("a"),
        folder("a/b"),
        folder("a/b/c"),
        link("a/b/c/top", "../../.."),
        link(name, f"a/b/c/top/../../../{outside}"),
    ]


def test_links_that_leave_the_root_only_together_are_refused(root: Root) -> None:
    assert "would write outside" in root.refuse(chain("way", "outside")).what
    one: Members = [folder("a"), folder("a/b"), link("a/b/top", "../..")]
    other: Members = [link("way", "a/b/top/../x")]
    assert "would write outside" in root.refuse(one, other).what


def test_a_prefix_is_not_found_through_links_that_leave_the_root(root: Root) -> None:
    hostile = chain("opt", "")
    for prefix in ("opt/outside", "opt/in", "opt"):
        assert "would write outside" in root.refuse(hostile, prefix=prefix).what


def test_a_file_through_the_link_of_another_package_is_refused(root: Root) -> None:
    for target in ("/", "..", "../outside", "/../outside", "other"):
        way: Members = [folder("usr"), link("usr/way", target)]
        through: Members = [file("usr/way/file", b"changed")]
        for packages in ((way, through), (through, way)):
            root.refuse(*packages)


@pytest.mark.parametrize("target", ["/", "usr/lib/../..", "."])
def test_a_link_in_place_of_a_merged_folder_does_not_lead_others_astray(
    root: Root, target: str
) -> None:
    found = root.unpack([link("lib", target)], [file("lib/file", b"x")])
    assert (found / "usr/lib/file").read_bytes() == b"x"


def test_two_packages_may_have_the_same_file_and_the_same_link(root: Root) -> None:
    same: Members = [file("usr/a", b"same"), link("usr/b", "a"), folder("usr/c")]
    target = root.unpack(same, same, same)
    assert names(target) == {"usr/a", "usr/b", "usr/c"}


DIFFERENT: list[tuple[Members, Members]] = [
    ([file("usr/a", b"one")], [file("usr/a", b"two")]),
    ([file("usr/a", b"one")], [folder("usr/a")]),
    ([file("usr/a", b"one")], [link("usr/a", "b"), file("usr/b", b"one")]),
    ([link("usr/a", "b")], [link("usr/a", "c")]),
    ([link("usr/a", "b")], [folder("usr/a"), file("usr/a/x")]),
    ([file("usr/a/b", b"x")], [file("usr/a", b"x")]),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_two_packages_with_a_different_file_are_refused_by_name(
    root: Root, one: Members, other: Members
) -> None:
    for packages in ((one, other), (other, one)):
        error = root.refuse(*packages)
        assert error.what == "two packages have a different a."
        assert error.where.startswith("p1 1: ")


def test_hard_links_are_one_file_and_a_failure_of_one_package_is_told(root: Root) -> None:
    target = root.unpack([file("usr/a", b"x"), hard_link("usr/b", "./usr/a")])
    assert (target / "usr/a").samefile(target / "usr/b")


def test_a_device_node_is_refused(root: Root) -> None:
    good: Members = [file("usr/a", b"x")]
    error = root.refuse(good, [special("dev/null", tarfile.CHRTYPE)], good)
    assert "a device or other special file" in error.what
    assert error.where == "p1 1"


def test_a_damaged_package_among_good_ones_leaves_nothing_in_the_target(root: Root) -> None:
    good: Members = [file("usr/a", b"x")]
    assert "p1.deb cannot be unpacked" in root.refuse(good, b"noise", good).what
    assert root.unpack(good).joinpath("usr/a").read_bytes() == b"x"  # what was left is no matter


def test_older_packages_are_put_where_the_links_of_merged_usr_lead(root: Root) -> None:
    base: Members = [link("bin", "usr/bin"), link("lib", "usr/lib"), folder("usr/bin")]
    old: Members = [
        file("bin/sh", b"sh", 0o755),
        file("lib/x86/libx.so.1", b"x"),
        link("lib/x86/libx.so", "libx.so.1"),
        file("sbin/tool", b"tool", 0o755),
    ]
    new: Members = [file("usr/bin/new", b"new", 0o755), file("usr/lib/x86/liby.so", b"y")]
    target = root.unpack(base, old, new)
    assert {name: str((target / name).readlink()) for name in ("bin", "lib", "sbin")} == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "sbin": "usr/sbin",
    }
    for place in ("", "usr/"):
        assert (target / place / "bin/sh").read_bytes() == b"sh"
        assert (target / place / "bin/new").read_bytes() == b"new"
        assert (target / place / "lib/x86/libx.so").read_bytes() == b"x"
        assert (target / place / "lib/x86/liby.so").read_bytes() == b"y"
        assert (target / place / "sbin/tool").read_bytes() == b"tool"


def test_absolute_links_of_older_packages_lead_to_the_same_file(root: Root) -> None:
    old: Members = [
        file("etc/real", b"real"),
        file("usr/share/x", b"x"),
        link("bin/way", "/etc/real"),
        link("lib/x86/deep", "/usr/share/x"),
        link("lib/back", "/lib/x86/deep"),
        link("usr/bin/way2", "/etc/real"),
    ]
    target = root.unpack(old)
    assert (target / "bin/way").read_text() == "real"
    assert (target / "usr/bin/way2").read_text() == "real"
    assert (target / "lib/x86/deep").read_text() == "x"
    assert (target / "usr/lib/back").read_text() == "x"


def test_one_package_may_have_both_forms_of_a_folder(root: Root) -> None:
    target = root.unpack([file("lib/a", b"a"), file("usr/lib/b", b"b"), file("usr/lib/a", b"a")])
    assert names(target) == {"lib", "usr/lib/a", "usr/lib/b"}


@pytest.mark.parametrize("where", ["usr", "usr/lib"])
def test_older_files_are_not_moved_through_a_link_in_place_of_usr(root: Root, where: str) -> None:
    up = "../" * where.count("/")
    for way in (
        [*chain("way", "outside"), link(where, f"{up}way")],
        [folder("opt/lib"), link(where, f"{up}opt")],
        [file(where, b"x")],
    ):
        error = root.refuse([*way, file("lib/a", b"changed")])
        assert error.what == f"p0 1 has files in /lib, and its {where} is no folder."


def test_the_same_place_in_both_forms_with_other_content_is_refused(root: Root) -> None:
    assert "different a" in root.refuse([file("lib/a", b"a"), file("usr/lib/a", b"b")]).what
    assert "different a" in root.refuse([file("lib/a", b"a")], [file("usr/lib/a", b"b")]).what


ROCM: Members = [
    file("opt/rocm-6.4.4/bin/hipcc", b"hipcc", 0o755),
    file("opt/rocm-6.4.4/lib/x.so.1", b"x"),
    link("opt/rocm-6.4.4/lib/x.so", "x.so.1"),
    link("opt/rocm-6.4.4/lib/y.so", "/opt/rocm-6.4.4/lib/x.so.1"),
]


def test_with_a_folder_only_that_is_kept_and_becomes_the_top(root: Root) -> None:
    other: Members = [file("usr/share/doc/x", b"doc"), link("etc/way", "/opt/rocm-6.4.4")]
    target = root.unpack(ROCM, other, prefix="opt/rocm-6.4.4")
    assert names(target) == {"bin/hipcc", "lib/x.so.1", "lib/x.so", "lib/y.so"}
    assert (target / "lib/x.so").read_bytes() == b"x"
    assert (target / "lib/y.so").read_bytes() == b"x"


def test_a_folder_may_be_a_link_to_the_real_one(root: Root) -> None:
    way: Members = [link("opt/rocm", "rocm-6.4.4")]
    target = root.unpack(ROCM, way, prefix="opt/rocm")
    assert (target / "bin/hipcc").read_bytes() == b"hipcc"


def test_a_link_out_of_the_kept_folder_is_refused(root: Root) -> None:
    out: Members = [link("opt/rocm-6.4.4/lib/out", "../../../usr/lib/x"), file("usr/lib/x", b"x")]
    assert "would write outside" in root.refuse(ROCM, out, prefix="opt/rocm-6.4.4").what
    back: Members = [link("opt/rocm-6.4.4/lib/back", "../../../opt/rocm-6.4.4/lib/x.so.1")]
    assert "would write outside" in root.refuse(ROCM, back, prefix="opt/rocm-6.4.4").what


def test_a_folder_that_no_package_has_is_a_sentence(root: Root) -> None:
    for prefix in ("opt/rocm-7", "opt/rocm-6.4.4/bin/hipcc"):
        error = root.refuse(ROCM, prefix=prefix)
        assert error.what == f"the packages have no folder {prefix}."
        assert "`folder`" in error.fix


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def test_the_tree_is_the_same_under_every_umask_and_order_of_members(tmp_path: Path) -> None:
    packages: list[Members] = [
        [folder("usr"), folder("usr/bin"), file("usr/bin/a", b"a", 0o4755), link("w", "/usr")],
        [file("lib/b", b"b", 0o600), folder("var/empty"), hard_link("lib/c", "./lib/b")],
    ]
    digests = set()
    for value in (0o000, 0o022, 0o077):
        for backwards in (False, True):
            with umask(value):
                root = Root(tmp_path / f"{value}-{backwards}")
                found = root.unpack(*(packages[::-1] if backwards else packages))
            digests.add(tree_digest(scan(found)))
    assert len(digests) == 1


places = st.lists(
    st.sampled_from(["a", "b", "lib", "usr", "usr/lib", ".."]), min_size=1, max_size=3
)
paths = places.map("/".join)
targets = st.tuples(st.sampled_from(["", "/", "../", "../../"]), paths).map("".join)
members = st.one_of(
    paths.map(lambda path: file(path, b"x")),
    paths.map(folder),
    st.builds(link, paths, targets),
    st.builds(hard_link, paths, paths.map(lambda path: f"./{path}")),
)
packages = st.lists(st.lists(members, max_size=4), min_size=1, max_size=3)
prefixes = st.none() | st.sampled_from(["a", "a/b", "lib", "usr"])


def mixed(where: Path, some: list[Members], prefix: str | None) -> None:
    root = Root(where)
    error = refusal(lambda: root.unpack(*some, prefix=prefix), ArchiveError)
    root.check_outside()
    if error is not None:
        assert list(root.target.iterdir()) == []
        return
    real = root.target.resolve()
    for path in root.target.rglob("*"):
        assert Path(os.path.realpath(path)).is_relative_to(real)


@pytest.mark.slow
@settings(max_examples=1000)
@given(packages, prefixes)
def test_thousands_of_packages_make_a_tree_that_leads_nowhere_else_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, some: list[Members], prefix: str | None
) -> None:
    mixed(tmp_path_factory.mktemp("apt") / "root", some, prefix)


@given(packages, prefixes)
def test_any_packages_make_a_tree_that_leads_nowhere_else_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, some: list[Members], prefix: str | None
) -> None:
    mixed(tmp_path_factory.mktemp("apt") / "root", some, prefix)
