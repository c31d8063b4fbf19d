#!/bin/sh
""":"
here=$(dirname -- "$(realpath -- "$0")")
python=$here/python
"$python" -I -S -c '' 2> /dev/null || python=python3
exec "$python" -I -S -B "$0" "$@"

Says whether an installation is as install.sh left it. The lines above are for a shell: they start
the Python beside this file, else python3, and nothing of the installation is imported.
Uses the standard library of Python 3.10. install.py takes from here what records an installation.

Exit codes: 0 whole, 2 wrong use, 4 something was changed, 5 something cannot be read.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

MARK = ".strixforge-install.json"
LIST = ".strixforge-files.json"
SHOWN = 20  # of each kind
USE = """use: strixforge-verify [PREFIX]
  PREFIX is the folder that install.sh was given; without it, the one that this command lies in"""


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    digest = hashlib.sha256()  # hashlib.file_digest is not in Python 3.10
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def seal(mark: dict[str, Any]) -> str:
    """Return the digest of all of a mark but its seal."""
    rest = {name: value for name, value in mark.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def record(prefix: Path, parts: Iterable[str]) -> str:
    """Write down every file of an installation; return the digest of that list."""
    names = list(present(prefix, parts))
    with ThreadPoolExecutor() as pool:
        states = pool.map(lambda name: state(prefix / name), names)
        listed = dict(zip(names, states, strict=True))
    (prefix / LIST).write_text(json.dumps(listed, indent=0, sort_keys=True) + "\n")
    return sha256(prefix / LIST)


def present(prefix: Path, parts: Iterable[str]) -> Iterator[str]:
    """Yield every file and link of an installation. Raises OSError for a folder it cannot list."""

    def fail(error: OSError) -> NoReturn:
        raise error

    for part in sorted([*parts, "activate.sh"]):
        top = prefix / part
        if top.is_symlink() or top.is_file():
            yield part
            continue
        if not top.exists():
            continue
        for folder, folders, files in os.walk(top, onerror=fail):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114,PTH118
            for name in files + links:
                yield os.path.relpath(os.path.join(folder, name), prefix)  # noqa: PTH118


def state(path: Path) -> str:
    """Return what a file is, as one text."""
    if path.is_symlink():
        return f"link {os.readlink(path)}"  # noqa: PTH115
    if not path.is_file():
        return "special"
    return f"{'program' if path.stat().st_mode & 0o100 else 'file'} {sha256(path)}"


def difference(was: str, now: str) -> str:
    """Say how a file changed, where more is known than that its content did."""
    old, _, before = was.partition(" ")
    new, _, after = now.partition(" ")
    if new == "link":
        return f"  (a link to {after}, was {'one to ' + before if old == 'link' else 'a file'})"
    if old == "link":
        return f"  (was a link to {before})"
    if before == after:
        return f"  ({'now' if new == 'program' else 'no longer'} executable)"
    return ""


def written_by_python(name: str, listed: dict[str, str]) -> bool:
    """Say whether this is what a Python keeps of a module that belongs to the installation."""
    match = re.fullmatch(r"(.*/)?__pycache__/(.+?)\.[^./]+(\.opt-[^./]+)?\.pyc", name)
    return match is not None and f"{match[1] or ''}{match[2]}.py" in listed


class Findings:
    """What is not as it was installed, each with its kind in front."""

    def __init__(self, prefix: Path, listed: dict[str, str], parts: Iterable[str]) -> None:
        """Look at every file."""
        self.lines: dict[str, list[str]] = {}
        try:
            found = sorted(present(prefix, parts))
        except OSError as error:
            stop(5, f"{error.filename} cannot be read: {error.strerror}.")
        names = sorted(listed)
        with ThreadPoolExecutor() as pool:
            states = pool.map(lambda name: self._state(prefix / name), names)
            for name, (now, unread) in zip(names, states, strict=True):
                if unread:
                    self._add("cannot be read", f"{name}  ({unread})")
                elif not now:
                    self._add("missing", name)
                elif now != listed[name]:
                    self._add("changed", name + difference(listed[name], now))
        self._base_python(prefix / "env" / "bin" / "python")
        for name in found:
            if name not in listed and not written_by_python(name, listed):
                self._add("added", name)

    def _base_python(self, link: Path) -> None:
        """Name the Python outside, which the environment is made of, when it is not there."""
        what = f"{os.path.realpath(link)}, the Python that the environment is made of"
        try:
            if link.is_symlink():
                link.stat()
        except FileNotFoundError:
            self._add("missing", what)
        except OSError as error:
            self._add("cannot be read", f"{what}  ({error.strerror})")

    def _add(self, kind: str, what: str) -> None:
        self.lines.setdefault(kind, []).append(what)

    @staticmethod
    def _state(path: Path) -> tuple[str, str]:
        try:
            return state(path) if os.path.lexists(path) else "", ""
        except OSError as error:
            return "", error.strerror or str(error)

    def show(self) -> None:
        """Print them, the first of each kind."""
        for kind, names in self.lines.items():
            for name in names[:SHOWN]:
                print(f"  {kind}: {name}")
            if len(names) > SHOWN:
                print(f"  {kind}: … and {len(names) - SHOWN} more")


def stop(code: int, what: str, *more: str) -> NoReturn:
    """End with a message: what happened, and what to do."""
    lines = (f"  {line}" for line in more)
    print(f"strixforge-verify: {what}", *lines, sep="\n", file=sys.stderr)
    sys.exit(code)


def the_mark(prefix: Path) -> dict[str, Any]:
    """Return what install.sh left of itself; end where that is not whole."""
    again = "next: run install.sh again with this folder"
    if not (prefix / MARK).is_file():
        if (prefix / LIST).is_file():
            stop(4, f"{MARK} is missing in {prefix}.", again)
        stop(2, f"{prefix} is no installation.", *USE.splitlines())
    try:
        text = (prefix / MARK).read_bytes()
    except OSError as error:
        stop(5, f"{error.filename} cannot be read: {error.strerror}.")
    try:
        mark: dict[str, Any] = json.loads(text)
        if mark["complete"] is False:
            stop(4, f"the installation into {prefix} was cut off.", again)
        if mark["seal"] == seal(mark):
            return mark
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # what comes next says so
    stop(4, f"{MARK} in {prefix} was changed.", again)


def the_list(prefix: Path, mark: dict[str, Any]) -> dict[str, str]:
    """Return every file that was installed; end where the list of them is not whole."""
    try:
        whole = sha256(prefix / LIST) == mark["files"]
        listed: dict[str, str] = json.loads((prefix / LIST).read_bytes()) if whole else {}
    except FileNotFoundError:
        whole, listed = False, {}
    except OSError as error:
        stop(5, f"{error.filename} cannot be read: {error.strerror}.")
    if not whole:
        stop(
            4,
            f"{LIST} in {prefix} was changed or is missing: it lists what was installed.",
            "next: run install.sh again with this folder",
        )
    return listed


def main(arguments: list[str]) -> int:
    """Check the installation that is named, or the one that this file lies in."""
    for stream in (sys.stdout, sys.stderr):  # names of files may hold any byte
        getattr(stream, "reconfigure", dict)(errors="backslashreplace")
    if arguments in (["-h"], ["--help"]):
        print(USE)
        return 0
    if len(arguments) > 1 or [one for one in arguments if not one or one.startswith("-")]:
        stop(2, *USE.splitlines())
    own = Path(__file__).resolve()
    if not arguments and own.name != "strixforge-verify":
        stop(2, *USE.splitlines())
    prefix = Path(arguments[0]).absolute() if arguments else own.parents[2]
    mark = the_mark(prefix)
    listed = the_list(prefix, mark)
    manifest = mark["manifest"]
    print(f"stack {manifest['stack']} for {manifest['arch']}, Python {mark['python']}: {prefix}")
    for entry in manifest["files"]:
        if "built" in entry["origin"]:
            print(f"  {entry['origin']['built']} {entry['origin']['version']}")
    print(f"  wheelhouse: sha256 of its manifest.json {mark['wheelhouse']}")
    findings = Findings(prefix, listed, mark["parts"])
    if not findings.lines:
        print(f"whole: all {len(listed)} files are as they were installed")
        return 0
    print("not as it was installed:")
    findings.show()
    if "added" in findings.lines:
        print("  What was added did not come with the stack; pip and uv add files in this way.")
    if findings.lines.keys() - {"added", "cannot be read"}:
        print("  next: run install.sh again with this folder; it replaces what it installed")
    return 5 if findings.lines.keys() == {"cannot be read"} else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
