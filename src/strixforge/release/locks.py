"""The two locks of a wheelhouse: requirements.txt for pip and uv, pylock.toml (PEP 751)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from packaging.pylock import Package, PackageWheel, Pylock
from packaging.utils import parse_wheel_filename
from packaging.version import Version


class _Wheel(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


def requirements(wheels: Iterable[_Wheel]) -> str:
    """Return requirements with one hash each, for `--no-index --require-hashes`."""
    lines = []
    for wheel in wheels:
        name, version, _, _ = parse_wheel_filename(Path(wheel.path).name)
        lines.append(f"{name}=={version} --hash=sha256:{wheel.sha256}\n")
    return "".join(sorted(lines))


def pylock(wheels: Iterable[_Wheel]) -> str:
    """Return a PEP 751 lock whose paths are relative to the wheelhouse."""
    import tomlkit

    packages = []
    for wheel in sorted(wheels, key=lambda wheel: wheel.path):
        file = Path(wheel.path).name
        name, version, _, _ = parse_wheel_filename(file)
        packages.append(
            Package(
                name=name,
                version=version,
                wheels=[
                    PackageWheel(
                        name=file,
                        path=wheel.path,
                        size=wheel.size,
                        hashes={"sha256": wheel.sha256},
                    )
                ],
            )
        )
    lock = Pylock(lock_version=Version("1.0"), created_by="strixforge", packages=packages)
    lock.validate()
    return tomlkit.dumps(lock.to_dict())
