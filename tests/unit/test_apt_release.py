"""Signed indexes: read when all is right, refused in one sentence when anything is not."""

import gzip
import hashlib
import lzma
import re
from pathlib import Path
from typing import Any

import pytest

from strixforge.model.errors import FetchError, HostError, IntegrityError, StrixforgeError
from strixforge.sources.apt import keys as installed
from strixforge.sources.apt import release
from strixforge.sources.apt.release import Index, read_index
from tests.unit.debian_archive import (
    DATE,
    FOREVER,
    INRELEASE,
    PACKAGES,
    SUITE,
    Archive,
    Files,
    Keys,
    compress,
    lay_out,
    repository,
    serve,
    without,
)
from tests.unit.web import Reply, Server, closed_port

PAST = "Sat, 22 Nov 2025 09:30:00 UTC"


@pytest.fixture(scope="session")
def archive() -> Archive:
    made = Archive()
    made.add("tool", "1.0", Depends="base (>= 2)")
    made.add("base", "2.0")
    return made


@pytest.fixture(scope="session")
def signed(archive: Archive, keys: Keys) -> Files:
    """A good archive; tests change copies of it."""
    return archive.files(keys)


class Reader:
    """Reads archives from a folder."""

    def __init__(self, keys: Keys, where: Path) -> None:
        self.keys = keys
        self.where = where

    def read(self, files: Files, *pinned: str, expired: bool = False, **more: Any) -> Index:
        """Lay the files out and read the index."""
        url = lay_out(self.where / "archive", files)
        one = repository(self.keys, self.where, url, *pinned, **more)
        return read_index("tests", one, url, allow_expired=expired)

    def refuse(
        self, kind: type[StrixforgeError], files: Files, *pinned: str, **more: Any
    ) -> StrixforgeError:
        """Read the index, which must fail with one sentence that says where, why and what next."""
        with pytest.raises(kind) as caught:
            self.read(files, *pinned, **more)
        return checked(caught.value)


def checked(error: StrixforgeError) -> StrixforgeError:
    assert type(error).exit_code in (14, 15, 22)
    assert error.what.endswith(".")
    assert "\n" not in error.what
    assert error.where
    assert "Traceback" not in str(error)
    return error


@pytest.fixture
def reader(keys: Keys, tmp_path: Path) -> Reader:
    return Reader(keys, tmp_path)


def altered(files: Files, path: str, content: bytes) -> Files:
    assert path in files
    return files | {path: content}


def test_a_good_index_is_read_with_what_it_says_of_itself(
    reader: Reader, signed: Files, archive: Archive, keys: Keys
) -> None:
    found = reader.read(signed)
    assert found.packages == {"main": archive.packages()}
    assert found.release.repository == "tests"
    assert found.release.date == DATE
    assert found.release.signed_by == keys.good
    assert found.release.inrelease == hashlib.sha256(signed[INRELEASE]).hexdigest()
    assert found.release.packages == {"main": hashlib.sha256(archive.packages()).hexdigest()}
    assert found.inrelease == signed[INRELEASE]


@pytest.mark.parametrize("forms", [("",), (".gz",), (".xz",), ("", ".gz")])
def test_packages_may_be_xz_gz_or_plain(
    reader: Reader, archive: Archive, keys: Keys, forms: tuple[str, ...]
) -> None:
    files = archive.files(keys, forms=forms)
    assert reader.read(files).packages["main"] == archive.packages()


def test_every_component_that_the_repository_names_is_read(reader: Reader, keys: Keys) -> None:
    archive = Archive()
    archive.add("tool")
    archive.add("other", component="universe")
    found = reader.read(archive.files(keys), components=("main", "universe"))
    assert list(found.packages) == ["main", "universe"]
    assert b"Package: other" in found.packages["universe"]
    error = reader.refuse(FetchError, archive.files(keys), components=("main", "mian"))
    assert "no packages for amd64 in 'mian'" in error.what


def test_a_binary_or_an_armored_key_will_do(
    reader: Reader, signed: Files, keys: Keys, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    armored = keys.export(keys.good, armored=True)
    assert b"BEGIN PGP" in armored
    dos = armored.replace(b"\n", b"\r\n")
    headed = armored.replace(b"BLOCK-----\n\n", b"BLOCK-----\nVersion: x\nComment: y\n\n", 1)
    for form in (keys.export(keys.good), armored, b"\n\n" + armored, dos, headed):
        key.write_bytes(form)
        assert reader.read(signed, key_url=key.as_uri()).release.signed_by == keys.good


def test_all_armored_keys_of_a_file_are_read_and_what_stands_between_them_is_not(
    reader: Reader, archive: Archive, keys: Keys, tmp_path: Path
) -> None:
    first, second = (keys.export(one, armored=True) for one in (keys.other, keys.good))
    key = tmp_path / "key"
    key.write_bytes("The keys, \u00e9.\n\n".encode() + first + b"\nand\n\n" + second + b"end\n")
    for one in (keys.good, keys.other):
        files = archive.files(keys, one)
        assert reader.read(files, one, key_url=key.as_uri()).release.signed_by == one


def test_keys_are_those_that_the_machine_has_installed(
    reader: Reader, signed: Files, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "usr", tmp_path / "etc"]
    monkeypatch.setattr(installed, "_PLACES", (*map(str, places), str(tmp_path / "none")))
    error = reader.refuse(FetchError, signed, key_url=None)
    assert "the keys of file:///" in error.what
    assert "debian-archive-keyring" in error.fix
    for place in places:
        place.mkdir()
    (places[0] / "broken.asc").write_text("-----BEGIN PGP PUBLIC KEY BLOCK-----")
    (places[0] / "folder.asc").mkdir()
    (places[0] / "dead.gpg").symlink_to("nowhere")
    (places[0] / "same.asc").write_bytes(keys.export(keys.good, armored=True))
    (places[1] / "same.asc").write_bytes(keys.export(keys.other, armored=True))
    assert reader.read(signed, key_url=None).release.signed_by == keys.good
    (places[0] / "same.asc").unlink()
    reader.refuse(IntegrityError, signed, key_url=None)
    (places[1] / "more.gpg").write_bytes(keys.export(keys.good))
    assert reader.read(signed, key_url=None).release.signed_by == keys.good


@pytest.mark.parametrize(
    "text",
    [
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\xff\xfe",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----",
    ],
)
def test_a_key_that_cannot_be_read_is_a_sentence(
    reader: Reader, signed: Files, tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "key").write_bytes(text)
    error = reader.refuse(FetchError, signed, key_url=(tmp_path / "key").as_uri())
    assert "key of a package archive cannot be read" in error.what


@pytest.mark.parametrize("text", [b"", b"<html>not found</html>", b"\x99\x01\x0d\x04" * 100])
def test_a_file_that_is_no_key_verifies_nothing(
    reader: Reader, signed: Files, tmp_path: Path, text: bytes
) -> None:
    (tmp_path / "key").write_bytes(text)
    error = reader.refuse(IntegrityError, signed, key_url=(tmp_path / "key").as_uri())
    assert "not signed by its pinned key" in error.what


def test_a_key_that_is_gone_is_a_sentence(reader: Reader, signed: Files, tmp_path: Path) -> None:
    error = reader.refuse(FetchError, signed, key_url=(tmp_path / "none").as_uri())
    assert "the key of a package archive could not be read" in error.what


def test_a_good_signature_of_another_key_is_refused_with_both_fingerprints(
    reader: Reader, archive: Archive, keys: Keys
) -> None:
    error = reader.refuse(IntegrityError, archive.files(keys, keys.other))
    assert "not signed by its pinned key" in error.what
    assert f"Pinned: {keys.good}" in error.cause
    assert f"a good signature of another key, {keys.other}" in error.cause
    assert INRELEASE in error.where


def test_a_key_that_nobody_has_given_is_named(
    reader: Reader, archive: Archive, keys: Keys, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(keys.export(keys.good))
    files = archive.files(keys, keys.other)
    error = reader.refuse(IntegrityError, files, key_url=key.as_uri())
    assert "a key that this machine does not have" in error.cause
    assert keys.other[-16:] in error.cause


def test_one_of_several_signatures_or_of_several_pinned_keys_is_enough(
    reader: Reader, archive: Archive, keys: Keys, tmp_path: Path
) -> None:
    both = archive.files(keys, keys.other, keys.good)
    assert reader.read(both).release.signed_by == keys.good
    assert reader.read(both, keys.other).release.signed_by == keys.other
    one = archive.files(keys, keys.other)
    assert reader.read(one, keys.good, keys.other).release.signed_by == keys.other
    (tmp_path / "key").write_bytes(keys.export(keys.good))
    found = reader.read(both, key_url=(tmp_path / "key").as_uri())
    assert found.release.signed_by == keys.good  # the other key is not known at all


def test_an_altered_text_is_refused(reader: Reader, signed: Files) -> None:
    text = signed[INRELEASE].replace(b"Origin: Tests", b"Origin: Pests")
    error = reader.refuse(IntegrityError, altered(signed, INRELEASE, text))
    assert "the file was altered" in error.cause


def test_what_stands_around_the_signed_text_does_not_count(
    reader: Reader, signed: Files, archive: Archive
) -> None:
    evil = f"SHA256:\n {'0' * 64} 1 main/binary-amd64/Packages\nSuite: evil\n".encode()
    for text in (evil + b"\n" + signed[INRELEASE], signed[INRELEASE] + evil):
        try:
            found = reader.read(altered(signed, INRELEASE, text))
        except IntegrityError:
            continue
        assert found.packages["main"] == archive.packages()


@pytest.mark.parametrize("text", [b"", b"Suite: trixie\nCodename: trixie\n", b"\0\xff" * 500])
def test_an_index_without_a_signature_is_refused(
    reader: Reader, signed: Files, text: bytes
) -> None:
    error = reader.refuse(IntegrityError, altered(signed, INRELEASE, text))
    assert error.cause.endswith("Found: no signature.")


def test_a_signature_cut_off_is_refused(reader: Reader, signed: Files) -> None:
    whole = signed[INRELEASE]
    for end in (len(whole) // 2, whole.index(b"-----BEGIN PGP SIGNATURE"), len(whole) - 60):
        reader.refuse(IntegrityError, altered(signed, INRELEASE, whole[:end]))


def test_a_signature_of_an_expired_key_is_refused_and_named(
    reader: Reader, archive: Archive, keys: Keys
) -> None:
    files = archive.files(keys, keys.old, at="20200101T010000!")
    error = reader.refuse(IntegrityError, files, keys.old)
    assert "a signature of an expired key" in error.cause
    assert keys.old[-16:] in error.cause


def test_an_expired_index_is_refused_unless_that_is_accepted(
    reader: Reader, archive: Archive, keys: Keys
) -> None:
    files = archive.files(keys, Valid_Until=PAST)
    error = reader.refuse(IntegrityError, files)
    assert error.what == f"the index of {SUITE} has expired."
    assert PAST in error.cause
    assert "allow-expired" in error.fix
    assert reader.read(files, expired=True).release.date == DATE
    assert reader.read(archive.files(keys, Valid_Until=FOREVER)).release.date == DATE


@pytest.mark.parametrize("until", ["tomorrow", "31 Feb 2999", "99 Nov 2999 00:00:00 UTC", "-"])
def test_a_validity_that_cannot_be_read_counts_as_past(
    reader: Reader, archive: Archive, keys: Keys, until: str
) -> None:
    assert "expired" in reader.refuse(IntegrityError, archive.files(keys, Valid_Until=until)).what


@pytest.mark.parametrize(
    ("suite", "codename"), [("oldstable", "bookworm"), ("", "bookworm"), ("stable", "trixie-x")]
)
def test_the_signed_index_of_another_suite_is_refused(
    reader: Reader, archive: Archive, keys: Keys, suite: str, codename: str
) -> None:
    files = archive.files(keys, Suite=suite, Codename=codename)
    error = reader.refuse(IntegrityError, files)
    assert codename in error.what
    assert error.what.endswith(f"not of {SUITE}.")


def test_a_suite_goes_by_its_name_or_its_code_name(
    reader: Reader, archive: Archive, keys: Keys
) -> None:
    texts: tuple[dict[str, Any], ...] = (
        {"Codename": "x", "Suite": SUITE},
        {"Suite": "", "Codename": ""},
    )
    for names in texts:
        assert reader.read(archive.files(keys, **names)).release.signed_by == keys.good


def test_packages_with_one_byte_changed_are_refused(reader: Reader, signed: Files) -> None:
    files = dict(signed)
    for path in [path for path in files if f"{SUITE}/main" in path]:
        files[path] = files[path][:-1] + bytes([files[path][-1] ^ 1])
    error = reader.refuse(IntegrityError, files)
    assert "not those of the signed index" in error.what
    assert f"{PACKAGES}.xz" in error.where


def test_packages_that_are_missing_or_larger_than_signed_are_not_fetched(
    reader: Reader, signed: Files, tmp_path: Path
) -> None:
    larger = {path: text + b"x" if "/main/" in path else text for path, text in signed.items()}
    error = reader.refuse(FetchError, larger)
    assert "larger than any real one" in error.what
    files = {path: text for path, text in signed.items() if "/main/" not in path}
    reader.where = tmp_path / "bare"
    reader.where.mkdir()
    error = reader.refuse(FetchError, files)
    assert "could not be read" in error.what


def test_a_list_of_hashes_without_sense_holds_no_packages(
    reader: Reader, keys: Keys, signed: Files
) -> None:
    for text in ("", " nonsense", f" {'A' * 64} 5 main/binary-amd64/Packages", f" {'0' * 63} 5 x"):
        body = f"Suite: {SUITE}\nSHA256:\n{text}\n".encode()
        files = altered(signed, INRELEASE, keys.sign(body))
        assert "no packages for amd64" in reader.refuse(FetchError, files).what


def signed_packages(signed: Files, keys: Keys, name: str, content: bytes) -> Files:
    """Return an archive whose signed index names these bytes as its Packages."""
    sha256 = hashlib.sha256(content).hexdigest()
    body = f"Codename: {SUITE}\nSHA256:\n {sha256} {len(content)} main/binary-amd64/{name}\n"
    place = PACKAGES.rsplit("/", 1)[0]
    return signed | {INRELEASE: keys.sign(body.encode()), f"{place}/{name}": content}


@pytest.mark.parametrize("form", [".xz", ".gz"])
@pytest.mark.parametrize("damage", ["noise", "cut"])
def test_packages_that_are_damaged_before_they_were_signed_are_a_sentence(
    reader: Reader, signed: Files, keys: Keys, form: str, damage: str
) -> None:
    good = signed[PACKAGES + form]
    content = {"noise": b"noise" * 50, "cut": good[: len(good) // 2]}[damage]
    files = signed_packages(signed, keys, f"Packages{form}", content)
    assert "index cannot be unpacked" in reader.refuse(IntegrityError, files).what


@pytest.mark.parametrize("form", [".xz", ".gz"])
def test_packages_compressed_in_several_parts_are_read_to_the_end(
    reader: Reader, signed: Files, keys: Keys, form: str
) -> None:
    content = compress(b"Package: a\n\n", form) + compress(b"Package: b\n\n", form)
    files = signed_packages(signed, keys, f"Packages{form}", content)
    assert reader.read(files).packages["main"] == b"Package: a\n\nPackage: b\n\n"


@pytest.mark.parametrize("form", [".xz", ".gz"])
def test_a_decompression_bomb_is_refused(
    reader: Reader, signed: Files, keys: Keys, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_MAX_PACKAGES", 1 << 20)
    zeros = bytes(3 << 20)
    bomb = lzma.compress(zeros, preset=0) if form == ".xz" else gzip.compress(zeros)
    files = signed_packages(signed, keys, f"Packages{form}", bomb)
    assert "larger than any real one" in reader.refuse(IntegrityError, files).what


def test_an_index_that_never_ends_is_cut_off(
    reader: Reader, signed: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "_MAX_RELEASE", 100)
    assert "larger than any real one" in reader.refuse(FetchError, signed).what


class Mirror:
    """Reads archives over HTTP."""

    def __init__(self, keys: Keys, where: Path, web: Server) -> None:
        self.keys, self.where, self.web = keys, where, web

    def read(self, address: str) -> Index:
        one = repository(self.keys, self.where, address)
        return read_index("tests", one, address, allow_expired=False)

    def asked(self) -> list[str]:
        return [path for path, _ in self.web.asked]


@pytest.fixture
def mirror(keys: Keys, tmp_path: Path, web: Server) -> Mirror:
    return Mirror(keys, tmp_path, web)


def test_packages_are_asked_for_by_hash_where_the_archive_offers_it(
    mirror: Mirror, signed: Files, archive: Archive
) -> None:
    found = mirror.read(serve(mirror.web, signed))
    assert found.packages["main"] == archive.packages()
    first, second = mirror.asked()
    assert first == f"/debian/{INRELEASE}"
    assert re.fullmatch(r"/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/[0-9a-f]+", second)


def test_a_mirror_without_the_hash_gives_the_plain_file(
    mirror: Mirror, signed: Files, archive: Archive
) -> None:
    plain = {path: text for path, text in signed.items() if "by-hash" not in path}
    assert mirror.read(serve(mirror.web, plain)).packages["main"] == archive.packages()
    assert [path.rsplit("/", 1)[-1] for path in mirror.asked()][::2] == ["InRelease", "Packages.xz"]


def test_an_archive_that_offers_no_hashes_is_asked_for_the_file_at_once(
    mirror: Mirror, archive: Archive, keys: Keys
) -> None:
    files = archive.files(keys, Acquire_By_Hash="no")
    mirror.read(serve(mirror.web, files))
    assert mirror.asked() == [f"/debian/{INRELEASE}", f"/debian/{PACKAGES}.xz"]


def test_a_server_in_trouble_is_asked_again(mirror: Mirror, signed: Files) -> None:
    address = serve(mirror.web, signed)
    mirror.web.add(f"/debian/{INRELEASE}", Reply(status=503), Reply(signed[INRELEASE]))
    assert mirror.read(address).release.date == DATE


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_server_that_refuses_is_told_with_its_answer(mirror: Mirror, status: int) -> None:
    mirror.web.add(f"/debian/{INRELEASE}", Reply(b"no", status))
    with pytest.raises(FetchError, match=f"the index of tests: the server answered {status}") as c:
        mirror.read(f"{mirror.web.url}/debian")
    assert checked(c.value).where == f"{mirror.web.url}/debian/{INRELEASE}"


def test_a_connection_that_breaks_is_a_sentence(mirror: Mirror, signed: Files) -> None:
    address = serve(mirror.web, signed)
    mirror.web.add(f"/debian/{INRELEASE}", Reply(signed[INRELEASE], cut=100))
    with pytest.raises((FetchError, IntegrityError)) as caught:
        mirror.read(address)
    checked(caught.value)


@pytest.mark.slow
def test_a_mirror_that_is_down_is_named(mirror: Mirror) -> None:
    address = f"http://127.0.0.1:{closed_port()}/debian"
    with pytest.raises(FetchError, match=r"the index of tests could not be downloaded.*refused"):
        mirror.read(address)


def test_a_password_in_an_address_is_not_shown(
    mirror: Mirror, signed: Files, archive: Archive, keys: Keys
) -> None:
    address = serve(mirror.web, signed).replace("//", "//me:secret@")
    broken = {path: text[:-9] if "/main/" in path else text for path, text in signed.items()}
    others = archive.files(keys, keys.other)
    for files in (broken, others, archive.files(keys, Valid_Until=PAST)):
        serve(mirror.web, files)
        with pytest.raises(IntegrityError) as caught:
            mirror.read(address)
        assert checked(caught.value).where.startswith(f"{mirror.web.url}/debian/dists/")
        assert "secret" not in str(caught.value)


def test_without_gpgv_the_cure_is_named(
    reader: Reader, signed: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", without("gpgv", tmp_path / "bin"))
    error = reader.refuse(HostError, signed)
    assert error.what == "gpgv is not installed."
    assert "apt install gpgv" in error.fix


def test_each_fault_has_the_exit_code_of_its_class() -> None:
    assert [one.exit_code for one in (FetchError, IntegrityError, HostError)] == [14, 15, 22]
