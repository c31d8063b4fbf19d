"""A stand-in for TheRock on loopback: an index and its archives, and a stack that follows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strixforge.nightly.feed import Entry, read_feed
from tests.e2e.project import Done, Project
from tests.unit.test_codeobjects import GFX1151, note
from tests.unit.test_kernels import FULL, image, metadata
from tests.unit.therock import tarball, therock
from tests.unit.web import Reply, Server

WRITES = bytes.fromhex("00806adc020000000000b0bf")
"""global_store_b32, s_endpgm: a kernel that does something."""


def code_object(name: str = "gemm", flags: int = GFX1151, **figures: int) -> bytes:
    """Return a code object with one kernel; `figures` are keys of its metadata without the dot."""
    kernel = FULL | {".name": name} | {f".{key}": value for key, value in figures.items()}
    return image(note(metadata(kernel)), {name: WRITES}, flags)


class Nights:
    """The index, what it offers, and the project that follows it."""

    def __init__(
        self,
        project: Project,
        web: Server,
        env: Mapping[str, str],
        first: str = "10.1.0a20260901",
        kernels: Mapping[str, bytes] | None = None,
    ) -> None:
        self.env = env
        """The machine's index of Python packages."""
        self.project = project
        self.web = web
        self.files: list[dict[str, Any]] = []
        self.place = project.home / "build" / "nightly" / "tiny"
        (project.home / "channels.toml").write_text(
            f'[[channel]]\nname = "nightly"\nindex = "{web.url}/tarball/"\n'
            'source = "the tests"\nfresh_days = 7\n'
        )
        self.kernels = {"gemm.hsaco": code_object()} if kernels is None else kernels
        """What a good release brings."""
        self.follow(first, self.publish(first))

    def follow(self, version: str, url: str) -> None:
        """Pin a release, and a prefix with the kernels that come with it."""
        pin = {"source": "archive", "url": url}
        self.project.add("rocm", output="toolchain", version=version, pin=pin, is_built=False)
        self.project.add(
            "kernels",
            "cp -r {{ rocm.prefix }}/lib/kernels {{ out }}/kernels",
            needs=["rocm"],
            paths=["kernels"],
        )

    def publish(
        self,
        version: str,
        *,
        objects: Mapping[str, bytes] | None = None,
        package: str | None = None,
        family: str = "gfx1151",
        body: bytes | None = None,
        mtime: float | None = 1788300000.0,
    ) -> str:
        """Put a release into the index. Returns its address."""
        name = f"therock-dist-linux-{family}-{version}.tar.gz"
        base = version.partition("a")[0].partition("rc")[0]
        if body is None:
            tree = therock(base, version if package is None else package)
            kernels = self.kernels if objects is None else objects
            more = {f"lib/kernels/{one}": content for one, content in kernels.items()}
            body = tarball(tree, more=more)
        url = self.web.add(f"/tarball/{name}", Reply(body))
        self.name_file(name, mtime)
        return url

    def name_file(self, name: str, mtime: float | None = 1788300000.0) -> None:
        """Name a file in the index."""
        self.files.append({"name": name, "mtime": mtime})
        self.show()

    def show(self) -> None:
        """Serve the index as it is now."""
        page = f"<html><script>\nconst files = {json.dumps(self.files)};\n</script></html>"
        self.web.add("/tarball/", Reply(page.encode(), content_type="text/html"))

    def doit(self, *words: str) -> Done:
        """Run a command of the stack that follows."""
        return self.project.doit("channel=nightly", *words, env=self.env)

    def feed(self) -> list[Entry]:
        """Return what the feed says."""
        return read_feed(self.place / "feed.json")

    def verdicts(self) -> list[tuple[str, str]]:
        """Return release and verdict of each entry."""
        return [(one.release, one.verdict) for one in self.feed()]

    def promoted(self) -> str:
        """Return the release that is promoted, or nothing."""
        link = self.place / "promoted"
        return (link / "night").readlink().name.rpartition("-")[0] if link.exists() else ""

    def bytes_of(self) -> dict[str, bytes]:
        """Return every file of what is promoted."""
        night = (self.place / "promoted" / "night").resolve()
        files = [*_files(night / "wheelhouse"), *_files(night / "prefix")]
        return {str(one.relative_to(night)): one.read_bytes() for one in files}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
