"""Archives from a server on this machine: fetched once, checked at every use, never trusted."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.project import Project


class Server:
    """Files served on the loopback address, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 20

            def do_GET(self) -> None:
                outer.asked.append(self.path)
                body = outer.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keep the tests' output clean."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def pin(self, name: str, body: bytes) -> dict[str, str]:
        """Serve the bytes and return the pin of them."""
        self.files[f"/{name}"] = body
        address = f"http://127.0.0.1:{self._http.server_port}/{name}"
        return {
            "source": "archive",
            "url": address,
            "sha256": hashlib.sha256(body).hexdigest(),
        }

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def tar_of(*members: tarfile.TarInfo, text: bytes = b"hello\n") -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as tar:
        for member in members:
            member.size = len(text) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(text) if member.isreg() else None)
    return body.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def zip_of(name: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as zipped:
        zipped.writestr(name, "hello\n")
    return body.getvalue()


HARMLESS = tar_of(member("source/hello.txt"))
HOSTILE: dict[str, Callable[[], bytes]] = {
    "parent": lambda: tar_of(member("source/../../escaped")),
    "absolute": lambda: tar_of(member("/tmp/strixforge-escaped")),
    "through a link": lambda: tar_of(
        member("source/a", tarfile.SYMTYPE, "../.."), member("source/a/escaped")
    ),
    "link outside": lambda: tar_of(member("source/a", tarfile.SYMTYPE, "/etc/passwd")),
    "hard link outside": lambda: tar_of(member("source/a", tarfile.LNKTYPE, "/etc/passwd")),
    "device": lambda: tar_of(member("source/a", tarfile.CHRTYPE)),
    "zip": lambda: zip_of("../../escaped"),
    "cut off": lambda: HARMLESS[:-20],
    "no archive": lambda: b"<html>please log in</html>",
}

FIRST = ("parent", "through a link", "zip", "cut off")


def test_an_archive_is_fetched_once_and_built(project: Project, server: Server) -> None:
    project.add("fetched", pin=server.pin("source-1.tar.gz", HARMLESS))
    project.doit("build_fetched").check(0, "fetched 1.0.0")
    assert (project.output("fetched") / "hello.txt").read_text() == "hello\n"
    project.add("fetched", "cp hello.txt {{ out }}/again", pin=project.components["fetched"].pin)
    project.doit("build_fetched").check(0, "done in")
    assert server.asked == ["/source-1.tar.gz"]


@pytest.mark.parametrize(
    "kind",
    [
        *FIRST,
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in HOSTILE if kind not in FIRST),
    ],
)
def test_a_hostile_archive_writes_nothing_outside(
    project: Project, server: Server, kind: str
) -> None:
    project.add("hostile", pin=server.pin("source", HOSTILE[kind]()))
    project.doit("build_hostile").check(16, "Unsafe archive")
    assert not list(project.home.parent.rglob("*escaped*"))
    assert not Path("/tmp/strixforge-escaped").exists()
    assert not list(project.store.glob("objects/*"))


def test_other_bytes_than_the_locks_are_refused_and_not_kept(
    project: Project, server: Server
) -> None:
    pin = server.pin("source.tar.gz", HARMLESS)
    server.files["/source.tar.gz"] = tar_of(member("source/hello.txt"), text=b"hellp\n")
    project.add("replaced", pin=pin)
    project.doit("build_replaced").check(15, "are not those of the lock", "Do not build this")
    assert not list((project.cache / "sha256").rglob("*"))
    server.files["/source.tar.gz"] = HARMLESS
    project.doit("build_replaced").check(0)


def test_a_server_without_the_file_is_a_sentence(project: Project, server: Server) -> None:
    project.add("gone", pin=server.pin("source.tar.gz", HARMLESS))
    server.files.clear()
    project.doit("build_gone").check(14, "the server answered 404", "/source.tar.gz")


def test_one_changed_byte_in_a_fetched_source_is_refused_at_its_next_use(
    project: Project, server: Server
) -> None:
    project.add("fetched", pin=server.pin("source.tar.gz", HARMLESS))
    project.doit("fetch:fetched").check(0)
    (cached,) = (project.cache / "sha256").rglob("*.tar.gz")
    cached.write_bytes(HARMLESS[:-1] + bytes([HARMLESS[-1] ^ 1]))
    text = project.doit("build_fetched").check(15, "has changed in the download cache")
    assert str(cached) in text
    assert not list(project.store.glob("objects/*"))
    # What the message says to type brings it back.
    remove, _, fetch = text.split("next:", 1)[1].splitlines()[0].partition("&&")
    assert fetch.split()[0] == "./doit"
    assert fetch.split()[-1] == "fetch"
    project.run(["sh", "-c", remove]).check(0)
    project.doit("build_fetched").check(0)
