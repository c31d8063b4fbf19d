"""What a wheelhouse needs of the host: its Python, read from the wheels, and its glibc."""

import io
import struct
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.tags import compatible_tags, cpython_tags

from strixforge.audit.bounds import MalformedError
from strixforge.gates.contents import read_archive
from strixforge.gates.dynamic import read_dynamic
from strixforge.model.errors import GateError
from strixforge.release.glibc import Highest, highest, needed
from strixforge.release.python import NeededPython, needed_python


def wheel(folder: Path, name: str, tag: str, requires: str | None = None) -> Path:
    path = folder / f"{name}-1.0-{tag}-linux_x86_64.whl"
    said = "" if requires is None else f"Requires-Python: {requires}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Name: {name}\n{said}\nText: >=9\n")
    return path


def test_without_wheels_it_is_what_the_installer_needs() -> None:
    assert needed_python([]) == NeededPython("3.10", exact=False, requires=">=3.10")


@pytest.mark.parametrize(
    ("tag", "requires", "minimum", "exact"),
    [
        ("py3-none", None, "3.10", False),
        ("py2.py3-none", None, "3.10", False),
        ("py3-none", ">=3.12", "3.12", False),
        ("py3-none", ">=3.11.4,<4", "3.11", False),
        ("py3-none", "!=3.10.*", "3.11", False),
        ("py3-none", ">=3.6.*", "3.10", False),  # not valid, and not heeded by pip either
        ("py312-none", None, "3.12", False),
        ("cp38-abi3", ">=3.8", "3.10", False),
        ("cp312-abi3", None, "3.12", False),
        ("cp315-abi3.abi3t", None, "3.15", False),
        ("cp313-cp313", ">=3.9", "3.13", True),
        ("cp313-none", None, "3.13", True),
        ("cp312.cp313-none", ">=3.13", "3.13", True),
    ],
)
def test_one_wheel(
    tmp_path: Path, tag: str, requires: str | None, minimum: str, exact: bool
) -> None:
    needed = needed_python([wheel(tmp_path, "one", tag, requires)])
    assert (needed.minimum, needed.exact) == (minimum, exact)


def test_what_all_wheels_require_is_kept(tmp_path: Path) -> None:
    wheels = [
        wheel(tmp_path, "a", "py3-none", ">=3.9,<4"),
        wheel(tmp_path, "b", "cp311-abi3", "<3.14"),
    ]
    assert needed_python(wheels) == NeededPython(
        "3.11", exact=False, requires="<3.14,<4,>=3.10,>=3.9"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("cp312-cp312", None), ("cp313-cp313", None)),
        (("cp312-cp312", None), ("py3-none", ">=3.13")),
        (("cp313-abi3", None), ("py3-none", "<3.13")),
        (("py3-none", ">=3.12.5"), ("py3-none", "==3.12.4")),
    ],
)
def test_wheels_that_contradict_each_other_are_named(
    tmp_path: Path, first: tuple[str, str | None], second: tuple[str, str | None]
) -> None:
    wheels = [
        wheel(tmp_path, "other", "py3-none"),
        wheel(tmp_path, "first", *first),
        wheel(tmp_path, "second", *second),
    ]
    with pytest.raises(GateError) as error:
        needed_python(wheels)
    assert wheels[1].name in error.value.what
    assert wheels[2].name in error.value.what
    assert "other" not in str(error.value)
    assert first[0] in error.value.where


def test_a_wheel_for_an_older_python_than_the_installer_runs_under_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(GateError, match=r"install\.sh and old-1\.0-cp39"):
        needed_python([wheel(tmp_path, "old", "cp39-cp39")])


@pytest.mark.parametrize("tag", ["cp313-cp313t", "cp315-abi3t", "pp310-pypy310_pp73", "py2-none"])
def test_a_wheel_that_is_not_for_cpython_is_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(GateError, match="is not for CPython"):
        needed_python([wheel(tmp_path, "one", tag)])


def test_a_wheel_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cut = wheel(tmp_path, "cut", "py3-none")
    cut.write_bytes(cut.read_bytes()[:-30])
    bare = tmp_path / "bare-1.0-py3-none-any.whl"
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("bare.py", "")
    misnamed = wheel(tmp_path, "one", "py3-none").rename(tmp_path / "one.whl")
    for path in (cut, bare, misnamed):
        with pytest.raises(GateError, match=path.name):
            needed_python([path])


MINORS = st.integers(9, 15)
TAGS = st.one_of(
    st.just(["py3-none"]),
    st.just(["py2-none", "py3-none"]),
    MINORS.map(lambda minor: [f"py3{minor}-none"]),
    MINORS.map(lambda minor: [f"cp3{minor}-abi3"]),
    MINORS.map(lambda minor: [f"cp3{minor}-cp3{minor}"]),
    MINORS.map(lambda minor: [f"cp3{minor}-cp3{minor}", f"cp3{minor}-abi3"]),
    MINORS.map(lambda minor: [f"cp3{minor}-cp3{minor}t"]),
)
REQUIRES = st.one_of(
    st.none(),
    st.sampled_from(["", ">=3.8", "<4", ">=3.11", ">=3.11.5", "<3.13", "!=3.12.*", "~=3.12"]),
)


def as_one(tags: list[str]) -> str:
    """Write tags as a file name does."""
    return "-".join(
        ".".join(sorted(set(part))) for part in zip(*(t.split("-") for t in tags), strict=True)
    )


def installs(tags: list[str], requires: str | None, version: tuple[int, int]) -> bool:
    """Say whether packaging, and so pip, takes such a wheel under Python 3.`version`."""
    minor = (3, version[0])
    usable = {
        *cpython_tags(minor, abis=[f"cp3{version[0]}"], platforms=["linux_x86_64"]),
        *compatible_tags(minor, f"cp3{version[0]}", ["linux_x86_64"]),
    }
    named = any(f"{tag.interpreter}-{tag.abi}" in tags for tag in usable)
    return named and f"3.{version[0]}.{version[1]}" in SpecifierSet(requires or "")


@given(st.lists(st.tuples(TAGS, REQUIRES), max_size=4))
@settings(deadline=None)
def test_a_python_fits_when_packaging_takes_every_wheel_under_it(
    wheels: list[tuple[list[str], str | None]],
) -> None:
    versions = [(minor, patch) for minor in range(10, 17) for patch in (0, 5)]
    taken = [v for v in versions if all(installs(*one, v) for one in wheels)]
    with tempfile.TemporaryDirectory() as folder:
        made = [
            wheel(Path(folder), f"w{number}", as_one(tags), requires)
            for number, (tags, requires) in enumerate(wheels)
        ]
        try:
            needed = needed_python(made)
        except GateError:
            assert taken == []
            return
    low = int(needed.minimum.removeprefix("3."))
    fitting = [
        (minor, patch)
        for minor, patch in versions
        if (minor == low if needed.exact else minor >= low)
        and f"3.{minor}.{patch}" in SpecifierSet(needed.requires)
    ]
    assert fitting == taken
    assert fitting[0][0] == low


def compiled(path: Path, code: str, *options: str) -> Path:
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), *options]
    subprocess.run(command, input=code, text=True, check=True)
    return path


def versions(folder: Path, version: str, soname: str = "libstub.so") -> list[str]:
    """Return options to link against a libc that has the symbol `later` in this version."""
    (folder / "map").write_text(f"{version} {{ global: later; }};\n")
    compiled(
        folder / "libstub.so",
        "int later(void) { return 1; }",
        *("-nostdlib", f"-Wl,-soname,{soname}", f"-Wl,--version-script={folder / 'map'}"),
    )
    return [f"-L{folder}", "-nostdlib", "-Wl,--no-as-needed", "-lstub"]


def needs(content: bytes, family: str = "GLIBC") -> tuple[int, ...] | None:
    """Return the version that a library needs; None for what is none, or damaged."""
    try:
        dynamic = read_dynamic(memoryview(content))
    except (MalformedError, struct.error):  # as read_archive takes it
        return None
    return None if dynamic is None else needed(dynamic, family)


CALLS = "int later(void); int f(void) { return later(); }"


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("GLIBC_2.38", (2, 38)),
        ("GLIBC_2.2.5", (2, 2)),
        ("GLIBC_PRIVATE", ()),
        ("GLIBCXX_3.4.32", ()),
        ("GLIBC_ABI_DT_RELR", (2, 36)),
    ],
)
def test_the_glibc_that_a_library_needs(
    tmp_path: Path, version: str, found: tuple[int, ...]
) -> None:
    options = versions(tmp_path, version)
    library = compiled(tmp_path / "lib.so", CALLS, "-x", "none", *options)
    assert needs(library.read_bytes()) == found


@pytest.mark.parametrize(
    ("version", "family", "found"),
    [
        ("GLIBCXX_3.4.32", "GLIBCXX", (3, 4, 32)),
        ("CXXABI_1.3.9", "CXXABI", (1, 3, 9)),
        ("CXXABI_FLOAT128", "CXXABI", ()),
        ("GLIBC_2.38", "GLIBCXX", ()),
    ],
)
def test_the_version_of_the_c_plus_plus_library_that_one_needs(
    tmp_path: Path, version: str, family: str, found: tuple[int, ...]
) -> None:
    options = versions(tmp_path, version, "libstdc++.so.6")
    library = compiled(tmp_path / "lib.so", CALLS, "-x", "none", *options)
    assert needs(library.read_bytes(), family) == found


def test_what_may_be_missing_is_not_needed(tmp_path: Path) -> None:
    library = compiled(tmp_path / "l.so", CALLS, "-x", "none", *versions(tmp_path, "GLIBC_2.38"))
    content = bytearray(library.read_bytes())
    section = ELFFile(io.BytesIO(bytes(content))).get_section_by_name(".gnu.version_r")
    assert isinstance(section, GNUVerNeedSection)
    flags = section["sh_offset"] + 16 + 4  # vna_flags of the first version of the first library
    content[flags] |= 2  # VER_FLG_WEAK
    assert needs(bytes(content)) == ()


def test_a_library_without_section_table_is_read_as_the_loader_reads_it(tmp_path: Path) -> None:
    library = compiled(tmp_path / "l.so", CALLS, "-x", "none", *versions(tmp_path, "GLIBC_2.38"))
    content = bytearray(library.read_bytes())
    content[40:48] = bytes(8)  # e_shoff
    content[58:64] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
    library.write_bytes(content)
    assert needs(library.read_bytes()) == (2, 38)


def test_other_files_need_none(tmp_path: Path) -> None:
    object_file = compiled(tmp_path / "f.o", "int f(void) { return 1; }", "-c", "-r", "-nostdlib")
    for content in (b"", b"text", b"\x7fELF", b"\x7fELF" + bytes(200), object_file.read_bytes()):
        assert needs(content) is None


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("library")
    options = versions(folder, "GLIBC_2.38")
    return compiled(folder / "lib.so", CALLS, "-x", "none", *options).read_bytes()


@given(data=st.data())
@settings(deadline=None)
def test_no_damage_of_a_library_ends_in_an_error(library: bytes, data: st.DataObject) -> None:
    content = bytearray(library)
    for _ in range(data.draw(st.integers(1, 4))):
        # The headers and the first pages, where dynamic section and versions lie too.
        place = data.draw(st.integers(0, len(content) - 8))
        value = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + len(value)] = value
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(content))))
    needs(bytes(content[:cut]))


def top(folder: Path) -> Highest:
    names = [path.relative_to(folder).as_posix() for path in folder.glob("*/*")]
    read = (
        read_archive(folder, one, "", "", as_it_came=False, is_toolchain=False) for one in names
    )
    return highest(read, "GLIBC")


def test_the_highest_of_a_wheelhouse_is_named_with_its_file(tmp_path: Path) -> None:
    for folder in ("wheels", "prefixes"):
        (tmp_path / folder).mkdir()
    assert top(tmp_path) == Highest("", "")
    made = {}
    for version in ("2.9", "2.38"):
        options = versions(tmp_path, f"GLIBC_{version}")
        made[version] = compiled(tmp_path / "lib.so", CALLS, "-x", "none", *options).read_bytes()
    with zipfile.ZipFile(tmp_path / "wheels/a-1-py3-none-any.whl", "w") as archive:
        archive.writestr("a/lib.so", made["2.9"])
        archive.writestr("a/empty", b"")
    assert top(tmp_path) == Highest("2.9", "wheels/a-1-py3-none-any.whl: a/lib.so")
    with tarfile.open(tmp_path / "prefixes/p-1.tar", "w") as tar:
        for name, content in (
            ("lib/z.so", made["2.38"]),
            ("lib/x.so.1", made["2.38"]),
            ("lib/damaged.so", b"\x7fELF" + b"\xff" * 80),
            ("share/empty", b""),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("lib/x.so")
        link.type, link.linkname = tarfile.SYMTYPE, "x.so.1"
        tar.addfile(link)
    assert top(tmp_path) == Highest("2.38", "prefixes/p-1.tar: lib/x.so.1")
