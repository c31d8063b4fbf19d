"""Tar archives, compressed or not, and Debian packages: made here, nested, cut off and lying."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strixforge.audit import bounds
from strixforge.audit.codeobjects import CodeObject, NoDeviceCode, Unreadable, survey
from tests.unit.test_codeobjects import GFX1100, brief, bundle, compressed, device, fatbin, zipped

LABEL = "hipv4-amdgcn-amd-amdhsa--gfx1151"
TABLE = msgspec.msgpack.encode({"solutions": [], "library": {}})
FILES = {
    "usr/lib/libk.so": fatbin(bundle((LABEL, device()))),
    "usr/lib/x/library/a.dat": TABLE,
    "usr/lib/x/library/k.hsaco": device(GFX1100),
    "usr/share/doc/copyright": b"text",
}


def tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("usr/lib/libk.so.1")
        link.type, link.linkname = tarfile.SYMTYPE, "libk.so"
        archive.addfile(link)
    return content.getvalue()


def deb(data: bytes, name: str = "data.tar.xz") -> bytes:
    members = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data)]
    found = b"!<arch>\n"
    for member, content in members:
        header = f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        found += header.encode() + content + b"\n" * (len(content) % 2)
    return found


WHOLE = tar(FILES)
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    ".tar": bytes,
    ".tar.gz": gzip.compress,
    ".tar.xz": lzma.compress,
    ".tar.bz2": bz2.compress,
    ".tar.zst": zstandard.compress,
    ".tgz": gzip.compress,
}


def seen(path: Path, content: bytes) -> list[CodeObject | Unreadable | NoDeviceCode]:
    path.write_bytes(content)
    return list(survey(path))


def check(path: Path, content: bytes) -> None:
    """Check that each file of FILES was seen."""
    found = seen(path, content)
    objects = [one for one in found if isinstance(one, CodeObject)]
    assert [one[:3] for one in brief(objects)] == [
        (f"{path}!usr/lib/libk.so!.hip_fatbin!0!{LABEL}", "gfx1151", LABEL),
        (f"{path}!usr/lib/x/library/k.hsaco", "gfx1100", None),
    ]
    assert [one for one in found if one not in objects] == [
        NoDeviceCode(f"{path}!usr/lib/x/library/a.dat", "Tensile solutions"),
        NoDeviceCode(f"{path}!usr/share/doc/copyright", "other"),
    ]


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_tar_of_each_compression(tmp_path: Path, suffix: str) -> None:
    check(tmp_path / f"a{suffix}", COMPRESSIONS[suffix](WHOLE))


def test_a_tar_by_another_name_is_known_by_its_header(tmp_path: Path) -> None:
    check(tmp_path / "bundle.bin", WHOLE)


@pytest.mark.parametrize("suffix", [".tar", ".tar.xz", ".tar.zst", ".tar.gz"])
def test_a_debian_package(tmp_path: Path, suffix: str) -> None:
    check(tmp_path / "a.deb", deb(COMPRESSIONS[suffix](WHOLE), f"data{suffix}"))


def test_a_wheel_in_a_tar_in_a_wheel(tmp_path: Path) -> None:
    inner = zipped({"k.hsaco": device()})
    path = tmp_path / "a.whl"
    found = seen(path, zipped({"b.tar.gz": gzip.compress(tar({"c.whl": inner}))}))
    assert [one[0] for one in brief([one for one in found if isinstance(one, CodeObject)])] == [
        f"{path}!b.tar.gz!c.whl!k.hsaco"
    ]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.tar", b"no tar at all", "tar archive cannot be read"),
        ("a.tar.gz", b"no gzip", "tar archive cannot be read"),
        ("a.tar.xz", lzma.compress(WHOLE)[:-200], "tar archive cannot be read"),
        ("a.tar.zst", zstandard.compress(WHOLE)[:40], "tar archive cannot be read"),
        ("a.tar", WHOLE[: len(WHOLE) // 2], "is cut off"),
        ("a.tar", WHOLE[:-10240], "is cut off"),
        ("a.tar", WHOLE.rstrip(b"\0")[:-1], "is cut off"),
        ("a.deb", deb(b"", "other.tar.xz"), "has no data.tar"),
        ("a.deb", deb(lzma.compress(WHOLE))[:100], "has no data.tar"),
        ("a.deb", deb(lzma.compress(WHOLE))[:-400], "cannot be read"),
        ("a.tar", tar({"x/library/a.dat": b"no table"}), "no msgpack map"),
        ("a.tar", tar({"x/library/a.dat": TABLE[:-1]}), "solutions that cannot be read"),
        ("a.tar", tar({"k.co": b"odd"}), "its format is not known"),
        ("a.tar", tar({".kpack/k.kpack": b"KPAK"}), "cannot be read yet"),
        ("a.tar", tar({".kpack/k.kpack": b""}), "empty"),
        ("a.tar", tar({"k.co": compressed(bundle((LABEL, device())))[:-1]}), "compressed bundle"),
    ],
    ids=range(16),
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    found = seen(tmp_path / name, content)
    assert any(isinstance(one, Unreadable) and why in one.reason for one in found), found


def test_an_archive_that_bursts_ends_at_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds.Budget, "for_file", lambda size, _: bounds.Budget(20 * size))
    content = lzma.compress(tar({"k": bytes(8 << 20)}))
    (only,) = seen(tmp_path / "a.tar.xz", content)
    assert isinstance(only, Unreadable)
    assert "far more than the file" in only.reason


@settings(
    max_examples=200, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_are_told_or_read(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(deb(WHOLE, "data.tar"))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    assert seen(tmp_path / "a.deb", bytes(content))
