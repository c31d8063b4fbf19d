"""`only`: the members of an archive that are taken, and what a key knows of that."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from strixforge.model.errors import ArchiveError, DataError
from strixforge.model.pins import ArchivePin, IndexPin
from strixforge.sources import Site, archive, kind_of
from strixforge.sources.unpacking import unpack_archive
from tests.unit.home import HASH, Home
from tests.unit.web import Reply, Server

FILES = {
    "torch/include/a.h": b"a",
    "torch/include/sub/b.h": b"b",
    "torch/lib/libtorch.so": b"large",
    "torch/version.py": b"v",
    "torch-2.dist-info/METADATA": b"m",
}


def tar(files: dict[str, bytes], **links: str) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.LNKTYPE if target.startswith("=") else tarfile.SYMTYPE
            info.linkname = target.lstrip("=")
            made.addfile(info)
    return body.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return body.getvalue()


def unpacked(tmp_path: Path, body: bytes, *only: str) -> set[str]:
    """Return the files that were unpacked."""
    file, target = tmp_path / "archive", tmp_path / "target"
    file.write_bytes(body)
    target.mkdir()
    unpack_archive(file, target, only=only)
    found = {one for one in target.rglob("*") if not one.is_dir() or one.is_symlink()}
    return {one.relative_to(target).as_posix() for one in found}


def quiet(done: int, total: int | None) -> None:
    del done, total


BOTH = pytest.mark.parametrize("body", [tar(FILES), zipped(FILES)], ids=["tar", "zip"])


@BOTH
def test_without_patterns_everything_is_taken(tmp_path: Path, body: bytes) -> None:
    assert unpacked(tmp_path, body) == FILES.keys()


@BOTH
def test_a_pattern_takes_what_matches_at_any_depth(tmp_path: Path, body: bytes) -> None:
    # The one top folder that is left is left out, as it always is.
    assert unpacked(tmp_path, body, "torch/include/*") == {"include/a.h", "include/sub/b.h"}


@BOTH
def test_several_patterns_take_what_matches_any(tmp_path: Path, body: bytes) -> None:
    found = unpacked(tmp_path, body, "torch/version.py", "*/METADATA")
    assert found == {"torch/version.py", "torch-2.dist-info/METADATA"}


@BOTH
def test_a_pattern_that_matches_nothing_beside_one_that_does(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"no member matches \*\.hpp"):
        unpacked(tmp_path, body, "*.h", "*.hpp", "*/METADATA")


@BOTH
def test_nothing_that_matches_is_an_error(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"no member matches \*\.rs, Include/\*"):
        unpacked(tmp_path, body, "*.rs", "Include/*")


def test_a_member_that_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    body = tar({"a.h": b"a", "b.h": b"b", "../escape": b"x"}, etc="/etc")
    assert unpacked(tmp_path, body, "*.h") == {"a.h", "b.h"}


def test_a_member_that_is_taken_must_still_be_safe(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="would write outside"):
        unpacked(tmp_path, tar({"a.h": b"a", "../b.h": b"x"}), "*.h")
    assert not (tmp_path / "b.h").exists()


def test_a_hard_link_to_what_is_left_out_is_refused(tmp_path: Path) -> None:
    body = tar({"a.h": b"a", "lib/x": b"x"}, **{"b.h": "=lib/x"})
    with pytest.raises(ArchiveError, match="a hard link to 'lib/x'"):
        unpacked(tmp_path, body, "*.h")


def test_a_link_between_members_that_are_taken_stays(tmp_path: Path) -> None:
    body = tar({"a.h": b"a", "lib/x": b"x"}, **{"b.h": "a.h", "c.h": "=a.h"})
    assert unpacked(tmp_path, body, "*.h") == {"a.h", "b.h", "c.h"}


def test_the_digest_of_a_source_knows_the_patterns(site: Site) -> None:
    pins = [
        ArchivePin(component="x", version="1", epoch=315532800, url="https://e/x", only=only)
        for only in ((), ("a/*",), ("b/*",), ("a/*", "b/*"))
    ]
    assert len({archive.digest(pin, site) for pin in pins}) == len(pins)


def test_the_digest_of_an_index_file_knows_the_patterns(site: Site) -> None:
    pins = [
        IndexPin(component="x", version="1", epoch=315532800, name="x", sha256=HASH, only=only)
        for only in ((), ("a/*",))
    ]
    digests = [kind_of(pin).digest(pin, site) for pin in pins]
    assert digests == [f"sha256:{HASH}", f"sha256:{HASH} ['a/*']"]


def test_a_pin_takes_its_part_of_what_was_fetched(site: Site, web: Server, tmp_path: Path) -> None:
    body = zipped(FILES)
    pin = ArchivePin(
        component="headers",
        version="2",
        epoch=315532800,
        url=web.add("/x.whl", Reply(body)),
        sha256=hashlib.sha256(body).hexdigest(),
        only=("torch/include/*", "*/METADATA"),
    )
    archive.fetch(pin, site, quiet)
    target = tmp_path / "target"
    target.mkdir()
    archive.unpack(pin, site, target)
    assert not (target / "torch" / "lib").exists()
    assert (target / "torch" / "include" / "sub" / "b.h").read_bytes() == b"b"


@pytest.mark.parametrize("pattern", ["/etc/passwd", "", "a\nb"])
def test_a_pattern_that_is_no_path_is_refused(home: Home, pattern: str) -> None:
    home.lock_file.write_text(
        'version = 1\ndefault = "main"\n[stack.main]\nsummary = "s"\n[[stack.main.pin]]\n'
        'component = "x"\nversion = "1"\nepoch = 1600000000\nsource = "index"\nname = "x"\n'
        f"only = [{pattern!r}]\n".replace("'", '"')
    )
    with pytest.raises(DataError, match="form of this key") as caught:
        home.lock()
    assert caught.value.where.endswith("stack.main.pin (x).only[0]")
