"""Checks a wheelhouse, and installs it into a folder, without network. Run through install.sh.

Uses the standard library of Python 3.10, and verify.py and the pip beside it.
Layout: PREFIX/env is the Python environment, beside it lies each prefix of the stack, and
PREFIX/activate.sh activates all of it.

Exit codes: 0 installed, 2 wrong use, 3 no fitting Python, 4 a file was changed,
5 could not install.
"""

import errno
import importlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # which `python -I` leaves out; install.sh has checked what lies here
verify = importlib.import_module("verify")
sys.path.pop(0)
MARK = verify.MARK
# About manifest.json, so not named by it. `./doit verify` reads them.
PROOFS = ("provenance.json", "provenance.dsse.json")
COPY = "next: copy the wheelhouse again"
ROOM = "next: free space, or name a folder on another disk; then the same command again"


def stop(code: int, what: str, *more: str) -> NoReturn:
    """End with a message: what happened, and what to do."""
    print(f"install.sh: {what}", *(f"  {line}" for line in more), sep="\n", file=sys.stderr)
    sys.exit(code)


def verified_manifest() -> dict[str, Any]:
    """Check every file of the wheelhouse against manifest.json; nothing more, nothing less.

    install.sh has checked this file and manifest.json against SHA256SUMS; here the rest of that
    is compared, so that one changed byte shows wherever it is.
    """
    try:
        manifest: dict[str, Any] = json.loads((HERE / "manifest.json").read_text())
        listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        stop(4, f"manifest.json cannot be read: {error}", COPY)
    for name, wanted in listed.items():
        try:
            found = verify.sha256(HERE / name)
        except OSError as error:
            stop(4, f"{name} cannot be read: {error.strerror}", COPY)
        if found != wanted:
            stop(
                4,
                f"{name} was changed: its sha256 is not that of manifest.json.",
                f"found {found}, wanted {wanted}",
                "next: copy the wheelhouse again, or make it anew: ./doit wheelhouse",
            )
    present = {p.relative_to(HERE).as_posix() for p in HERE.rglob("*") if not p.is_dir()}
    extra = sorted(present - listed.keys() - {"manifest.json", "SHA256SUMS", *PROOFS})
    if extra:
        stop(4, f"{extra[0]} does not belong to this wheelhouse.", "next: remove it")
    there = (HERE / "SHA256SUMS").read_bytes()
    for name in ("manifest.json", *sorted(present.intersection(PROOFS))):
        listed[name] = verify.sha256(HERE / name)
        if f"{listed[name]}  {name}\n".encode() not in there:
            stop(4, f"{name} is not as SHA256SUMS says.", COPY)
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items()))
    if there != sums.encode():
        stop(4, "SHA256SUMS was changed: it is not that of manifest.json.", COPY)
    return manifest


def the_pip() -> Path:
    """Return the wheel of pip."""
    return next((HERE / "tools").glob("pip-*.whl"))


def check_python(manifest: dict[str, Any]) -> None:
    """Refuse a Python that the wheels are not for; install.sh has not looked at all they say."""
    sys.path.insert(0, str(the_pip()))
    specifiers = importlib.import_module("pip._vendor.packaging.specifiers")
    sys.path.pop(0)
    version = "==" + manifest["python"] + ".*" if manifest["python_exact"] else ""
    wanted = ",".join(filter(None, [manifest["python_requires"], version]))
    found = ".".join(map(str, sys.version_info[:3]))
    if found not in specifiers.SpecifierSet(wanted):
        stop(
            3,
            f"these wheels need Python {wanted}, and {sys.executable} is {found}.",
            "next: name another: STRIXFORGE_PYTHON=/path/to/python3 install.sh PREFIX",
        )


def note_glibc(manifest: dict[str, Any]) -> None:
    """Say when a library needs a newer glibc than this host has; all else may still be of use."""
    try:
        here = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        here = ""  # a host without glibc does not know the name
    wanted, has = (re.findall(r"\d+", text)[:2] for text in (manifest["glibc"], here))
    if [*map(int, has)] < [*map(int, wanted)]:
        archive, _, name = manifest["glibc_file"].partition(": ")
        print(
            f"install.sh: note: {name} needs glibc {manifest['glibc']}, this host has "
            f"{here or 'none'}.",
            f"  It comes with {archive}, and is installed; but it and what",
            "  needs it cannot be loaded here. Other libraries may need that glibc too.",
            f"  next: install on a newer distribution, one with glibc {manifest['glibc']} or later",
            sep="\n",
            file=sys.stderr,
        )


def prepared(prefix: Path, manifest: dict[str, Any]) -> None:
    """Make the folder; refuse one that holds something else."""
    if prefix.exists() and not prefix.is_dir():
        stop(2, f"{prefix} is no folder.", "next: name a new or empty folder")
    if prefix.is_dir() and not (prefix / MARK).is_file():
        held = {path.name for path in prefix.iterdir()}
        if held - {MARK + ".new"}:  # which is all that an end in the first moment leaves
            stop(2, f"{prefix} is not empty.", "next: name a new or empty folder")
    if prefix == HERE or HERE in prefix.parents:
        stop(2, "the folder lies inside the wheelhouse.", "next: name another folder")
    parts = earlier_parts(prefix)
    prefix.mkdir(parents=True, exist_ok=True)
    # Written first, with the old parts and the new: an installation that is cut off is known too.
    write_mark(prefix, {"complete": False, "parts": sorted({*parts, *new_parts(manifest)})})
    for name in ("activate.sh", verify.LIST):  # what is not complete is not to be used
        (prefix / name).unlink(missing_ok=True)
    for name in parts:
        if (prefix / name).is_symlink():
            (prefix / name).unlink()
        elif (prefix / name).exists():
            shutil.rmtree(prefix / name)


def write_mark(prefix: Path, mark: dict[str, Any]) -> None:
    """Say in the folder what it holds; a reader sees the old mark or the new one."""
    staged = prefix / (MARK + ".new")
    with staged.open("w") as file:
        file.write(json.dumps(mark, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    staged.replace(prefix / MARK)


def earlier_parts(prefix: Path) -> list[str]:
    """Return the folders that an earlier installation made here; all others are the user's."""
    try:
        parts = json.loads((prefix / MARK).read_text())["parts"]
        return [name for name in parts if name.isidentifier()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def new_parts(manifest: dict[str, Any]) -> list[str]:
    """Return the folders that this installation makes below PREFIX."""
    files = manifest["files"]
    built = [one["origin"]["built"] for one in files if one["path"].startswith("prefixes/")]
    return ["env", *built]


def make_environment(prefix: Path, manifest: dict[str, Any]) -> None:
    """Make PREFIX/env and install every wheel, by hash and from here alone."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON", "UV_", "VIRTUAL_ENV"))
    }
    # The last one lets Python know its compiled files by hash: a copy of PREFIX keeps them all.
    environment.update(PIP_CONFIG_FILE=os.devnull, PYTHONNOUSERSITE="1", SOURCE_DATE_EPOCH="1")
    environment.setdefault("HOME", str(prefix))  # pip asks for it, and uses nothing there
    python = prefix / "env" / "bin" / "python"
    pip = the_pip() / "pip"
    run = [sys.executable, "-I", str(pip), "--disable-pip-version-check", "--python", str(python)]
    commands = [
        [sys.executable, "-I", "-m", "venv", "--without-pip", "--symlinks", str(prefix / "env")],
        [
            *(*run, "install", "--quiet", "--no-index", "--no-deps", "--only-binary=:all:"),
            *("--no-cache-dir", "--require-hashes", f"--find-links={HERE / 'wheels'}"),
            *("--requirement", str(HERE / "requirements.txt")),
        ],
        [*run, "check"],
    ]
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).strip().splitlines()
        without = manifest.get("without", {})
        meant = command[-1] == "check" and done.returncode == 1 and bool(said)
        if meant:  # pip found something: what of it is not left out on purpose
            said = [line for line in said if not _left_out(line, without)]
        if done.returncode and (said or not meant):
            what = f"{' '.join(command[2:6])} … ended with {done.returncode}."
            full = os.strerror(errno.ENOSPC) in done.stdout + done.stderr
            stop(5, what, *said[-8:], *([ROOM] if full else []))


def _left_out(line: str, without: dict[str, list[str]]) -> bool:
    """Say whether `pip check` complains of a requirement that the stack does without on purpose."""
    match = re.match(r"(\S+) \S+ (?:requires|has requirement) ([A-Za-z0-9][A-Za-z0-9._-]*)", line)
    if match is None:
        return False
    name, needed = (re.sub(r"[-_.]+", "-", text).lower() for text in match.groups())
    return needed in without.get(name, [])


def unpack_prefixes(prefix: Path, manifest: dict[str, Any]) -> None:
    """Unpack each prefix beside the environment."""
    for entry in manifest["files"]:
        if entry["path"].startswith("prefixes/"):
            with tarfile.open(HERE / entry["path"]) as tar:
                links: set[str] = set()
                for member in tar:
                    if not _is_plain(member, links):
                        stop(4, f"{entry['path']} holds {member.name!r}, which is no plain file.")
                # The names above are safe, also where this Python has no extraction filters yet.
                safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                tar.extractall(  # noqa: S202 - checked above
                    prefix / entry["origin"]["built"], **safe
                )


def _is_plain(member: tarfile.TarInfo, links: set[str]) -> bool:
    """Say whether a member stays in its folder: a file, a folder, or a link to another name in it.

    `links` collects the symlinks seen so far; nothing may be written through one.
    """
    place = Path(member.name)
    if place.is_absolute() or ".." in place.parts or links & {str(p) for p in place.parents}:
        return False
    if member.issym():
        links.add(str(place))
        target = os.path.normpath(place.parent / member.linkname)
        return not member.linkname.startswith("/") and not target.startswith("..")
    return member.isreg() or member.isdir()


def make_movable(prefix: Path) -> None:
    """Let the commands of the environment find their Python beside themselves.

    pip writes the absolute path of the environment into each; the folder could not be moved.
    """
    # A shell reads the second line as a command, Python reads lines two and three as a string.
    find = b'"$(dirname -- "$(realpath -- "$0")")/python"'
    start = b"#!/bin/sh\n'''exec' " + find + b" \"$0\" \"$@\"\n' '''\n"
    ours = os.fsencode(prefix / "env" / "bin")
    for path in (prefix / "env" / "bin").iterdir():
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        lines = content.split(b"\n")
        if lines[0].startswith(b"#!" + ours):
            path.write_bytes(start + b"\n".join(lines[1:]))
        elif (
            len(lines) > 3
            and lines[0] == b"#!/bin/sh"
            and lines[1].startswith(b"'''exec'")
            and ours in lines[1]
        ):
            path.write_bytes(start + b"\n".join(lines[3:]))


def complete(prefix: Path, manifest: dict[str, Any]) -> None:
    """Add what activates and what verifies, and write down every file."""
    shutil.copyfile(HERE / "activate.sh", prefix / "activate.sh")
    command = prefix / "env" / "bin" / "strixforge-verify"
    shutil.copyfile(HERE / "verify.py", command)
    command.chmod(0o755)
    parts = new_parts(manifest)
    mark = {
        "complete": True,
        "parts": parts,
        "files": verify.record(prefix, parts),
        "python": platform.python_version(),
        "wheelhouse": verify.sha256(HERE / "manifest.json"),
        "manifest": manifest,
    }
    write_mark(prefix, {**mark, "seal": verify.seal(mark)})


def main(arguments: list[str]) -> int:
    """Install into the folder that is the one argument, or only check: --check."""
    for stream in (sys.stdout, sys.stderr):  # names of folders may hold any byte
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    if arguments == ["--check"]:
        manifest = verified_manifest()
        print(f"{manifest['stack']}: all {len(manifest['files'])} files are whole")
        return 0
    prefix = Path(os.path.abspath(arguments[0]))  # noqa: PTH100 - links in the path stay
    if ":" in str(prefix):
        stop(2, "the folder's name holds a colon, which PATH cannot.", "next: name another folder")
    if platform.machine() != "x86_64" or sys.platform != "linux":
        stop(3, f"these wheels are for Linux on x86_64, not {sys.platform} {platform.machine()}.")
    os.umask(0o022)
    manifest = verified_manifest()
    check_python(manifest)
    note_glibc(manifest)
    try:
        prepared(prefix, manifest)
        make_environment(prefix, manifest)
        make_movable(prefix)
        unpack_prefixes(prefix, manifest)
        complete(prefix, manifest)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = ROOM if full else "next: mend that, and give the same command again"
        stop(5, f"{error.strerror}: {error.filename or prefix}", cure)
    count = sum(entry["path"].startswith("wheels/") for entry in manifest["files"])
    print(f"{manifest['stack']}: {count} wheels verified and installed into {prefix}")
    print(f"next:  . {shlex.quote(str(prefix / 'activate.sh'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
