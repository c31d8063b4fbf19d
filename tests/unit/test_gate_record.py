"""RECORD against the files of a wheel: all that differs is told, never as a traceback."""

import base64
import hashlib
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strixforge.gates.contents import read_archive
from strixforge.gates.record import check
from strixforge.gates.staged import Staged
from strixforge.plan.python import running
from tests.unit.staging import record, write_wheel

NAME = "a-1-py3-none-any.whl"
LISTING = "a-1.dist-info/RECORD"


def told(folder: Path, name: str = NAME) -> list[str]:
    """Return what the gate says of a wheel in a folder."""
    archive = read_archive(folder, name, "", "", as_it_came=False, is_toolchain=False)
    staged = Staged((archive,), {}, running(), "gfx1151", system_rocm=False)
    return [one.what for one in check(staged).findings]


FILES = {"a/__init__.py": b"x\n", "a/.data": b"", "a-1.dist-info/METADATA": b"Name: a\n"}


def listed(*rows: str) -> dict[str, bytes]:
    """Return files with rows of RECORD beside the right ones."""
    text = record(FILES, LISTING) + ("\n".join(rows) + "\n").encode()
    return {**FILES, LISTING: text}


def unlisted() -> dict[str, bytes]:
    return {**FILES, LISTING: record({"a/__init__.py": b"x\n"}, LISTING)}


def test_a_wheel_as_it_was_packed_passes(tmp_path: Path) -> None:
    signed = {**FILES, f"{LISTING}.jws": b"{}"}
    write_wheel(tmp_path / NAME, {**signed, LISTING: record(FILES, LISTING)})
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (listed("a/gone.py,sha256=x,1"), ["RECORD lists a/gone.py, which is not there"]),
        (listed("../x,,"), ["RECORD lists ../x, which leads out of the wheel"]),
        (listed("a/.data,,"), ["RECORD lists a/.data twice", "a/.data has another sha256"]),
        (unlisted(), ["a/.data is not listed in RECORD", "a-1.dist-info/METADATA is not listed"]),
        ({**FILES, LISTING: b"\xff"}, [f"{LISTING} cannot be read: 'utf-8'"]),
        ({**FILES, LISTING: b'"' + b"x" * 140_000}, [f"{LISTING} cannot be read: field larger"]),
        ({**FILES, "b-1.dist-info/RECORD": b""}, ["it has 2 RECORD"]),
    ],
)
def test_what_differs_is_told(tmp_path: Path, files: dict[str, bytes], said: list[str]) -> None:
    write_wheel(tmp_path / NAME, files)
    found = told(tmp_path)
    assert len(found) == len(said), found
    for text, start in zip(found, said, strict=True):
        assert text.startswith(start), found


@pytest.mark.parametrize(
    ("digest", "size", "said"),
    [
        ("sha256=AAAA", "2", "a/__init__.py has another sha256 than RECORD says"),
        ("md5=AAAA", "2", "a/__init__.py has another sha256 than RECORD says"),
        ("", "2", "a/__init__.py has another sha256 than RECORD says"),
        (None, "3", "a/__init__.py has 2 bytes, and RECORD says 3"),
        (None, "", "a/__init__.py has 2 bytes, and RECORD says nothing"),
    ],
)
def test_sha256_and_size_must_be_those_of_the_file(
    tmp_path: Path, digest: str | None, size: str, said: str
) -> None:
    right = base64.urlsafe_b64encode(hashlib.sha256(b"x\n").digest()).rstrip(b"=").decode()
    first, *rest = record(FILES, LISTING).decode().splitlines()
    assert first == f"a/__init__.py,sha256={right},2"
    said_digest = f"sha256={right}" if digest is None else digest
    rows = [f"a/__init__.py,{said_digest},{size}", *rest]
    write_wheel(tmp_path / NAME, {**FILES, LISTING: "\n".join(rows).encode()})
    assert told(tmp_path) == [said]


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a\\x", "a//x", "./x", "c:x", "a/../../x"])
def test_a_path_that_leads_out_is_told(tmp_path: Path, name: str) -> None:
    write_wheel(tmp_path / NAME, {**FILES, name: b"1"})
    found = told(tmp_path)
    assert f"{name} is no path below the folder that it is installed to" in found
    assert f"RECORD lists {name}, which leads out of the wheel" in found


def test_a_file_that_is_there_twice_is_told(tmp_path: Path) -> None:
    write_wheel(tmp_path / NAME, FILES)
    with (
        zipfile.ZipFile(tmp_path / NAME, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("a/__init__.py", "x\n")
    assert told(tmp_path) == ["a/__init__.py is in it twice"]


def test_record_of_another_wheel_is_told(tmp_path: Path) -> None:
    write_wheel(tmp_path / NAME, FILES)
    (tmp_path / NAME).rename(tmp_path / "b-1-py3-none-any.whl")
    assert told(tmp_path, "b-1-py3-none-any.whl") == [f"{LISTING} is not that of the wheel's name"]


def test_a_folder_of_its_own_is_no_file_but_one_with_contents_is(tmp_path: Path) -> None:
    write_wheel(tmp_path / NAME, FILES)
    with zipfile.ZipFile(tmp_path / NAME, "a") as archive:
        archive.writestr("a/empty/", "")
    assert told(tmp_path) == []
    with zipfile.ZipFile(tmp_path / NAME, "a") as archive:
        archive.writestr("a/full/", "hidden")
    assert "a/full/ is not listed in RECORD" in told(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_told(tmp_path: Path, method: int) -> None:
    write_wheel(tmp_path / NAME, FILES)
    with zipfile.ZipFile(tmp_path / NAME, "a", method) as archive:
        archive.writestr("a/x", "x" * 100)
    assert any("compression method" in one for one in told(tmp_path))


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a/bomb", "w", force_zip64=True) as file:
            for _ in range(700):
                file.write(bytes(1 << 20))
        archive.writestr(LISTING, "a/bomb,,\n")
    assert any("unpacks to far more" in one for one in told(tmp_path))


def test_what_is_no_zip_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no zip")
    assert told(tmp_path)[0].startswith("cannot be read: BadZipFile")


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_no_damage_ends_in_an_error_and_none_passes_unseen(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_wheel(folder / NAME, {**FILES, "a/long.py": bytes(range(256)) * 8})
        content = bytearray((folder / NAME).read_bytes())
        before = contents(folder)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(content) - 1))
            content[place : place + 1] = data.draw(st.binary(max_size=3))
        (folder / NAME).write_bytes(content)
        if not told(folder):
            assert contents(folder) == before  # dates and the like may differ


def contents(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / NAME) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@given(st.text(max_size=200), st.binary(max_size=200))
@settings(deadline=None)
def test_no_text_of_record_ends_in_an_error(text: str, more: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = text.encode("utf-8", "surrogatepass") + more
        write_wheel(Path(name) / NAME, {**FILES, LISTING: data})
        assert told(Path(name))
