"""The versions that a ROCm folder shows, each with the file that shows it.

`.info/version` is in every ROCm, but TheRock writes the base version only. Its manifest has commits
(ROCm/TheRock build_tools/generate_therock_manifest.py at 0c509634), and in newer releases the whole
version as rocm_package_version, seen in rocm-sdk-core 10.1.0a20260813. AMD's libraries carry
the ROCm release in their file names: libamdhip64.so.6.4.60404. The number of HIP is another one:
ROCm 10.0.0 brings HIP 7.15.
"""

import json
import os
import re
from pathlib import Path

from strixforge.model.errors import PolicyError
from strixforge.model.policy import Evidence

# Libraries whose last number is the ROCm release: libamdhip64.so.6.4.60404. In TheRock that place
# has a count of HIP's own, 7.16.26342, so the numbers before it must agree.
_HIP_LIBRARY = re.compile(r"libamdhip64\.so\.(?P<hip>[0-9]+\.[0-9]+)\.(?P<packed>[0-9]{5,6})")
_CORE_LIBRARY = re.compile(r"librocm-core\.so\.[0-9]+\.[0-9]+\.(?P<packed>[0-9]{5,6})")
_HEADER = re.compile(r"#define\s+(?:ROCM|HIP)_VERSION_(MAJOR|MINOR|PATCH)\s+([0-9]{1,9})\b")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_TEXT = 1 << 20  # bytes; the largest manifest seen has 30 kB


def versions(root: Path) -> list[Evidence]:
    """Return what the files below a ROCm folder show, the most exact first.

    Raises PolicyError for a file that cannot be read: what it is cannot be known then.
    """
    found: list[Evidence] = []
    for manifest in (root / "share" / "therock", root):
        if _is_there(manifest / "therock_manifest.json"):
            found += _in_json(manifest / "therock_manifest.json", "therock")
    for info in _files(root / ".info"):
        if not info.name.startswith("version"):
            continue
        if info.suffix == ".json":
            found += _in_json(info, "rocm")
        else:
            found.append(Evidence("rocm", _read(info).strip()[:100], str(info)))
    for header in ("include/rocm-core/rocm_version.h", "include/rocm_version.h"):
        if _is_there(root / header):
            found += _in_header(root / header, "rocm")
    found += _in_libraries(root / "lib")
    if _is_there(root / "include/hip/hip_version.h"):
        found += _in_header(root / "include/hip/hip_version.h", "hip")
    return found


def manifest_commit(root: Path) -> str:
    """Return the commit of TheRock that the manifest of a release names, or an empty text.

    Raises PolicyError for a manifest that cannot be read.
    """
    path = root / "share" / "therock" / "therock_manifest.json"
    if not _is_there(path):
        return ""
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    commit = content.get("the_rock_commit") if isinstance(content, dict) else None
    return commit if isinstance(commit, str) and _COMMIT.fullmatch(commit) else ""


def unpacked(number: str) -> str:
    """Return the release of a number as AMD's packages carry it: 60404 is 6.4.4."""
    return f"{int(number[:-4])}.{int(number[-4:-2])}.{int(number[-2:])}"


def release(root: Path) -> str:
    """Return the release that the folder itself claims most exactly, or an empty text."""
    return next((one.version for one in versions(root) if one.product != "hip"), "")


def _in_libraries(folder: Path) -> list[Evidence]:
    found = []
    for path in _files(folder):
        if match := _CORE_LIBRARY.fullmatch(path.name):
            found.append(Evidence("rocm", unpacked(match["packed"]), str(path)))
        elif match := _HIP_LIBRARY.fullmatch(path.name):
            release = unpacked(match["packed"])
            if release.startswith(f"{match['hip']}."):
                found.append(Evidence("rocm", release, str(path)))
    return found


def _in_header(path: Path, product: str) -> list[Evidence]:
    numbers = dict(_HEADER.findall(_read(path)))
    if not numbers.keys() >= {"MAJOR", "MINOR", "PATCH"}:
        return []
    version = ".".join(numbers[part] for part in ("MAJOR", "MINOR", "PATCH"))
    return [Evidence(product, version, str(path))]


def _in_json(path: Path, product: str) -> list[Evidence]:
    """Return the versions that a JSON object names at its top, the longest first."""
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise _unreadable(path, "it is not JSON") from None
    table = content if isinstance(content, dict) else {}
    found = [
        Evidence(product, value, f"{path}: {key}")
        for key, value in table.items()
        if key.endswith("version") and isinstance(value, str)
    ]
    return sorted(found, key=lambda one: -len(one.version))


# Path's own exists and glob raise for a folder that cannot be looked into, or too long a name; what
# cannot be looked into has nothing for us.
def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None


def _unreadable(path: Path, why: str) -> PolicyError:
    return PolicyError(
        f"the version of a toolchain cannot be read: {why}.",
        where=str(path),
        cause="A toolchain that does not say what it is could be one that is refused.",
        fix="Make the file readable, or use another toolchain.",
    )
