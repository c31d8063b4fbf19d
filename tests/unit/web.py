"""A real HTTP server on loopback whose answers are scripted, trouble and all."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """One answer. The last one given for a path is repeated."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/octet-stream"
    ranges: bool = True
    cut: int | None = None
    """Break the connection after so many bytes."""
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """What it answers, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, str]] = []
        """Path and Range header of each request."""
        self.started = threading.Event()
        self.gate: threading.Event | None = None
        """When set, answers wait for it."""
        self._replies: dict[str, list[Reply]] = {}

    def add(self, path: str, *replies: Reply) -> str:
        """Answer `path` so, in this order. Returns its address."""
        self._replies[path] = list(replies)
        return self.url + path

    def next(self, path: str) -> Reply:
        """Take the next answer for a path."""
        replies = self._replies.get(path, [Reply(b"no", 404)])
        return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server for the time of a `with`."""
    script = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            script.asked.append((self.path, wanted))
            script.started.set()
            if script.gate is not None:
                script.gate.wait(10)
            reply = script.next(self.path)
            body, status = reply.body, reply.status
            start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
            if start and reply.ranges and status == 200:
                if start >= len(body):
                    body, status = b"", 416
                else:
                    body, status = body[start:], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if reply.cut is None:
                self.wfile.write(body)
            else:
                self.wfile.write(body[: max(0, reply.cut - start)])
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that went away is part of the tests

    with Quiet(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def closed_port() -> int:
    """Return a port that nobody listens on, and that answers at once."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
