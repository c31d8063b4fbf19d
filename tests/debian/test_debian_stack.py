"""Real HIP code for gfx1151, built in a root of pinned packages, from lock to installed stack."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from strixforge.audit.codeobjects import CodeObject, scan
from strixforge.model.lock import load_lock
from strixforge.model.packages import load_packages
from strixforge.sources.apt.unpacking import unpack_packages
from strixforge.sources.cache import Cache
from strixforge.store.tree import normalise, tree_digest
from strixforge.store.tree import scan as entries
from tests.demo.conftest import HOME, clean_environment, other_user

from .conftest import doit

pytestmark = pytest.mark.slow  # the packages are 250 MB, and the builds take a minute
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "strixforge"


def test_the_root_is_less_than_400_mb_to_download() -> None:
    packages = load_packages(HOME, load_lock(HOME / "toolchain.lock").roots["trixie"])
    assert len(packages.package) > 100
    assert packages.bytes() < 330e6  # and the wheels of cmake, ninja and their like below 70


def test_the_stack_reproduces_byte_for_byte(wheelhouse: Path) -> None:
    del wheelhouse
    text = doit("reproduce")
    assert "wheelhouse           identical: SHA256SUMS" in text
    report = json.loads((HOME / "build" / "reproduce" / "debian.json").read_text())
    names = {one["name"]: one["verdict"] for one in report["components"]}
    assert names == dict.fromkeys(("hip_runtime", "wmma_gemm", "device_sort"), "identical")


def test_the_stack_passes_the_audit_and_is_verified(wheelhouse: Path) -> None:
    assert f"verify               {wheelhouse}" in (said := doit("verify"))
    assert "agree" in said
    assert "147 kernels for gfx1151" in doit("audit")


def test_every_hip_code_object_is_for_gfx1151(wheelhouse: Path) -> None:
    for wheel in ("wmma_gemm", "device_sort"):
        (path,) = (wheelhouse / "wheels").glob(f"{wheel}-*.whl")
        assert path.name.endswith("-py3-none-linux_x86_64.whl")
        found = list(scan(path))
        assert all(isinstance(one, CodeObject) for one in found), found
        objects = [one for one in found if isinstance(one, CodeObject)]
        assert {one.target for one in objects} == {"gfx1151"}
        kernels = [kernel for one in objects for kernel in one.kernels]
        assert len(kernels) >= 2, kernels
        print(wheel, len(kernels), "kernels")


def test_the_matrix_kernel_uses_the_matrix_units(root: Path, wheelhouse: Path) -> None:
    """Disassembled by the root's own LLVM."""
    (wheel,) = (wheelhouse / "wheels").glob("wmma_gemm-*.whl")
    listing = in_root(
        root,
        """
        cd /tmp
        python3 -m zipfile -e /wheel wheel
        export PATH=$(echo /usr/lib/llvm-*/bin):$PATH
        llvm-objcopy --dump-section .hip_fatbin=bundle wheel/wmma_gemm/libwmma_gemm.so
        clang-offload-bundler --unbundle --type=o --input=bundle --output=object \
            --targets=hipv4-amdgcn-amd-amdhsa--gfx1151
        llvm-objdump --disassemble --mcpu=gfx1151 object
        """,
        {"/wheel": wheel},
    )
    assert "v_wmma_f32_16x16x16_f16" in listing


def test_it_installs_beside_the_hosts_python_and_says_what_it_can_do(
    wheelhouse: Path, tmp_path: Path
) -> None:
    """The wheels have no Python ABI; whether the libraries load hangs on the host's glibc."""
    prefix = tmp_path / "my stack"
    done = subprocess.run(
        ["unshare", "-rn", str(wheelhouse / "install.sh"), str(prefix)],
        env={**clean_environment(), "STRIXFORGE_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for command in ("wmma-gemm", "device-sort"):
        ran = subprocess.run(
            ["bash", "-c", f'. "{prefix}/activate.sh" && {command}'],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert f"library: {prefix}" in ran.stdout
        assert ran.returncode in (0, 1), ran.stderr
        assert "Traceback" not in ran.stderr
        if ran.returncode == 1:  # an older glibc than the root's: it says so
            assert "too old" in ran.stderr, ran.stderr


def test_in_its_own_root_the_libraries_load_and_find_no_gpu(root: Path, wheelhouse: Path) -> None:
    said = in_root(
        root,
        "/wheelhouse/install.sh /tmp/p && . /tmp/p/activate.sh && wmma-gemm && device-sort",
        {"/wheelhouse": wheelhouse},
    )
    assert said.count("loaded: yes, with code for gfx1151, on HIP 5.7") == 2, said
    assert said.count("GPUs: 0") == 2, said


def test_a_python_of_another_minor_version_is_refused_by_name(root: Path) -> None:
    """The demo's wheels are for the host's Python; the one that is there is the root's, 3.13."""
    done = subprocess.run([HOME / "doit", "stack=demo", "wheelhouse"], env=clean_environment())
    assert done.returncode == 0
    demo = HOME / "build" / "wheelhouse" / "demo"
    needed = json.loads((demo / "manifest.json").read_text())["python"]
    if needed == "3.13":
        pytest.skip("the host's Python is of the root's version")
    said = in_root(root, "/wheelhouse/install.sh /tmp/p 2>&1 || echo ended with $?; ls /tmp",
                   {"/wheelhouse": demo})  # fmt: skip
    assert f"these wheels need CPython {needed}, and" in said
    assert "CPython 3.13." in said
    assert f"STRIXFORGE_PYTHON=/path/to/python{needed} /wheelhouse/install.sh /tmp/p" in said
    assert said.endswith("ended with 3\n"), said


def test_another_user_in_the_other_sandbox_gets_the_same_bytes(
    wheelhouse: Path, tmp_path: Path
) -> None:
    """Root, toolchain facts, libraries and wheels; with umask 077, from the same downloads."""
    del wheelhouse
    other = tmp_path / "somewhere else"
    cache = other / "cache" / "strixforge"
    cache.mkdir(parents=True)
    for part in ("sha256", "listings"):
        shutil.copytree(CACHE / part, cache / part)
    subprocess.run(["git", "clone", "--quiet", str(HOME), str(other / "clone")], check=True)
    user, python = other_user(other)
    done = subprocess.run(
        [*user, str(other / "clone" / "doit"), "stack=debian", "wheelhouse"],
        env={
            **clean_environment(),
            "HOME": str(other),
            "XDG_CACHE_HOME": str(other / "cache"),
            "STRIXFORGE_PYTHON": python,
            "STRIXFORGE_SANDBOX": "unshare",
            "LC_ALL": "C",
        },
        capture_output=True,
        text=True,
        timeout=900,
        cwd="/",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("trixie", "rocm", "hip_runtime", "wmma_gemm", "device_sort")
    outputs = [
        {name: json.loads((place / f"{name}.json").read_text())["output"] for name in names}
        for place in (
            HOME / "build" / "state" / "debian",
            other / "clone" / "build" / "state" / "debian",
        )
    ]
    assert outputs[0] == outputs[1]


def test_the_root_is_what_its_packages_hold_and_the_links_of_its_recipe(
    root: Path, tmp_path: Path
) -> None:
    pin = load_lock(HOME / "toolchain.lock").roots["trixie"]
    cache = Cache(CACHE)
    packages = load_packages(HOME, pin).package
    files = [(str(one), cache.verified(one.sha256, what=str(one))) for one in packages]
    target = tmp_path / "root"
    target.mkdir()
    unpack_packages(files, target)
    normalise(target)
    links = {"usr/bin/awk", "usr/bin/c++", "usr/bin/cc"}
    stored = [one for one in entries(root) if one["path"] not in links]
    assert len(stored) > 10_000
    assert tree_digest(entries(target)) == tree_digest(stored)


def test_it_is_up_to_date_afterwards(wheelhouse: Path) -> None:
    del wheelhouse
    said = doit("wheelhouse")
    assert said.count("up to date") == 6, said


def in_root(root: Path, script: str, shown: dict[str, Path]) -> str:
    """Run a script in the unpacked root, with no network; return what it said."""
    binds = [word for place, path in shown.items() for word in ("--ro-bind", str(path), place)]
    done = subprocess.run(
        [
            *("bwrap", "--unshare-all", "--die-with-parent", "--tmpfs", "/"),
            *("--ro-bind", str(root / "usr"), "/usr", "--ro-bind", str(root / "etc"), "/etc"),
            *("--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
            *("--symlink", "usr/lib64", "/lib64", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/tmp", *binds, "--clearenv", "--setenv", "PATH", "/usr/bin"),
            *("--setenv", "LC_ALL", "C.UTF-8", "bash", "-euc", script),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
