"""How long it takes to ask an index of 10,000 releases, in each of the three forms.

Usage: .venv/bin/python benchmarks/discovery.py      (a server on loopback, a few seconds)

Each figure is the best of some runs, the transfer over loopback with it. Beside it: json.loads of
the same list, which no reader of the page can be faster than.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.unit.web import Reply, Server, serve

from strixforge.model.channels import Channel
from strixforge.nightly.discover import discover

RELEASES = 10_000
PAGE = 1_000
"""Keys in one page of a bucket, as Amazon sends them."""
RUNS = 5


def main() -> None:
    """Print seconds for each form of index, and their ratio to json.loads of as many names."""
    names = [
        f"therock-dist-linux-gfx1151-{10 + n // 1000}.{n % 1000}.0a20260901.tar.gz"
        for n in range(RELEASES)
    ]
    text = json.dumps([{"name": one, "mtime": 1788300000.0} for one in names])
    least = _best(lambda: json.loads(text))
    with serve() as server:
        for form, prepare in (("page", _page), ("bucket", _bucket), ("links", _links)):
            channel = Channel(form, prepare(server, names), "this benchmark")
            took = _best(lambda channel=channel: _ask(channel))  # type: ignore[misc]
            print(f"{form:<8} {took:6.3f} s   {took / least:5.1f} times json.loads")


def _ask(channel: Channel) -> None:
    assert len(discover(channel, "gfx1151").releases) == RELEASES


def _page(server: Server, names: list[str]) -> str:
    files = json.dumps([{"name": one, "mtime": 1788300000.0} for one in names])
    return server.add("/page/", Reply(f"<script>\nconst files = {files};\n</script>".encode()))


def _links(server: Server, names: list[str]) -> str:
    links = "\n".join(f'<a href="{one}">{one}</a><br>' for one in names)
    return server.add("/links/", Reply(f"<html>{links}</html>".encode()))


def _bucket(server: Server, names: list[str]) -> str:
    pages = [names[at : at + PAGE] for at in range(0, len(names), PAGE)]
    for number, page in enumerate(pages):
        keys = "".join(
            f"<Contents><Key>{one}</Key><LastModified>2026-09-01T00:00:00.000Z</LastModified>"
            "<Size>1900000000</Size></Contents>"
            for one in page
        )
        more = f"<NextContinuationToken>{number + 1}</NextContinuationToken>"
        body = keys + (more if number + 1 < len(pages) else "")
        path = "/bucket/?list-type=2" + (f"&continuation-token={number}" if number else "")
        server.add(path, Reply(f"<ListBucketResult>{body}</ListBucketResult>".encode()))
    return f"{server.url}/bucket/?list-type=2"


def _best(work: Callable[[], object]) -> float:
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


if __name__ == "__main__":
    main()
