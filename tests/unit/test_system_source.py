"""The ROCm that is installed already: found, digested, never copied, and refused when it is two."""

import dataclasses
import json
from pathlib import Path

import pytest

from strixforge.forge.toolchains import open_toolchain
from strixforge.model.errors import HostError, PolicyError
from strixforge.model.pins import ArchivePin, SystemPin
from strixforge.sources import Site, kind_of, system
from strixforge.toolchain.mixed import mixed
from tests.unit.home import HASH
from tests.unit.therock import bytes_read, classic, debian, next_tick, therock, write

HOST = Path("/")


def pin(path: str = "") -> SystemPin:
    return SystemPin(component="rocm", version="10.1.0", epoch=1_600_000_000, path=path)


@pytest.fixture
def rocm(tmp_path: Path) -> Path:
    """Return an installed ROCm. Skips where a HIP of the distribution would be beside it."""
    (tmp_path / "empty").mkdir()
    if signs := mixed(tmp_path / "empty"):
        pytest.skip(signs[0])
    return write(tmp_path / "opt/rocm", therock())


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROCM_PATH", raising=False)


def unpacked(site: Site, path: Path, target: Path) -> dict[str, str]:
    target.mkdir()
    system.unpack(pin(str(path)), site, target)
    (file,) = target.iterdir()
    return dict(json.loads(file.read_bytes()))


def test_its_kind_is_found_by_the_pin() -> None:
    assert kind_of(pin()).unpack == system.unpack


def test_the_pin_names_it_before_the_variable_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "set"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("ROCM_PATH", str(tmp_path / "set"))
    assert system.place(pin(str(tmp_path / "named")), HOST) == tmp_path / "named"
    assert system.place(pin(), HOST) == tmp_path / "set"
    assert system.place(pin(f"{tmp_path}/named/../set/"), HOST) == tmp_path / "set"


def test_without_pin_and_variable_it_is_opt_rocm(tmp_path: Path) -> None:
    (tmp_path / "opt/rocm").mkdir(parents=True)
    assert system.place(pin(), tmp_path) == tmp_path / "opt/rocm"


def test_the_hosts_variable_names_nothing_in_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "opt/rocm").mkdir(parents=True)
    (tmp_path / "opt/other").mkdir()
    monkeypatch.setenv("ROCM_PATH", "/opt/other")
    assert system.place(pin(), tmp_path) == tmp_path / "opt/rocm"


@pytest.mark.parametrize("ask", [system.digest, lambda p, s: system.unpack(p, s, s.home)])
def test_a_rocm_that_is_not_there_is_a_sentence_that_names_the_variable(
    site: Site, tmp_path: Path, ask: object
) -> None:
    assert callable(ask)
    gone = tmp_path / "gone"
    with pytest.raises(HostError) as caught:
        ask(pin(str(gone)), site)
    error = caught.value
    assert error.what == f"there is no ROCm in {gone}."
    assert error.where == str(gone)
    assert "rocm is pinned to the one that is installed" in error.cause
    assert "ROCM_PATH" in error.fix


def test_a_file_is_no_rocm(site: Site, tmp_path: Path) -> None:
    (tmp_path / "rocm").write_text("")
    with pytest.raises(HostError, match="there is no ROCm"):
        system.digest(pin(str(tmp_path / "rocm")), site)


def test_a_root_without_it_says_that_its_packages_lack_it(site: Site, tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        system.digest(pin("/opt/rocm"), dataclasses.replace(site, root=tmp_path))
    assert caught.value.cause == "The root does not have it among its packages."


def test_nothing_is_fetched(site: Site, rocm: Path) -> None:
    assert not system.missing(pin(str(rocm)), site)
    assert not system.missing(pin(str(rocm / "gone")), site)
    system.fetch(pin(str(rocm)), site, lambda _done, _total: None)
    assert not site.cache.root.exists()


def test_the_digest_changes_with_the_content_and_with_nothing_else(
    site: Site, rocm: Path, tmp_path: Path
) -> None:
    first = system.digest(pin(str(rocm)), site)
    assert system.digest(pin(str(rocm)), site) == first
    assert system.digest(pin(str(write(tmp_path / "elsewhere", therock()))), site) == first
    next_tick()
    (rocm / "lib/llvm/amdgcn/bitcode/ocml.bc").write_text("BC other\n")
    assert system.digest(pin(str(rocm)), site) != first


def test_the_files_are_read_once_for_all_runs(site: Site, rocm: Path) -> None:
    (rocm / "lib/large.so").write_bytes(bytes(8 << 20))
    reads = []
    for _ in range(2):
        before = bytes_read()
        system.digest(pin(str(rocm)), site)
        reads.append(bytes_read() - before)
    assert reads[0] >= 8 << 20
    assert reads[1] < 1 << 20


def test_the_output_is_one_small_file_that_does_not_say_where_it_is(
    site: Site, rocm: Path, tmp_path: Path
) -> None:
    said = unpacked(site, rocm, tmp_path / "out")
    assert said == {"digest": system.digest(pin(str(rocm)), site)}
    moved = rocm.rename(tmp_path / "moved")
    assert unpacked(site, moved, tmp_path / "again") == said


def test_an_installation_that_is_two_in_one_is_refused_with_the_evidence(
    site: Site, rocm: Path, tmp_path: Path
) -> None:
    write(
        rocm,
        {".info/version-dev": "7.2.0-43\n", "lib/librocblas.so.4": "", "lib/librocblas.so.5": ""},
    )
    for ask in (
        lambda: system.digest(pin(str(rocm)), site),
        lambda: system.unpack(pin(str(rocm)), site, tmp_path / "out"),
    ):
        with pytest.raises(PolicyError, match="is mixed of two") as caught:
            ask()
        assert caught.value.where.splitlines() == mixed(rocm)
        assert len(mixed(rocm)) == 2
        assert f"{rocm}/.info/version-dev" in caught.value.where
        assert "librocblas.so.4" in caught.value.where
    assert not (tmp_path / "out").exists()


def test_the_packages_of_a_root_are_exempt(site: Site, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root / "usr", debian())
    write(root / "opt/rocm", classic() | {".info/version-dev": "7.2.0-43\n"})
    assert mixed(root / "opt/rocm", root) != []
    in_root = dataclasses.replace(site, root=root)
    assert system.digest(pin("/opt/rocm"), in_root) == "system:opt/rocm"
    assert system.digest(pin("/usr"), in_root) == "system:usr"


def test_a_rocm_of_the_host_is_shown_where_all_builds_see_one(rocm: Path) -> None:
    found = open_toolchain(pin(str(rocm)), rocm, HOST)
    assert (found.folder, found.mount) == (rocm, "/opt/rocm")
    assert found.facts.prefix == "/opt/rocm"
    assert found.facts.bitcode == "/opt/rocm/lib/llvm/amdgcn/bitcode"


def test_a_rocm_of_a_root_is_shown_with_the_root(tmp_path: Path) -> None:
    write(tmp_path / "usr", debian())
    write(tmp_path / "opt/rocm-6.4.4", classic())
    for path, bitcode in {
        "/usr": "/usr/lib/llvm-17/lib/clang/17/amdgcn/bitcode",
        "/opt/rocm-6.4.4": "/opt/rocm-6.4.4/amdgcn/bitcode",
    }.items():
        found = open_toolchain(pin(path), tmp_path, tmp_path)
        assert (found.folder, found.mount) == (tmp_path / path[1:], None)
        assert found.facts.bitcode == bitcode


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/usr", "/usr"),
        ("/usr/lib/rocm", "/usr/lib/rocm"),
        ("/usr/local", "/opt/rocm"),  # builds see it empty
        ("/usr/local/rocm", "/opt/rocm"),
        ("/usr2/rocm", "/opt/rocm"),
        ("/opt/rocm-6.4.4", "/opt/rocm"),
        ("/home/me/rocm", "/opt/rocm"),
    ],
)
def test_what_builds_see_of_the_host_keeps_its_path(path: str, seen: str) -> None:
    assert system.shown_as(Path(path), HOST) == seen


def test_an_archives_toolchain_is_shown_where_all_builds_see_one(tmp_path: Path) -> None:
    archive = ArchivePin(
        component="rocm", version="10.1.0", epoch=1_600_000_000, url="https://x/y", sha256=HASH
    )
    found = open_toolchain(archive, write(tmp_path, therock()), HOST)
    assert (found.folder, found.mount, found.facts.prefix) == (tmp_path, "/opt/rocm", "/opt/rocm")


def test_a_toolchain_that_went_away_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="there is no ROCm"):
        open_toolchain(pin(str(tmp_path / "gone")), tmp_path, HOST)
