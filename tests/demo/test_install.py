"""A wheelhouse installs, verified and offline, and refuses what is not as it was made."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from packaging.utils import parse_wheel_filename

from strixforge.model.digests import file_sha256
from strixforge.release.sums import read_sums, sha256sums

from .conftest import clean_environment


def install(wheelhouse: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-rn", str(wheelhouse / "install.sh"), str(target)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def installed_with(done: subprocess.CompletedProcess[str]) -> Path:
    """Return the Python that install.sh said it uses, such as /usr/bin/python3.11."""
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[0].partition("(")[2].removesuffix(")"))


@pytest.fixture
def copied(wheelhouse: Path, tmp_path: Path) -> Path:
    return shutil.copytree(wheelhouse, tmp_path / "copy of it")


def test_the_manifest_lists_every_file_with_hash_size_and_origin(wheelhouse: Path) -> None:
    manifest = json.loads((wheelhouse / "manifest.json").read_text())
    listed = {entry["path"] for entry in manifest["files"]}
    present = {p.relative_to(wheelhouse).as_posix() for p in wheelhouse.rglob("*") if p.is_file()}
    assert present - {"provenance.dsse.json"} == listed | {
        *("manifest.json", "SHA256SUMS", "provenance.json"),
    }
    built = [e["origin"] for e in manifest["files"] if "built" in e["origin"]]
    assert {origin["built"] for origin in built} == {
        *("rocm", "attention_kernels", "fastpath", "setproctitle", "demo_app"),
    }
    assert all(len(origin["key"]) == 64 and origin["source"] for origin in built)


def test_the_command_reports_every_kernel_for_gfx1151(prefix: Path) -> None:
    done = subprocess.run(
        [
            *("unshare", "-rn", "bash", "-c"),
            '. "$0/activate.sh" && strixforge-demo',
            str(prefix),
        ],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    names = {kernel["name"] for kernel in report["kernels"]}
    assert names == {"attention_forward", "rms_norm", "rotary_embedding", "softmax"}
    assert {kernel["target"] for kernel in report["kernels"]} == {"gfx1151"}
    assert all(kernel["vgprs"] > 0 for kernel in report["kernels"])


def test_an_installed_stack_can_be_moved(wheelhouse: Path, tmp_path: Path) -> None:
    install(wheelhouse, tmp_path / "first")
    moved = (tmp_path / "first").rename(tmp_path / "moved here")
    done = subprocess.run(
        ["bash", "-c", '. "$0/activate.sh" && strixforge-demo --table', str(moved)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "gfx1151" in done.stdout


def test_installing_again_replaces_what_was_installed_and_nothing_else(
    wheelhouse: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    assert install(wheelhouse, target).returncode == 0
    (target / "mine").mkdir()
    (target / "mine" / "notes.txt").write_text("keep")
    (target / "env" / "stray.txt").write_text("drop")
    done = install(wheelhouse, target)
    assert done.returncode == 0, done.stderr
    assert (target / "mine" / "notes.txt").read_text() == "keep"
    assert not (target / "env" / "stray.txt").exists()


def test_libraries_find_each_other_by_origin_and_name_no_folder_of_the_build(prefix: Path) -> None:
    runpaths = {}
    for path in prefix.rglob("*.so*"):
        if path.is_symlink() or "pip" in path.parts:
            continue
        assert b"/strixforge/deps" not in path.read_bytes()
        with path.open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            assert isinstance(dynamic, DynamicSection)
            for tag in dynamic.iter_tags("DT_RUNPATH"):
                runpaths[path.name] = str(tag.entry.d_val and getattr(tag, "runpath", ""))
    extension = next(path for name, path in runpaths.items() if name.startswith("_core"))
    assert extension == "$ORIGIN/../../../../../attention_kernels/lib"
    library = next(path for name, path in runpaths.items() if "attention" in name)
    assert library == "$ORIGIN/../../rocm/lib"


@pytest.mark.parametrize("shell", [["bash", "-c"], ["zsh", "-f", "-c"]], ids=["bash", "zsh"])
def test_deactivate_leaves_the_environment_as_it_was(
    prefix: Path, shell: list[str], tmp_path: Path
) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    script = """
        export PYTHONHOME=/nowhere ROCM_PATH='/a path' EMPTY=
        plain_rocm=1
        deactivate() { echo mine; }
        env | sort > "$1/before"
        . "$2/activate.sh"
        command -v strixforge-demo
        . "$2/activate.sh"          # twice is as once
        [ -z "${PYTHONHOME+set}" ] || echo "PYTHONHOME is set"
        deactivate
        env | sort > "$1/after"
        deactivate
        set | grep '^_strixforge' || true
    """
    done = subprocess.run(
        [*shell, script, shell[0], str(tmp_path), str(prefix)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"{prefix}/env/bin/strixforge-demo\nmine\n", done.stdout + done.stderr
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()


@pytest.mark.parametrize("command", [["bash"], ["sh", "-c", '. "$0"']], ids=["run", "dash"])
def test_activate_says_how_to_use_it_when_it_is_not_sourced_in_a_known_shell(
    prefix: Path, command: list[str]
) -> None:
    done = subprocess.run(
        [*command, str(prefix / "activate.sh")], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "source this file in bash or zsh" in done.stderr


def test_a_changed_byte_in_any_file_stops_the_installation(copied: Path, tmp_path: Path) -> None:
    files = sorted(path for path in copied.rglob("*") if path.is_file())
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        done = install(copied, tmp_path / "target")
        assert done.returncode == 4
        assert path.name in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "target").exists()
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def test_an_added_file_stops_the_installation(copied: Path, tmp_path: Path) -> None:
    (copied / "wheels" / "evil-1.0-py3-none-any.whl").write_bytes(b"PK")
    done = install(copied, tmp_path / "target")
    assert done.returncode == 4
    assert "evil" in done.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(wheelhouse: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    done = install(wheelhouse, tmp_path)
    assert done.returncode == 2
    assert "not empty" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_the_manifest_says_which_python_and_glibc_are_needed(wheelhouse: Path) -> None:
    manifest = json.loads((wheelhouse / "manifest.json").read_text())
    (extension,) = wheelhouse.glob("wheels/fastpath-*.whl")
    (tag,) = {tag.interpreter for tag in parse_wheel_filename(extension.name)[3]}
    assert "cp" + manifest["python"].replace(".", "") == tag
    assert manifest["python_exact"] is True
    assert manifest["python_requires"]
    archive, _, name = manifest["glibc_file"].partition(": ")
    assert (wheelhouse / archive).is_file()
    assert name
    assert manifest["glibc"].startswith("2.")


def test_a_python_that_does_not_fit_is_named_with_the_cure(wheelhouse: Path) -> None:
    done = subprocess.run(
        [str(wheelhouse / "install.sh"), "/nowhere"],
        env={"PATH": "/nowhere:/usr/bin:/bin", "STRIXFORGE_PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 3
    assert "cannot be run: /bin/false" in done.stderr
    assert "uv python install 3." in done.stderr


def change_manifest(wheelhouse: Path, **fields: str) -> None:
    path = wheelhouse / "manifest.json"
    text = json.dumps({**json.loads(path.read_text()), **fields}, indent=1, sort_keys=True)
    path.write_text(text + "\n")
    sums = wheelhouse / "SHA256SUMS"
    sums.write_text(sha256sums({**read_sums(sums.read_text()), "manifest.json": file_sha256(path)}))


def test_all_that_the_wheels_require_of_the_python_is_heeded(copied: Path, tmp_path: Path) -> None:
    minimum = json.loads((copied / "manifest.json").read_text())["python"]
    change_manifest(copied, python_requires=f"!={minimum}.*,>=3.10")
    done = install(copied, tmp_path / "target")
    assert done.returncode == 3
    assert f"these wheels need Python !={minimum}.*,>=3.10,=={minimum}.*, and /" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_library_that_needs_a_newer_glibc_is_told_of_and_installed(
    copied: Path, tmp_path: Path
) -> None:
    change_manifest(copied, glibc="2.999", glibc_file="prefixes/rocm-1.tar: lib/libfuture.so")
    done = install(copied, tmp_path / "target")
    assert done.returncode == 0
    here = os.confstr("CS_GNU_LIBC_VERSION")
    assert f"note: lib/libfuture.so needs glibc 2.999, this host has {here}." in done.stderr
    assert "prefixes/rocm-1.tar" in done.stderr
    assert (tmp_path / "target" / "activate.sh").exists()


def test_it_installs_without_ensurepip(wheelhouse: Path, tmp_path: Path) -> None:
    """As on a Debian without python3-venv: the module that makes pip is hidden."""
    python = installed_with(install(wheelhouse, tmp_path / "first"))
    hidden = python.parents[1] / "lib" / python.name / "ensurepip"
    blocker = tmp_path / "python"
    blocker.write_text(
        f'#!/bin/sh\nexec unshare -rm sh -c \'mount -t tmpfs none "$1" && shift && exec "$@"\' sh '
        f'{hidden} {python} "$@"\n'
    )
    blocker.chmod(0o755)
    done = subprocess.run(
        [str(wheelhouse / "install.sh"), str(tmp_path / "target")],
        env={**clean_environment(), "STRIXFORGE_PYTHON": str(blocker)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / "env" / "bin" / "strixforge-demo").exists()


def test_uv_installs_the_pep_751_lock_without_network(wheelhouse: Path, tmp_path: Path) -> None:
    from uv import find_uv_bin

    env = tmp_path / "env"
    subprocess.run([find_uv_bin(), "venv", "--quiet", str(env)], check=True, timeout=60)
    done = subprocess.run(
        [
            *("unshare", "-rn", find_uv_bin(), "pip", "sync", "--offline", "--no-cache"),
            *("--preview", "--python", str(env / "bin" / "python"), "pylock.toml"),
        ],
        cwd=wheelhouse,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (env / "bin" / "strixforge-demo").exists()
