"""A small staged wheelhouse: real wheels, a real prefix, real libraries, made by a test."""

import base64
import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from strixforge.gates.contents import read_archive
from strixforge.gates.finding import Finding
from strixforge.gates.registry import GATES
from strixforge.gates.staged import Shipped, Staged
from strixforge.plan.python import running

TAG = f"cp{running().short.replace('.', '')}"
APP = f"app-1.0-{TAG}-{TAG}-linux_x86_64.whl"
LIB = "lib-2.0-py3-none-any.whl"
KERN = "kern-1.0.tar"
_TO_KERN = "$ORIGIN/../../../../../kern/lib"


@cache
def compiled(code: str, *options: str, files: Iterable[tuple[str, bytes]] = ()) -> bytes:
    """Compile C to a shared library, beside files that it may be linked with."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for name, data in files:
            (Path(folder) / name).write_bytes(data)
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-o", "out.so"]
        subprocess.run([*command, *options], input=code, text=True, check=True, cwd=folder)
        return (Path(folder) / "out.so").read_bytes()


def kernel_library() -> bytes:
    """Return a library that gives the function `k`."""
    return compiled("int k(void) { return 1; }", "-Wl,-soname,libk.so.1")


def extension(
    code: str = "int k(void); int getpid(void); int f(void) { return k() + getpid(); }",
    *,
    rpath: str = _TO_KERN,
    library: bytes | None = None,
    more: tuple[str, ...] = (),
) -> bytes:
    """Return an extension module that is linked to the library, or to another one."""
    library = kernel_library() if library is None else library
    return compiled(
        code,
        "-Wl,--enable-new-dtags",
        f"-Wl,-rpath,{rpath}",
        "-Wl,--no-as-needed",
        "-Wl,--allow-shlib-undefined",
        "./libk.so",
        *more,
        files=(("libk.so", library),),
    )


def metadata(name: str, version: str, *more: str) -> bytes:
    """Return METADATA with a licence."""
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *more]
    return ("\n".join([*lines, "License-Expression: MIT"]) + "\n").encode()


def record(files: dict[str, bytes], path: str) -> bytes:
    """Return the RECORD of files."""
    rows = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}")
    return "\n".join([*rows, f"{path},,", ""]).encode()


def write_wheel(path: Path, files: dict[str, bytes]) -> None:
    """Write a wheel; RECORD is made where it is not given."""
    name, version = path.name.split("-")[:2]
    listing = f"{name}-{version}.dist-info/RECORD"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inner, data in files.items():
            archive.writestr(inner, data)
        if listing not in files:
            archive.writestr(listing, record(files, listing))


@dataclass
class House:
    """What is staged in a folder; a test changes it before it is looked at."""

    folder: Path
    wheels: dict[str, dict[str, bytes]] = field(default_factory=dict)
    prefixes: dict[str, dict[str, bytes | str]] = field(default_factory=dict)
    """Of each tar its files; a text is the target of a link."""
    built: dict[str, str] = field(default_factory=dict)
    """Which component has built an archive."""
    toolchains: set[str] = field(default_factory=set)
    shipped: dict[str, Shipped] = field(default_factory=dict)
    system_rocm: bool = False

    def staged(self) -> Staged:
        """Write everything and read it as the gates do."""
        for folder in ("wheels", "prefixes"):
            (self.folder / folder).mkdir(exist_ok=True)
        for name, files in self.wheels.items():
            write_wheel(self.folder / "wheels" / name, files)
        for name, members in self.prefixes.items():
            write_tar(self.folder / "prefixes" / name, members)
        return self.read()

    def read(self) -> Staged:
        """Read what lies there."""
        names = [
            path.relative_to(self.folder).as_posix() for path in sorted(self.folder.glob("*/*"))
        ]
        return Staged(
            archives=tuple(
                read_archive(
                    self.folder,
                    name,
                    hashlib.sha256((self.folder / name).read_bytes()).hexdigest(),
                    self.built.get(Path(name).name, ""),
                    as_it_came=Path(name).name in self.toolchains,
                    is_toolchain=Path(name).name in self.toolchains,
                )
                for name in names
            ),
            shipped=self.shipped,
            python=running(),
            arch="gfx1151",
            system_rocm=self.system_rocm,
        )


def write_tar(path: Path, members: dict[str, bytes | str]) -> None:
    """Write a prefix."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for inner, data in members.items():
            info = tarfile.TarInfo(inner)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def good(folder: Path) -> House:
    """Return a wheelhouse that all gates let through."""
    folder.mkdir(parents=True, exist_ok=True)
    return House(
        folder,
        wheels={
            APP: {
                "app/__init__.py": b"",
                "app/_ext.so": extension(),
                "app-1.0.dist-info/METADATA": metadata("app", "1.0", "Requires-Dist: lib>=2"),
            },
            LIB: {
                "lib/__init__.py": b"x = 1\n",
                "lib-2.0.dist-info/METADATA": metadata("lib", "2.0"),
            },
        },
        prefixes={KERN: {"lib/libk.so.1": kernel_library(), "lib/libk.so": "libk.so.1"}},
        built={APP: "app", KERN: "kern"},
        shipped={
            "app": Shipped("app", "MIT", ()),
            "kern": Shipped("", "MIT", ()),
        },
    )


def findings(staged: Staged) -> list[Finding]:
    """Return what all gates find, in their order."""
    return [finding for check in GATES.values() for finding in check(staged).findings]
