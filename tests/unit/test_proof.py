"""All that a wheelhouse or a bundle says of itself agrees, or it is refused by name."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.signer._key import SSlibKey

from strixforge.attest.signing import public_key, read_envelope, sign, signer
from strixforge.model.digests import file_sha256
from strixforge.model.errors import IntegrityError, UsageError
from strixforge.release.bundle import write_bundle
from strixforge.release.carried import carried
from strixforge.release.proof import Proof, prove
from strixforge.release.signature import is_signed, sign_wheelhouse
from strixforge.release.sums import BILL, PROVENANCE, SIGNATURE, SUMS, sha256sums
from tests.unit.keys import pair
from tests.unit.tiny import seal_wheelhouse, tiny_wheelhouse

WHEEL = "wheels/tiny-1.0-py3-none-any.whl"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return tiny_wheelhouse(tmp_path / "wheelhouse")


def check(place: Path, trusted: Path | None = None) -> Proof:
    with carried(place) as house:
        return prove(house, public_key(trusted) if trusted else None)


def refused(place: Path, trusted: Path | None = None) -> str:
    with pytest.raises(IntegrityError) as raised:
        check(place, trusted)
    return str(raised.value)


def bundled(house: Path) -> Path:
    return write_bundle(house, house.parent / "out" / "strixforge-tiny-gfx1151.tar", 1).path


def sum_again(house: Path) -> None:
    """Do what whoever changes a file does next: mend SHA256SUMS."""
    files = {path.relative_to(house).as_posix(): path for path in house.rglob("*")}
    (house / SUMS).write_text(
        sha256sums({n: file_sha256(p) for n, p in files.items() if p.is_file() and n != SUMS})
    )


def test_a_wheelhouse_and_its_bundle_prove_the_same(house: Path) -> None:
    proof = check(house)
    assert proof == check(bundled(house))
    assert (proof.stack, proof.arch, proof.files) == ("tiny", "gfx1151", 12)
    assert (proof.bills, proof.materials) == (1, 3)
    assert (proof.signed_by, proof.trusted) == ((), False)


def flips(bundle: Path, step: int, trusted: SSlibKey | None = None) -> int:
    """Change a bit at every so many bytes; each is refused, and what it is in is named."""
    content = bundle.read_bytes()
    with tarfile.open(bundle) as tar:
        spans = [
            (one.offset_data, one.offset_data + one.size, one.name.partition("/")[2])
            for one in tar.getmembers()
        ]
    changed = bundle.with_name("changed.tar")
    count = 0
    for at in range(0, len(content), step):
        other = bytearray(content)
        other[at] ^= 1 << (at // step % 8)
        changed.write_bytes(other)
        with pytest.raises(IntegrityError) as raised, carried(changed) as house:
            prove(house, trusted)
        name = next((name for a, b, name in spans if a <= at < b), "")
        assert name in str(raised.value), (at, name, str(raised.value))
        count += 1
    return count


def test_a_flipped_bit_of_a_bundle_is_refused(house: Path) -> None:
    assert flips(bundled(house), 599) > 100


@pytest.mark.slow
def test_a_flipped_bit_of_a_bundle_is_refused_wherever_it_is(house: Path) -> None:
    private, public = pair(house.parent, "mine")
    sign_wheelhouse(house, signer(private))
    assert flips(bundled(house), 17, public_key(public)) > 4000


def test_every_byte_that_is_cut_off_or_added_is_missed(house: Path) -> None:
    bundle = bundled(house)
    content = bundle.read_bytes()
    for other in (content[:-1], content[:-512], content[:5000], content[:100], content + b"\0"):
        bundle.write_bytes(other)
        assert refused(bundle)


@pytest.mark.parametrize("how", ["link", "twice", "device"])
def test_a_bundle_has_plain_files_alone_each_once(house: Path, how: str) -> None:
    bundle = bundled(house)
    member = tarfile.TarInfo("strixforge-tiny-gfx1151/manifest.json")
    if how != "twice":
        member.type = tarfile.SYMTYPE if how == "link" else tarfile.CHRTYPE
        member.linkname = "/etc/passwd" if how == "link" else ""
    with tarfile.open(bundle, "a") as tar:
        tar.addfile(member, io.BytesIO())
    assert "manifest.json" in refused(bundle)


@pytest.mark.parametrize("name", ["manifest.json", PROVENANCE, BILL])
@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, '{"files": 3}', "\udcff"])
def test_a_text_that_says_nothing_is_named(house: Path, name: str, text: str) -> None:
    (house / name).write_text(text, errors="surrogateescape")
    if name == BILL:
        seal_wheelhouse(house)
    sum_again(house)
    assert name in refused(house)


def edited(house: Path, name: str, edit: Callable[[str], str]) -> None:
    text = (house / name).read_text()
    assert edit(text) != text
    (house / name).write_text(edit(text))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"sha256": "', '"sha256": "0', "provenance.json"),
        ("in-toto.io/Statement/v1", "in-toto.io/Statement/v0", "provenance.json"),
        ("ab" * 20, "ac" * 20, "provenance.json"),
    ],
)
def test_a_provenance_of_something_else_is_refused(
    house: Path, old: str, new: str, named: str
) -> None:
    edited(house, PROVENANCE, lambda text: text.replace(old, new))
    sum_again(house)
    assert named in refused(house)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value": "tiny"', '"value": "other"'),
        ('"version": "1.0"', '"version": "1.1"'),
        ("ab" * 20, "ac" * 20),
        ("MIT", "ISC"),
        (WHEEL, "wheels/other.whl"),
    ],
)
def test_a_bill_of_something_else_is_refused(house: Path, old: str, new: str) -> None:
    edited(house, BILL, lambda text: text.replace(old, new))
    seal_wheelhouse(house)
    said = refused(house)
    assert any(name in said for name in (BILL, WHEEL, "the source of prefixes/stuff-2.0.tar"))


def test_another_wheel_under_the_same_name_is_refused(house: Path) -> None:
    with zipfile.ZipFile(house / WHEEL, "a") as wheel:
        wheel.writestr("more.py", "")
    seal_wheelhouse(house)
    assert f"{BILL} is not about {WHEEL}" in refused(house)


def test_a_file_more_or_less_is_named(house: Path) -> None:
    (house / "wheels" / "more").write_text("")
    assert "wheels/more is not among" in refused(house)
    sum_again(house)
    assert "wheels/more is not in both" in refused(house)
    (house / "wheels" / "more").unlink()
    (house / "verify.py").unlink()
    assert "verify.py is missing" in refused(house)
    (house / "verify.py").symlink_to("install.py")
    assert "verify.py is not a plain file" in refused(house)


def test_what_is_neither_is_no_wheelhouse(house: Path) -> None:
    (house / SUMS).unlink()
    for place in (house, house / "nowhere"):
        with pytest.raises(UsageError, match="neither a wheelhouse nor a bundle"):
            check(place)


def test_a_signature_is_good_for_its_key_alone(house: Path) -> None:
    (mine, my_public), (other, their_public) = (pair(house.parent, name) for name in "ab")
    assert "it is not signed" in refused(house, my_public)
    sign_wheelhouse(house, signer(mine))
    assert is_signed(house, signer(mine))
    assert not is_signed(house, signer(other))
    for place in (house, bundled(house)):
        proof = check(place, my_public)
        assert proof.trusted
        assert proof.signed_by == (public_key(my_public).keyid,) == check(place).signed_by
        assert not check(place).trusted
        assert "not signed with that key" in refused(place, their_public)


def test_signing_twice_gives_the_same_bytes(house: Path) -> None:
    key, _ = pair(house.parent, "mine")
    sign_wheelhouse(house, signer(key))
    first = [(house / name).read_bytes() for name in (SIGNATURE, SUMS)]
    sign_wheelhouse(house, signer(key))
    assert first == [(house / name).read_bytes() for name in (SIGNATURE, SUMS)]
    assert [path.name for path in house.parent.iterdir() if path.name.startswith(".")] == []


def test_whoever_changes_a_signed_wheelhouse_cannot_sign_it(house: Path) -> None:
    """They mend every digest, bill and statement; the signature they can drop or replace."""
    key, public = pair(house.parent, "mine")
    sign_wheelhouse(house, signer(key))
    kept = (house / SIGNATURE).read_bytes()
    edited(house, "install.py", lambda text: text + "# and more\n")
    seal_wheelhouse(house)
    check(house)
    assert "it is not signed" in refused(house, public)
    (house / SIGNATURE).write_bytes(kept)
    sum_again(house)
    assert f"{SIGNATURE} is not about {PROVENANCE}" in refused(house, public)
    assert f"{SIGNATURE} is not about {PROVENANCE}" in refused(house)
    sign_wheelhouse(house, signer(pair(house.parent, "theirs")[0]))
    assert "not signed with that key" in refused(house, public)


def test_a_bad_key_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    private, public = pair(tmp_path, "mine")
    (tmp_path / "no.key").write_text("no key\n")
    for read, path in (
        (signer, public),
        (signer, tmp_path / "no.key"),
        (signer, tmp_path),
        (public_key, private),
        (public_key, tmp_path / "nowhere"),
    ):
        with pytest.raises(UsageError, match="PEM") as raised:
            read(path)
        assert "openssl genpkey -algorithm ed25519" in str(raised.value)


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: repr(x).encode()))
def test_any_bytes_are_an_envelope_or_refused(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_envelope(text, where="here")


@pytest.mark.parametrize("key", ["payload", "payloadType", "signatures"])
@pytest.mark.parametrize("value", [None, 3, "", "%", [], [3], {}, [{"keyid": 3, "sig": "x"}]])
def test_an_envelope_with_another_value_is_refused(tmp_path: Path, key: str, value: object) -> None:
    envelope = json.loads(sign(b"{}", signer(pair(tmp_path, "mine")[0])))
    text = json.dumps({**envelope, key: value}, indent=1, sort_keys=True) + "\n"
    private, public = tmp_path / "mine.key", tmp_path / "mine.pub"
    assert private.exists()
    house = tiny_wheelhouse(tmp_path / "wheelhouse")
    (house / SIGNATURE).write_text(text)
    sum_again(house)
    assert SIGNATURE in refused(house, public)


def test_a_copy_elsewhere_proves_the_same(house: Path, tmp_path: Path) -> None:
    shutil.copytree(house, tmp_path / "a stick" / "my house")
    assert check(tmp_path / "a stick" / "my house") == check(house)
