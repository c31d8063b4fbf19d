"""The demo's bundle, carried elsewhere, installs without network and can be checked again later."""

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import HOME, clean_environment

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=300
    )


def test_a_bundle_is_carried_installed_and_verified(wheelhouse: Path, tmp_path: Path) -> None:
    done = run(HOME / "doit", "stack=demo", "bundle", cwd=wheelhouse)
    assert done.returncode == 0, done.stdout + done.stderr
    name = "strixforge-demo-gfx1151.tar"
    made = HOME / "build" / "bundle" / name
    first = made.read_bytes()
    made.unlink()
    done = run(HOME / "doit", "stack=demo", "bundle", cwd=wheelhouse)
    assert done.returncode == 0, done.stdout + done.stderr
    assert made.read_bytes() == first
    assert made.with_name(f"{name}.sha256").read_text().split()[0] in done.stdout
    done = run(HOME / "doit", "stack=demo", "bundle", cwd=wheelhouse)
    assert done.stdout.endswith("bundle               up to date\n")

    carried = tmp_path / "the stick"
    carried.mkdir()
    for path in (made, made.with_name(f"{name}.sha256")):
        shutil.copy(path, carried)
    assert run("sha256sum", "-c", f"{name}.sha256", cwd=carried).returncode == 0
    assert run("tar", "-xf", name, cwd=carried).returncode == 0
    done = run(
        *("unshare", "-rn", "strixforge-demo-gfx1151/install.sh", tmp_path / "my stack"),
        cwd=carried,
    )
    assert done.returncode == 0, done.stderr

    verify = ("bash", "-c", '. "$0/activate.sh" && strixforge-demo && strixforge-verify')
    done = run(*verify, tmp_path / "my stack", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stack demo for gfx1151" in done.stdout
    assert "whole: all " in done.stdout

    (library,) = (tmp_path / "my stack").glob("attention_kernels/lib/*.so.1.0.0")
    content = bytearray(library.read_bytes())
    content[len(content) // 2] ^= 1
    library.write_bytes(content)
    shipped = carried / "strixforge-demo-gfx1151" / "verify.py"
    for command in (
        [tmp_path / "my stack" / "env" / "bin" / "strixforge-verify"],
        ["python3", shipped, tmp_path / "my stack"],
    ):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 4
        assert f"changed: attention_kernels/lib/{library.name}\n" in done.stdout
