"""install.sh finds a Python that fits, in any shell, or says why none does and how to get one."""

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from strixforge.model.digests import file_sha256
from strixforge.release.inputs import TEMPLATES
from strixforge.release.sums import sha256sums

REAL = Path(os.path.realpath(sys.executable))
HERE = f"3.{sys.version_info[1]}"
NEXT = f"3.{sys.version_info[1] + 1}"
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"]}


@dataclass
class Machine:
    """A wheelhouse with an install.py that says what runs it, and a machine with few Pythons."""

    root: Path
    shell: list[str] = field(default_factory=lambda: ["sh"])
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def wheelhouse(self) -> Path:
        return self.root / "the wheelhouse"

    @property
    def bin(self) -> Path:
        return self.root / "bin one"

    def needs(self, minimum: str, *, exact: bool = False, requires: str = ">=3.10") -> None:
        manifest = {
            "files": [{"python": "2.0", "python_exact": "no"}],
            "python": minimum,
            "python_exact": exact,
            "python_requires": requires,
            "stack": "demo",
        }
        text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
        (self.wheelhouse / "manifest.json").write_text(text)

    def fake(self, path: Path, version: str, change: str = "pass") -> Path:
        """Make a Python that says it is another; when it is to install, it says its own path."""
        code = (
            f"import platform, sys; sys.version_info = ({version.replace('.', ', ')}, 'final', 0);"
            f"platform.python_version = lambda: '{version}'; sys.executable = sys.argv.pop(1);"
            f"{change}; exec(sys.argv.pop(1))"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'#!/bin/sh\nif [ "$1" = -I ]; then echo "installs: $0"; exit; fi\n'
            f'shift 3\nexec {REAL} -E -s -c "{code}" "$0" "$@"\n'
        )
        path.chmod(0o755)
        return path

    def real(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(REAL)
        return path

    def write_sums(self) -> None:
        files = [path for path in self.wheelhouse.iterdir() if path.name != "SHA256SUMS"]
        text = sha256sums({path.name: file_sha256(path) for path in files})
        (self.wheelhouse / "SHA256SUMS").write_text(text)

    def install(
        self, *arguments: str, around: tuple[str, ...] = (), sums: bool = True
    ) -> "Outcome":
        if sums:
            self.write_sums()
        done = subprocess.run(
            [*around, *self.shell, str(self.wheelhouse / "install.sh"), *(arguments or ["PREFIX"])],
            env={"PATH": f"{self.bin}:{self.root / 'tools'}", **self.environment},
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def installer(self) -> Path:
        """The Python that installs."""
        assert self.code == 0, self.err
        assert self.err == ""
        first, second = self.out.splitlines()
        assert first.startswith("install.sh: using CPython 3.")
        return Path(second.removeprefix("installs: ").removesuffix(" PREFIX"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.wheelhouse.mkdir()
    shutil.copy(TEMPLATES / "install.sh", machine.wheelhouse)
    (machine.wheelhouse / "install.py").write_text(
        "import sys; print('installs:', sys.executable, *sys.argv[1:])\n"
    )
    (machine.wheelhouse / "verify.py").touch()
    machine.bin.mkdir()
    (tmp_path / "tools").mkdir()  # what there is without /usr/bin, which has a python3
    for name in (
        "sh",
        "dash",
        "bash",
        "sed",
        "tr",
        "dirname",
        "cat",
        "unshare",
        "mount",
        "sha256sum",
    ):
        found = shutil.which(name)
        if found is not None:
            (tmp_path / "tools" / name).symlink_to(found)
    return machine


@pytest.fixture(params=SHELLS)
def in_shell(machine: Machine, request: pytest.FixtureRequest) -> Machine:
    """Return the machine with each shell in turn."""
    machine.shell = SHELLS[request.param]
    if shutil.which(machine.shell[0]) is None:
        pytest.skip(f"{request.param} is not installed")
    return machine


def test_a_real_python_is_used_and_named(in_shell: Machine) -> None:
    in_shell.needs(HERE, exact=True)
    in_shell.real(in_shell.bin / "python3")
    done = in_shell.install("a folder, b")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith(f"install.sh: using CPython {HERE}.")
    assert first.endswith(f"({REAL})")
    assert second.endswith("python3 a folder, b")


def test_that_of_an_environment_is_used(in_shell: Machine) -> None:
    in_shell.needs("3.10")
    venv.create(in_shell.root / "env", with_pip=False)
    in_shell.environment["PATH"] = f"{in_shell.root / 'env/bin'}:{in_shell.root / 'tools'}"
    assert in_shell.install().installer == in_shell.root / "env/bin/python3"


def test_without_exact_the_python3_of_path_is_preferred(in_shell: Machine) -> None:
    in_shell.needs("3.10")
    wanted = in_shell.fake(in_shell.bin / "python3", "3.14.1")
    in_shell.fake(in_shell.bin / "python3.10", "3.10.0")
    assert in_shell.install().installer == wanted


def test_with_exact_the_one_of_that_name_comes_first(in_shell: Machine) -> None:
    in_shell.needs("3.13", exact=True)
    in_shell.fake(in_shell.bin / "python3", "3.13.9")
    wanted = in_shell.fake(in_shell.bin / "python3.13", "3.13.0")
    assert in_shell.install().installer == wanted


@pytest.mark.parametrize(
    ("place", "environment"),
    [
        ("bin one/python3.14", {}),
        ("home/.local/share/uv/python/cpython-3.14.0-linux-x86_64-gnu/bin/python3", {}),
        (
            "data home/uv/python/cpython-3.14.0-linux-x86_64-gnu/bin/python3",
            {"XDG_DATA_HOME": "data home"},
        ),
        ("uv's/cpython-3.14.0-linux-x86_64-gnu/bin/python3", {"UV_PYTHON_INSTALL_DIR": "uv's"}),
        ("home/.pyenv/versions/3.14.0/bin/python3", {}),
        ("pyenv root/versions/3.14.0/bin/python3", {"PYENV_ROOT": "pyenv root"}),
    ],
)
def test_others_are_found_when_that_of_path_does_not_fit(
    machine: Machine, place: str, environment: dict[str, str]
) -> None:
    machine.needs("3.13")
    machine.fake(machine.bin / "python3", "3.11.2")
    machine.fake(machine.bin / "python3.9", "3.9.2")
    wanted = machine.fake(machine.root / place, "3.14.0")
    machine.environment = {"HOME": str(machine.root / "home")} | {
        name: str(machine.root / folder) for name, folder in environment.items()
    }
    assert machine.install().installer == wanted


@pytest.mark.parametrize("home", [{}, {"HOME": ""}], ids=["unset", "empty"])
def test_without_home_and_without_any_python(in_shell: Machine, home: dict[str, str]) -> None:
    in_shell.needs("3.13", exact=True)
    in_shell.environment = home
    done = in_shell.install("it's here")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("install.sh: these wheels need CPython 3.13, and none that fits")
    assert "uv python install 3.13 " in done.err
    assert done.err.endswith("install.sh' 'it'\\''s here'\n")
    assert "unset" not in done.err
    assert "not found" not in done.err


@pytest.mark.parametrize(
    ("version", "change", "why"),
    [
        ("3.12.9", "pass", "CPython 3.12.9 ({}) is not 3.13"),
        ("3.14.0", "pass", "CPython 3.14.0 ({}) is not 3.13"),
        ("3.13.0", "sys.abiflags = 't'", "CPython 3.13.0 ({}) is free-threaded"),
        ("3.13.0", "sys.abiflags = 'td'", "CPython 3.13.0 ({}) is free-threaded"),
        ("3.13.0", "sys.maxsize = 2**31 - 1", "CPython 3.13.0 ({}) has 32 bits"),
        ("3.13.0", "sys.modules['venv'] = None", "CPython 3.13.0 ({}) has no module venv"),
        (
            "3.13.0",
            "platform.python_implementation = lambda: 'PyPy'",
            "PyPy 3.13.0 ({}) is not CPython",
        ),
        ("2.7.18", "del sys.abiflags", "CPython 2.7.18 ({}) is not 3.13"),
        ("3.13.0", "sys.exit(1)", "cannot be run: {}"),
        ("3.13.0", "print('hello'); sys.exit()", "cannot be run: {}"),
    ],
)
def test_it_says_why_one_does_not_fit(
    machine: Machine, version: str, change: str, why: str
) -> None:
    machine.needs("3.13", exact=True)
    place = machine.fake(machine.bin / "python3", version, change)
    done = machine.install()
    assert (done.code, done.out) == (3, "")
    assert f"\n  {why.format(place)}\n" in done.err


def test_a_folder_named_venv_is_not_the_module(in_shell: Machine) -> None:
    in_shell.needs("3.13")
    (in_shell.root / "venv").mkdir()
    (in_shell.root / "venv" / "__init__.py").write_text("raise SystemExit")
    wanted = in_shell.fake(in_shell.bin / "python3", "3.13.0")
    assert in_shell.install().installer == wanted


def test_each_python_is_told_of_once(in_shell: Machine) -> None:
    in_shell.needs(NEXT, exact=True)
    for name in ("python3", f"python{HERE}", f"python{NEXT}"):
        in_shell.real(in_shell.bin / name)
    done = in_shell.install()
    assert done.code == 3
    assert done.err.count(f"({REAL})") == 1
    assert f"is not {NEXT}\n" in done.err


@pytest.mark.parametrize(
    ("requires", "version", "fits"),
    [
        ("<3.14,>=3.10", "3.13.7", True),
        ("<3.14,>=3.10", "3.14.0", False),
        ("<=3.13,>=3.10", "3.13.0", True),
        ("<=3.13,>=3.10", "3.13.1", False),
        ("<4,>=3.10", "3.15.0", True),
        ("<3.13.2,>=3.10", "3.13.1", True),
        ("<3.13.2,>=3.10", "3.13.2", False),
        ("<3.14rc1,>=3.10", "3.13.2", True),  # install.py knows such numbers
    ],
)
def test_an_upper_bound_is_heeded(
    machine: Machine, requires: str, version: str, fits: bool
) -> None:
    machine.needs("3.10", requires=requires)
    newer = machine.fake(machine.bin / "python3", version)
    done = machine.install()
    if fits:
        assert done.installer == newer
    else:
        bound = requires.partition(",")[0]
        assert done.code == 3
        assert f"CPython {version} ({newer}) is not {bound}\n" in done.err
        assert f"these wheels need CPython {requires}, and" in done.err
        other = machine.fake(machine.bin / "python3.12", "3.12.0")
        assert machine.install().installer == other


def test_the_named_one_is_used_though_others_fit(in_shell: Machine) -> None:
    in_shell.needs("3.13")
    in_shell.fake(in_shell.bin / "python3", "3.13.0")
    wanted = in_shell.fake(in_shell.root / "my own" / "py", "3.14.0")
    in_shell.environment["STRIXFORGE_PYTHON"] = str(wanted)
    assert in_shell.install().installer == wanted


@pytest.mark.parametrize("named", ["python3.11", "/nowhere/python", "/bin/false", "."])
def test_when_the_named_one_does_not_fit_no_other_is_taken(in_shell: Machine, named: str) -> None:
    in_shell.needs("3.13")
    in_shell.fake(in_shell.bin / "python3", "3.13.0")
    in_shell.fake(in_shell.bin / "python3.11", "3.11.2")
    in_shell.environment["STRIXFORGE_PYTHON"] = named
    done = in_shell.install()
    assert (done.code, done.out) == (3, "")
    assert "that of STRIXFORGE_PYTHON does not fit" in done.err
    told = "CPython 3.11.2 " if named == "python3.11" else f"cannot be run: {named}\n"
    assert told in done.err


@pytest.mark.parametrize(
    ("release", "exact", "way"),
    [
        ("ID=debian", True, "apt install python3.13    (if your release has 3.13)"),
        ("ID=debian", False, "apt install python3    (if your release has 3.13 or newer)"),
        ('ID_LIKE="debian"\nID="ubuntu"', True, "else python3.13 is in the PPA deadsnakes)"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'", True, "is in the PPA deadsnakes)"),
        ("ID=fedora", True, "dnf install python3.13 "),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', True, "dnf install python3.13 "),
        ("ID=arch", True, "pacman has only the newest Python"),
        ("ID=manjaro\nID_LIKE=arch", False, "pacman -S python\n"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', True, "zypper install python313 "),
        ("ID=nixos", True, "nix-shell -p python313"),
        ("ID=plan9", True, "next:  uv python install 3.13 "),
        ("", True, "next:  uv python install 3.13 "),
    ],
)
def test_how_to_get_one_is_said_for_the_distribution(
    machine: Machine, release: str, exact: bool, way: str
) -> None:
    machine.needs("3.13", exact=exact)
    (machine.root / "os-release").write_text(f"NAME=Some\n{release}\nVERSION_ID=1\n")
    mounts = 'mount --bind os-release /etc/os-release && exec "$@"'
    around = ("unshare", "-rm", "sh", "-c", mounts, "sh")
    if subprocess.run([*around, "true"], cwd=machine.root, capture_output=True).returncode:
        pytest.skip("no user namespaces, or no /etc/os-release")
    done = machine.install("PREFIX", around=around)
    assert done.code == 3
    assert done.err.count("next:") == 1
    assert way in done.err
    assert "uv python install 3.13 " in done.err
    assert f"STRIXFORGE_PYTHON=/path/to/python3.13 '{machine.wheelhouse}/install.sh' PREFIX" in (
        done.err
    )


def test_a_manifest_that_names_no_python_is_told_of(in_shell: Machine) -> None:
    (in_shell.wheelhouse / "manifest.json").write_text("{}\n")
    done = in_shell.install()
    assert (done.code, done.out) == (4, "")
    assert "manifest.json is missing, or names no Python" in done.err


def test_a_missing_manifest_is_told_of(in_shell: Machine) -> None:
    in_shell.real(in_shell.bin / "python3")
    done = in_shell.install()
    assert (done.code, done.out) == (4, "")
    assert "SHA256SUMS was changed: it does not name manifest.json." in done.err


def test_without_any_program_that_hashes_a_missing_manifest_is_still_told_of(
    in_shell: Machine,
) -> None:
    (in_shell.root / "tools" / "sha256sum").unlink()
    done = in_shell.install()
    assert (done.code, done.out) == (4, "")
    assert "manifest.json is missing, or names no Python" in done.err


@pytest.mark.parametrize("hashes", ["sha256sum", "python3"])
@pytest.mark.parametrize("name", ["install.py", "verify.py", "manifest.json", "install.sh"])
def test_what_checks_the_rest_is_checked_first(in_shell: Machine, name: str, hashes: str) -> None:
    in_shell.needs(NEXT)  # so that nothing else of it runs
    in_shell.real(in_shell.bin / "python3")
    if hashes == "python3":
        (in_shell.root / "tools" / "sha256sum").unlink()
    assert in_shell.install().code == 3
    with (in_shell.wheelhouse / name).open("a") as file:
        file.write("#")
    done = in_shell.install(sums=False)
    assert (done.code, done.out) == (4, "")
    assert f"{name} is not as SHA256SUMS says: one of the two was changed." in done.err
    (in_shell.wheelhouse / name).unlink()
    if name != "install.sh":
        assert in_shell.install(sums=False).err == done.err


def test_a_list_that_is_missing_or_lacks_its_first_files_is_told_of(in_shell: Machine) -> None:
    in_shell.needs(HERE)
    in_shell.real(in_shell.bin / "python3")
    done = in_shell.install(sums=False)
    assert (done.code, done.out) == (4, "")
    assert "SHA256SUMS is missing." in done.err
    in_shell.write_sums()
    sums = in_shell.wheelhouse / "SHA256SUMS"
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[:-1]))
    done = in_shell.install(sums=False)
    assert (done.code, done.out) == (4, "")
    assert "SHA256SUMS was changed: it does not name verify.py." in done.err


@pytest.mark.parametrize(
    "words", [[""], ["-x"], ["--checks"], ["a", "b"], ["--check", "a"], ["--help", "a"], ["-"]]
)
def test_wrong_use_is_told_before_anything_is_looked_at(
    in_shell: Machine, words: list[str]
) -> None:
    done = in_shell.install(*words, sums=False)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("use: install.sh PREFIX ")
    assert "install.sh --check " in done.err


def test_without_a_word_it_tells_its_use(in_shell: Machine) -> None:
    in_shell.wheelhouse.joinpath("manifest.json").unlink(missing_ok=True)
    done = subprocess.run(
        [*in_shell.shell, str(in_shell.wheelhouse / "install.sh")],
        env={"PATH": str(in_shell.root / "tools")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("use: install.sh PREFIX ")


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_given_before_anything_is_looked_at(in_shell: Machine, word: str) -> None:
    done = in_shell.install(word, sums=False)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("use: install.sh PREFIX ")
