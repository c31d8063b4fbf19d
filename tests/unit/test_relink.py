"""Libraries find each other after collecting, wherever they lie in the installed tree."""

import os
import subprocess
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from strixforge.gates.installed import SITE
from strixforge.release.relink import libraries, relink_tree, relink_wheel
from tests.unit.tiny import tiny_wheel


def library(path: Path, *options: str) -> Path:
    """Compile a library of one function that is named after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = f"int {path.stem.replace('-', '_').split('.')[0]}_f(void) {{ return 1; }}\n"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), *options]
    subprocess.run(command, input=code, text=True, check=True)
    return path


def unresolved(path: Path) -> list[str]:
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True).stdout
    return [line.strip() for line in listed.splitlines() if "not found" in line]


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "PREFIX"


def test_a_neighbour_that_was_found_by_a_folder_of_the_build_is_found_again(prefix: Path) -> None:
    lib = prefix / "comp" / "lib"
    library(lib / "liba.so", "-Wl,-soname,liba.so")
    build = ("-Wl,-rpath,/strixforge/out/lib", "-Wl,--no-as-needed")
    b = library(lib / "libb.so", f"-L{lib}", *build, "-la")
    assert unresolved(b)
    assert relink_tree(prefix / "comp", PurePosixPath("comp"), {}) == ["lib/libb.so"]
    assert unresolved(b) == []


def test_libraries_are_known_by_file_name_and_links_count(prefix: Path) -> None:
    tree = prefix / "comp"
    library(tree / "libexec" / "real.so", "-Wl,-soname,libz9.so.1")
    (tree / "lib").mkdir()
    (tree / "lib" / "libz9.so.1").symlink_to("../libexec/real.so")
    library(tree / "lib" / "libplain.so")
    known = libraries(tree, PurePosixPath("comp"))
    assert known["libz9.so.1"] == PurePosixPath("comp/lib")
    assert known["libplain.so"] == PurePosixPath("comp/lib")
    other = prefix / "other"
    link = (f"-L{tree / 'lib'}", "-Wl,--no-as-needed", "-l:libz9.so.1", "-lplain")
    user = library(other / "deep" / "libuser.so", *link)
    assert unresolved(user)
    relink_tree(other, PurePosixPath("other"), known)
    assert unresolved(user) == []


def test_the_data_folders_of_a_wheel_are_where_they_will_be_installed(prefix: Path) -> None:
    library(prefix / "comp" / "lib" / "liba.so", "-Wl,-soname,liba.so")
    known = libraries(prefix / "comp", PurePosixPath("comp"))
    wheel = prefix.parent / "wheel"
    link = (f"-L{prefix / 'comp' / 'lib'}", "-Wl,--no-as-needed", "-la")
    script = library(wheel / "pkg-1.0.data" / "scripts" / "tool.so", *link)
    relink_tree(wheel, SITE, known)
    installed = prefix / "env" / "bin" / "tool.so"
    installed.parent.mkdir(parents=True)
    script.rename(installed)
    assert unresolved(installed) == []


def test_a_library_that_needs_nothing_of_ours_is_left_as_it_is(prefix: Path) -> None:
    path = library(prefix / "comp" / "lib" / "liba.so", "-Wl,-rpath,$ORIGIN/../x")
    before = path.read_bytes()
    assert relink_tree(prefix / "comp", PurePosixPath("comp"), {}) == []
    assert path.read_bytes() == before


def test_a_wheel_with_its_bill_is_the_same_bytes_under_any_umask(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    tiny_wheel(wheel)
    made = []
    for umask in (0o022, 0o077):
        target, work = tmp_path / f"{umask}", tmp_path / f"work {umask}"
        target.mkdir()
        work.mkdir()
        before = os.umask(umask)
        try:
            made.append(relink_wheel(wheel, target, work, {}, 1_700_000_000, bill="{}\n"))
        finally:
            os.umask(before)
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        assert archive.read("tiny-1.0.dist-info/sboms/strixforge.cdx.json") == b"{}\n"
