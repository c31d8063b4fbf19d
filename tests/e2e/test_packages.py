"""A ROCm from signed packages, laid out as AMD's are: locked, fetched, unpacked, shown to steps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project
from tests.unit.debian_archive import (
    SUITE,
    Archive,
    Keys,
    file,
    key_store,
    lay_out,
    link,
)

ROOT = "opt/rocm-6.4.4"
VERSION_H = """
#define ROCM_VERSION_MAJOR 6
#define ROCM_VERSION_MINOR 4
#define ROCM_VERSION_PATCH 4
"""


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    with key_store() as made:
        yield made


def rocm_archive(number: str = "60404", release: str = "6.4.4") -> Archive:
    """Return packages as AMD numbers and lays them out; `number` is in every version."""
    top = f"opt/rocm-{release}"
    archive = Archive()
    core = f"{release}.{number}-129~24.04"
    archive.add("rocm-core", core, file(f"{top}/.info/version", f"{release}-129\n".encode()))
    archive.add(
        "rocm-llvm",
        f"19.0.0.25224.{number}-129~24.04",
        file(f"{top}/lib/llvm/bin/clang++", b"#!/bin/sh\necho clang\n", 0o755),
        link(f"{top}/llvm", "lib/llvm"),
        file(f"{top}/include/rocm-core/rocm_version.h", VERSION_H.encode()),
        Depends="rocm-core, libc6 (>= 2.38), libstdc++6",
    )
    archive.add(
        "rocm-device-libs",
        f"1.0.0.{number}-129~24.04",
        *(
            file(f"{top}/amdgcn/bitcode/{name}.bc", name.encode())
            for name in ("ocml", "ockl", "oclc_isa_version_1100", "oclc_isa_version_1151")
        ),
        link(f"{top}/lib/llvm/lib/amdgcn", f"/{top}/amdgcn"),
        Depends=f"rocm-core (= {core})",
    )
    return archive


@pytest.fixture
def amd(project: Project, keys: Keys, tmp_path: Path) -> Project:
    """Return a project whose toolchain is pinned to packages, not locked yet."""
    publish(project, keys, tmp_path, rocm_archive())
    project.add(
        "rocm",
        output="toolchain",
        version="6.4.4",
        is_built=False,
        pin={
            "source": "apt",
            "repositories": ["amd"],
            "packages": ["rocm-llvm", "rocm-device-libs"],
            "folder": ROOT,
        },
    )
    return project


def publish(
    project: Project, keys: Keys, where: Path, archive: Archive, valid_until: str = ""
) -> None:
    """Lay the archive out in a folder, and name it in the lock."""
    url = lay_out(where / "archive", archive.files(keys, Valid_Until=valid_until))
    key = where / "key.asc"
    key.write_bytes(keys.export(keys.good, armored=True))
    project.repositories = (
        f'[repository.amd]\nsuite = "{SUITE}"\ncomponents = ["main"]\nurl = "{url}"\n'
        f'keys = ["{keys.good}"]\nkey_url = "{key.as_uri()}"\n'
    )


def test_packages_become_a_toolchain_at_opt_rocm(
    amd: Project, index: dict[str, str], either_sandbox: str
) -> None:
    amd.sandbox = either_sandbox
    amd.doit("build_rocm").check(13, "rocm 6.4.4 has no sha256", "./doit lock")
    amd.doit("lock", env=index).check(0, "3 packages", "found by strixforge")
    listed = (amd.home / "locks/apt/rocm-6.4.4.toml").read_text()
    assert 'left = ["libc6", "libstdc++6"]' in listed
    lock = (amd.home / "toolchain.lock").read_text()
    amd.doit("lock", env=index).check(0, "unchanged: 3 packages")
    assert (amd.home / "toolchain.lock").read_text() == lock
    amd.doit("build_rocm").check(0, "fetched 3 packages")
    # The component is written beside the lock as it is now, hash and all.
    sha256 = next(line for line in lock.splitlines() if line.startswith("sha256"))
    amd.components["rocm"].pin = {**amd.components["rocm"].pin, "sha256": sha256.split('"')[1]}
    amd.add(
        "user",
        'echo "{{ rocm.bitcode }} {{ rocm.clang }} {{ rocm.release }}" > {{ out }}/said',
        "/opt/rocm/llvm/bin/clang++ >> {{ out }}/said",
        "cat /opt/rocm/lib/llvm/lib/amdgcn/bitcode/ocml.bc >> {{ out }}/said",
        needs=["rocm"],
    )
    amd.doit("build_user").check(0)
    assert (amd.output("user") / "said").read_text() == (
        "/opt/rocm/amdgcn/bitcode /opt/rocm/lib/llvm/bin/clang++ 6.4.4-129\nclang\nocml"
    )


def test_packages_of_7_0_1_are_not_even_locked(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    """The number is in the packages' versions alone: 70001."""
    publish(amd, keys, tmp_path, rocm_archive("70001"))
    amd.write()
    amd.doit("lock", env=index).check(12, "rule rocm-7.0.1", "packages of rocm")
    assert not (amd.home / "locks/apt/rocm-6.4.4.toml").exists()
    assert "sha256" not in (amd.home / "toolchain.lock").read_text()


def test_an_expired_index_is_accepted_for_a_reason_that_each_run_repeats(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    old = "Fri, 06 Nov 2020 08:08:01 UTC"
    publish(amd, keys, tmp_path, rocm_archive(), valid_until=old)
    amd.write()
    amd.doit("lock", env=index).check(15, "has expired", old, "allow-expired")
    lock = amd.home / "toolchain.lock"
    reason = 'summary = "a stack for tests"\nallow-expired = "the archive is kept as it was"'
    lock.write_text(lock.read_text().replace('summary = "a stack for tests"', reason))
    amd.doit("lock", env=index).check(0, "3 packages", "the archive is kept as it was")
    for words in (("build_rocm",), ("plan",), ()):
        amd.doit(*words).check(0, "the archive is kept as it was (stack.tiny: allow-expired)")


def test_an_index_of_another_signer_is_refused(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    files = rocm_archive().files(keys, keys.other)
    lay_out(tmp_path / "archive", files)
    amd.doit("lock", env=index).check(15, "not signed by its pinned key", keys.good)
    assert not (amd.home / "locks/apt").exists()


def test_a_package_that_has_vanished_is_cured_by_locking_anew(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    amd.doit("lock", env=index).check(0)
    for old in (tmp_path / "archive" / "pool").rglob("*.deb"):
        old.unlink()
    newer = rocm_archive()
    newer.add("rocm-llvm", "19.0.0.25225.60404-130~24.04", file(f"{ROOT}/lib/llvm/new", b"new"))
    lay_out(tmp_path / "archive", newer.files(keys))
    for gone in (tmp_path / "archive" / "pool").rglob("rocm-llvm_19.0.0.25224*"):
        gone.unlink()
    amd.doit("build_rocm").check(
        14, "rocm-llvm 19.0.0.25224.60404-129~24.04 is not in the archive any more", "./doit lock"
    )
    amd.doit("lock", env=index).check(0, "locked anew")
    amd.doit("build_rocm").check(0)


def test_lock_check_holds_every_package_against_the_signed_index(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    amd.doit("lock", env=index).check(0)
    amd.doit("lock", "--check", env=index).check(0, "3 packages are in the signed index")
    other = rocm_archive()
    other.add("rocm-llvm", "19.0.0.25224.60404-129~24.04", file(f"{ROOT}/lib/llvm/x", b"other"))
    lay_out(tmp_path / "archive", other.files(keys))
    amd.doit("lock", "--check", env=index).check(
        15, "1 listed package(s) of rocm have other bytes in the index now", "The old pins are kept"
    )
    lay_out(tmp_path / "archive", rocm_archive("60405").files(keys))
    amd.doit("lock", "--check", env=index).check(
        14, "3 of the 3 packages of rocm are no longer in the index", "rocm-llvm 19.0.0.25224.60404"
    )


def test_a_package_with_one_byte_changed_is_refused(
    amd: Project, index: dict[str, str], tmp_path: Path
) -> None:
    amd.doit("lock", env=index).check(0)
    (package,) = (tmp_path / "archive" / "pool").rglob("rocm-core_*.deb")
    content = bytearray(package.read_bytes())
    content[-9] ^= 1
    package.write_bytes(content)
    amd.doit("build_rocm").check(15, "rocm-core", "not those of the lock")
    assert not list(amd.store.glob("objects/*"))


def test_a_package_that_would_write_elsewhere_is_refused_whole(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    """Signed and locked as it is: the archive itself is hostile."""
    archive = rocm_archive()
    archive.add("evil", "1.60404-1", link(f"{ROOT}/x", "../../../../../../../../tmp"))
    publish(amd, keys, tmp_path, archive)
    amd.components["rocm"].pin = {
        **amd.components["rocm"].pin,
        "packages": ["rocm-llvm", "rocm-device-libs", "evil"],
    }
    amd.write()
    amd.doit("lock", env=index).check(0)
    amd.doit("build_rocm").check(16, "evil", "Unsafe archive")
    assert not list(amd.store.glob("objects/*"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "rocm-core"', 'name = "rocm-cure"'),
        ("pool/main/r/rocm-core", "pool/main/r/elsewhere"),
        ('wanted = ["rocm-llvm", ', 'wanted = ["rocm-llvm", "rocm-core", '),
        ("version = 1", "this is no TOML"),
    ],
)
def test_lock_mends_a_list_that_was_changed(
    amd: Project, index: dict[str, str], old: str, new: str
) -> None:
    amd.doit("lock", env=index).check(0)
    listed = amd.home / "locks/apt/rocm-6.4.4.toml"
    good = listed.read_text()
    assert old in good
    listed.write_text(good.replace(old, new, 1))
    assert amd.doit("fetch:rocm").code in (10, 13, 14, 15)
    amd.doit("lock", env=index).check(0, "locked anew")
    assert listed.read_text() == good
    amd.doit("build_rocm").check(0)


def test_a_list_that_the_policy_refuses_by_now_can_be_locked_anew(
    amd: Project, index: dict[str, str], keys: Keys, tmp_path: Path
) -> None:
    publish(amd, keys, tmp_path, rocm_archive("70001"))
    amd.write()
    policy = amd.home / "policy.toml"
    rules = policy.read_text()
    policy.write_text(rules.replace('releases = ["7.0.1"]', 'releases = ["7.0.9"]'))
    amd.doit("lock", env=index).check(0)
    policy.write_text(rules)
    amd.doit("plan").check(0, "rocm 7.0.1 is not used: rule rocm-7.0.1. Nothing is built")
    amd.doit("build_rocm").check(12, "rule rocm-7.0.1", "./doit lock")
    assert not list(amd.cache.glob("sha256/*"))  # nothing was fetched either
    lay_out(tmp_path / "archive", rocm_archive().files(keys))
    amd.doit("lock", env=index).check(0, "locked anew")
    amd.doit("build_rocm").check(0)
