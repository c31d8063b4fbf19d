"""strixforge-verify names what of an installation is not as install.sh left it."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from strixforge.release.inputs import TEMPLATES
from tests.unit.tiny import real_pip, tiny_wheelhouse

PACKAGES = f"env/lib/python3.{sys.version_info[1]}/site-packages"
PYC = f"{PACKAGES}/__pycache__/tiny.cpython-3{sys.version_info[1]}.pyc"
MARK, LIST = ".strixforge-install.json", ".strixforge-files.json"


@dataclass
class Installed:
    """A copy of an installation."""

    prefix: Path

    def verify(self, *words: str, around: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*around, str(self.prefix / "env" / "bin" / "strixforge-verify"), *words],
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done

    def is_whole(self) -> bool:
        done = self.verify()
        assert "whole: all " not in done.stdout or done.returncode == 0
        assert done.stderr == ""
        return done.returncode == 0

    def findings(self) -> list[str]:
        """Return what is named, when something was changed."""
        done = self.verify()
        assert (done.returncode, done.stderr) == (4, ""), done
        lines = done.stdout.splitlines()
        return lines[lines.index("not as it was installed:") + 1 :]

    def refused(self, code: int) -> str:
        done = self.verify()
        assert done.returncode == code, done
        return done.stderr

    def flip(self, name: str, position: int = -1) -> None:
        content = bytearray((self.prefix / name).read_bytes())
        content[position] ^= 1
        (self.prefix / name).write_bytes(content)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wheelhouse(tmp_path_factory.mktemp("made") / "wheelhouse", real_pip())


@pytest.fixture(scope="module")
def original(wheelhouse: Path) -> Path:
    prefix = wheelhouse.parent / 'the "pre$fix"'
    done = subprocess.run(
        [str(wheelhouse / "install.sh"), str(prefix)],
        env={"PATH": os.environ["PATH"], "STRIXFORGE_PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return prefix


@pytest.fixture
def installed(original: Path, tmp_path: Path) -> Installed:
    """Return it as if it had been moved, times kept."""
    return Installed(shutil.copytree(original, tmp_path / "moved hère", symlinks=True))


def test_a_whole_installation_says_what_it_is(original: Path, wheelhouse: Path) -> None:
    done = Installed(original).verify()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("stack tiny for gfx1151, Python 3.")
    assert "\n  stuff 2.0\n  tiny 1.0\n" in done.stdout
    digest = subprocess.check_output(["sha256sum", wheelhouse / "manifest.json"], text=True)
    assert digest.split()[0] in done.stdout
    count = len(json.loads((original / LIST).read_text()))
    assert done.stdout.endswith(f"\nwhole: all {count} files are as they were installed\n")


def test_it_works_however_it_is_called(
    installed: Installed, wheelhouse: Path, tmp_path: Path
) -> None:
    assert installed.is_whole()
    link = tmp_path / "verify it"
    link.symlink_to(installed.prefix / "env/bin/strixforge-verify")
    other = installed.prefix.rename(tmp_path / "other place")
    link.unlink()
    link.symlink_to(other / "env/bin/strixforge-verify")
    commands: list[list[str | Path]] = [
        [link],
        [link, other],
        [other / "env/bin/strixforge-verify", "other place"],
        ["dash", other / "env/bin/strixforge-verify", "other place/"],
        ["bash", wheelhouse / "verify.py", "./other place"],
        [sys.executable, "-I", wheelhouse / "verify.py", other],
        ["env", "-i", other / "env/bin/python", other / "env/bin/strixforge-verify"],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (command, done)
        assert "whole: " in done.stdout


def test_using_and_copying_an_installation_changes_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    """A copy with new times would have its compiled files written anew, were they known by time."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", installed.prefix, copy], check=True)
    for flag in ("-B", "-b", "-O"):
        code = "import tiny; tiny.main()"
        subprocess.run([copy / "env/bin/python", "-E", flag, "-c", code], check=True)
    assert (copy / PYC.replace(".pyc", ".opt-1.pyc")).exists()
    assert Installed(copy).is_whole()
    assert subprocess.check_output([copy / "env/bin/tiny"]) == b"tiny works\n"
    assert Installed(copy).is_whole()


def test_it_reads_a_read_only_installation(installed: Installed) -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bwrap is not installed")
    done = installed.verify(around=("bwrap", "--ro-bind", "/", "/", "--dev", "/dev"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "name",
    [
        *(f"{PACKAGES}/tiny.py", f"{PACKAGES}/tiny-1.0.dist-info/RECORD", PYC),
        *("env/pyvenv.cfg", "env/bin/tiny", "env/bin/strixforge-verify"),
        *("stuff/lib/libstuff.so.1", "stuff/bin/tool", "activate.sh"),
    ],
)
def test_a_flipped_bit_is_named(installed: Installed, name: str) -> None:
    content = (installed.prefix / name).read_bytes()
    # Of the command itself a word of its text: in its code a bit could keep it from looking.
    word = b"standard" if name.endswith("verify") else b"e"
    installed.flip(name, content.rindex(word))
    found, cure = installed.findings()
    assert found == f"  changed: {name}"
    assert cure.startswith("  next: run install.sh again with this folder")
    (installed.prefix / name).write_bytes(content)
    assert installed.is_whole()


def replace(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def pipe_for_tool(prefix: Path) -> None:
    (prefix / "stuff/bin/tool").unlink()
    os.mkfifo(prefix / "stuff/bin/tool")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda p: (p / "stuff/bin/tool").unlink(), "missing: stuff/bin/tool"),
        (lambda p: shutil.rmtree(p / "stuff/bin"), "missing: stuff/bin/tool"),
        (
            lambda p: (p / "stuff/bin/tool").chmod(0o644),
            "changed: stuff/bin/tool  (no longer executable)",
        ),
        (
            lambda p: (p / "stuff/lib/libstuff.so.1").chmod(0o755),
            "changed: stuff/lib/libstuff.so.1  (now executable)",
        ),
        (
            lambda p: replace(p / "stuff/lib/libstuff.so", "/lib/other.so"),
            "changed: stuff/lib/libstuff.so  (a link to /lib/other.so, was one to libstuff.so.1)",
        ),
        (
            lambda p: replace(p / "stuff/bin/tool", "/bin/true"),
            "changed: stuff/bin/tool  (a link to /bin/true, was a file)",
        ),
        (
            lambda p: ((p / "env/lib64").unlink(), (p / "env/lib64").write_text("x")),
            "changed: env/lib64  (was a link to lib)",
        ),
        (pipe_for_tool, "changed: stuff/bin/tool"),
        (lambda p: (p / "activate.sh").unlink(), "missing: activate.sh"),
    ],
)
def test_what_else_may_have_happened_to_a_file(
    installed: Installed, change: Callable[[Path], object], found: str
) -> None:
    change(installed.prefix)
    assert installed.findings()[0] == f"  {found}"


@pytest.mark.parametrize(
    "name",
    [
        f"{PACKAGES}/sitecustomize.py",
        f"{PACKAGES}/__pycache__/evil.cpython-311.pyc",
        f"{PACKAGES}/evil.pyc",
        "stuff/lib/new folder/x",
    ],
)
def test_what_was_added_is_named_with_a_word_on_pip(installed: Installed, name: str) -> None:
    place = installed.prefix / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    found, word = installed.findings()
    assert found == f"  added: {name}"
    assert word == (
        "  What was added did not come with the stack; pip and uv add files in this way."
    )


def test_many_are_counted(installed: Installed) -> None:
    for number in range(50):
        (installed.prefix / "env" / f"file{number:02}").touch()
    *found, more, _ = installed.findings()
    assert found == [f"  added: env/file{number:02}" for number in range(20)]
    assert more == "  added: … and 30 more"


def test_files_of_ones_own_beside_it_do_not_count(installed: Installed) -> None:
    (installed.prefix / "mine").mkdir()
    (installed.prefix / "mine" / "notes").touch()
    (installed.prefix / "model.bin").touch()
    assert installed.is_whole()


def test_nothing_of_the_installation_runs(installed: Installed) -> None:
    evil = "import pathlib; pathlib.Path(__file__).with_name('ran').touch()\n"
    for name in ("sitecustomize.py", "usercustomize.py", "hashlib.py"):
        (installed.prefix / PACKAGES / name).write_text(evil)
    (installed.prefix / PACKAGES / "evil.pth").write_text("import sitecustomize\n")
    (installed.prefix / "env" / "bin" / "json.py").write_text(evil)
    assert len(installed.findings()) == 6
    assert not list(installed.prefix.rglob("ran"))


def test_it_works_when_the_python_of_the_environment_is_gone(installed: Installed) -> None:
    if sys.executable.startswith("/usr/bin"):
        pytest.skip("there is no other Python")
    (python,) = (p for p in installed.prefix.glob("env/bin/python3.*") if p.is_symlink())
    replace(python, "/nowhere/python3")
    found = installed.findings()
    assert any("(a link to /nowhere/python3, was one to /" in line for line in found)
    assert "  missing: /nowhere/python3, the Python that the environment is made of" in found


def test_each_bit_of_the_mark_and_of_the_list_counts(installed: Installed) -> None:
    for name in (MARK, LIST):
        content = (installed.prefix / name).read_bytes()
        for position in range(0, len(content) - 1, len(content) // 20):
            installed.flip(name, position)
            assert f"{name} in {installed.prefix} was changed" in installed.refused(4)
            (installed.prefix / name).write_bytes(content)
    assert installed.is_whole()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"complete": true}', "\udcff", "\0"])
def test_a_mark_that_is_none_is_told_of(installed: Installed, text: str) -> None:
    (installed.prefix / MARK).write_bytes(text.encode(errors="surrogateescape"))
    assert f"{MARK} in {installed.prefix} was changed" in installed.refused(4)


def test_a_missing_mark_or_list_is_told_of(installed: Installed) -> None:
    (installed.prefix / LIST).rename(installed.prefix / "list")
    assert f"{LIST} in {installed.prefix} was changed or is missing" in installed.refused(4)
    (installed.prefix / "list").rename(installed.prefix / LIST)
    (installed.prefix / MARK).unlink()
    assert f"{MARK} is missing in {installed.prefix}" in installed.refused(4)


def test_an_installation_that_was_cut_off_is_told_of(installed: Installed) -> None:
    (installed.prefix / MARK).write_text('{"complete": false, "parts": ["env"]}\n')
    said = installed.refused(4)
    assert f"the installation into {installed.prefix} was cut off" in said
    assert "next: run install.sh again with this folder" in said


@pytest.mark.parametrize("words", [["a", "b"], ["-x"], ["--check"], [""], ["/nowhere"], ["/"]])
def test_wrong_use_is_told(installed: Installed, words: list[str]) -> None:
    done = installed.verify(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "use: strixforge-verify [PREFIX]" in done.stderr


def test_help_is_given(installed: Installed) -> None:
    done = installed.verify("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("use: strixforge-verify [PREFIX]")


def test_that_of_a_wheelhouse_needs_a_folder(wheelhouse: Path) -> None:
    done = subprocess.run(["sh", wheelhouse / "verify.py"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("name", "whole"),
    [("stuff/bin/tool", True), ("stuff/bin", False), (MARK, False), (LIST, False)],
)
def test_what_cannot_be_read_is_told(installed: Installed, name: str, whole: bool) -> None:
    user: list[str] = []
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody").pw_uid
        user = ["setpriv", f"--reuid={nobody}", "--regid=65534", "--clear-groups"]
        for folder in installed.prefix.parents:
            folder.chmod(folder.stat().st_mode | 0o011)
    (installed.prefix / name).chmod(0)
    verify = "/usr/bin/python3", "-I", str(TEMPLATES / "verify.py"), str(installed.prefix)
    done = subprocess.run([*user, *verify], capture_output=True, text=True, cwd="/")
    (installed.prefix / name).chmod(0o755)
    assert done.returncode == 5, done
    if whole:
        assert f"  cannot be read: {name}  (Permission denied)" in done.stdout
        assert "next:" not in done.stdout
    else:
        assert f"{installed.prefix / name} cannot be read: Permission denied" in done.stderr
