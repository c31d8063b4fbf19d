"""Sdists and wheels of the machine's index: a real one on loopback, in files, or find-links."""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from strixforge.model.errors import FetchError, IntegrityError
from strixforge.model.pins import IndexPin
from strixforge.plan.python import running
from strixforge.plan.requirements import Locked
from strixforge.sources import Site
from strixforge.sources.cache import Cache
from strixforge.sources.index import (
    digest,
    fetch,
    fetch_wheel,
    missing,
    unpack,
    wheel,
    wheel_missing,
)
from tests.unit.test_unpacking import tar_of
from tests.unit.web import Reply, Server

JSON = "application/vnd.pypi.simple.v1+json"
PYTHON = running()
RUNS = "raise SystemExit('a build backend ran')"
SDIST = tar_of({"tool-1.0/setup.py": RUNS.encode(), "tool-1.0/pyproject.toml": b""})


def quiet(done: int, total: int | None) -> None:
    del done, total


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wheel_file(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("tool.py", text)
    return buffer.getvalue()


def html(files: dict[str, bytes], base: str = "") -> bytes:
    links = [f'<a href="{base}{n}#sha256={sha(c)}">{n}</a>' for n, c in files.items()]
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def page(files: dict[str, bytes], base: str) -> bytes:
    listed = [
        {"filename": name, "url": f"{base}{name}", "hashes": {"sha256": sha(content)}}
        for name, content in files.items()
    ]
    meta = {"api-version": "1.0"}
    return json.dumps({"meta": meta, "name": "tool", "files": listed}).encode()


def pin(content: bytes = SDIST, version: str = "1.0") -> IndexPin:
    return IndexPin(
        component="tool", version=version, epoch=1_600_000_000, name="Tool", sha256=sha(content)
    )


def locked(*contents: bytes, version: str = "1.0") -> Locked:
    return Locked("tool", version, frozenset(map(sha, contents)))


class Index:
    """An index on the loopback server, in one of its two forms."""

    def __init__(self, web: Server, form: str, files: dict[str, bytes]) -> None:
        base = f"{web.url}/files/"
        kind, body = (
            (JSON, page(files, base)) if form == "json" else ("text/html", html(files, base))
        )
        web.add("/simple/tool/", Reply(body, content_type=kind))
        for name, content in files.items():
            web.add(f"/files/{name}", Reply(content))
        self.url = f"{web.url}/simple/"


@pytest.fixture(autouse=True)
def _own_machine(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del machine
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def use(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", index)


@pytest.mark.parametrize("form", ["html", "json"])
def test_an_sdist_is_taken_as_a_file_and_nothing_of_it_runs(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, form: str
) -> None:
    use(monkeypatch, Index(web, form, {"tool-0.9.tar.gz": b"old", "tool-1.0.tar.gz": SDIST}).url)
    assert missing(pin(), site)
    fetch(pin(), site, quiet)
    assert not missing(pin(), site)
    (tmp_path / "out").mkdir()
    unpack(pin(), site, tmp_path / "out")
    assert (tmp_path / "out" / "setup.py").read_text() == RUNS
    assert digest(pin(), site) == f"sha256:{sha(SDIST)}"
    assert [path for path, _ in web.asked] == ["/simple/tool/", "/files/tool-1.0.tar.gz"]


def test_a_second_fetch_uses_no_network(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel_file("pure")
    files = {"tool-1.0.tar.gz": SDIST, "tool-1.0-py3-none-any.whl": content}
    use(monkeypatch, Index(web, "html", files).url)
    fetch(pin(), site, quiet)
    fetch_wheel(locked(SDIST, content), PYTHON, site.cache, quiet)
    asked = list(web.asked)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/nobody/")
    fetch(pin(), site, quiet)
    fetch_wheel(locked(SDIST, content), PYTHON, site.cache, quiet)
    assert web.asked == asked


def test_the_best_wheel_for_this_python_is_chosen_and_stays_so_offline(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from packaging.tags import sys_tags

    best = next(iter(sys_tags()))
    names = [
        "tool-1.0-py2-none-any.whl",
        "tool-1.0-py3-none-any.whl",
        f"tool-1.0-{best}.whl",
        f"tool-1.0-2-{best}.whl",
        "tool-1.0-cp27-cp27m-win32.whl",
        "tool-1.0.tar.gz",
    ]
    files = {name: wheel_file(name) for name in names}
    wanted = locked(*files.values())
    use(monkeypatch, Index(web, "json", files).url)
    assert wheel_missing(wanted, PYTHON, site.cache)
    fetch_wheel(wanted, PYTHON, site.cache, quiet)
    name, path = wheel(wanted, PYTHON, site.cache)
    assert name == f"tool-1.0-2-{best}.whl"  # as pip: the higher build number
    assert path.read_bytes() == files[name]
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/nobody/")
    assert not wheel_missing(wanted, PYTHON, site.cache)
    assert wheel(wanted, PYTHON, Cache(site.cache.root)) == (name, path)


def test_a_version_written_otherwise_is_the_same_version(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel_file("x")
    use(monkeypatch, Index(web, "html", {"tool-1.0.0-py3-none-any.whl": content}).url)
    fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    assert wheel(locked(content), PYTHON, site.cache)[0] == "tool-1.0.0-py3-none-any.whl"


def test_no_wheel_that_fits_names_what_there_is(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel_file("x")
    use(monkeypatch, Index(web, "html", {"tool-1.0-cp27-cp27m-win32.whl": content}).url)
    with pytest.raises(FetchError, match="no locked wheel fits Python") as caught:
        fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    assert "tool-1.0-cp27-cp27m-win32.whl" in caught.value.where


def test_a_hash_of_another_version_is_refused(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Index(web, "html", {"tool-0.9.tar.gz": SDIST}).url)
    with pytest.raises(
        IntegrityError, match=r"hash of tool 1\.0 is that of another file"
    ) as caught:
        fetch(pin(), site, quiet)
    assert caught.value.where.endswith("tool-0.9.tar.gz")


def test_a_file_that_the_index_changed_is_refused(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Index(web, "html", {"tool-1.0.tar.gz": SDIST}).url)
    web.add("/files/tool-1.0.tar.gz", Reply(SDIST[:-1] + b"\1"))
    with pytest.raises(IntegrityError, match="not those of the lock"):
        fetch(pin(), site, quiet)
    assert missing(pin(), site)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"no", 404),
        Reply(b"no", 403),
        Reply(b"no", 401),
        Reply(html({"tool-1.0.tar.gz": b"other"}), content_type="text/html"),
        Reply(b"\0\1\2", content_type="text/plain"),
        Reply(b"{", content_type=JSON),
        Reply(b"[]", content_type=JSON),
        Reply(b'{"meta": {"api-version": "9.0"}, "name": "tool", "files": []}', content_type=JSON),
        Reply(b'{"meta": {}, "files": 5}', content_type=JSON),
    ],
)
def test_an_index_without_the_file_or_without_sense_is_a_sentence(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    web.add("/simple/tool/", reply)
    use(monkeypatch, f"{web.url}/simple/")
    with pytest.raises(FetchError, match="no package index of this machine offers") as caught:
        fetch(pin(), site, quiet)
    assert caught.value.where.startswith("1 configured")
    assert "pip or uv configuration" in caught.value.fix


@pytest.mark.parametrize("index", ["http://[half", "nonsense://x/", "/no/such/folder"])
def test_an_address_without_sense_is_a_sentence(
    site: Site, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    use(monkeypatch, index)
    with pytest.raises(FetchError, match="no package index"):
        fetch(pin(), site, quiet)


def test_a_password_of_an_index_is_not_shown(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.add("/simple/tool/", Reply(b"no", 403))
    use(monkeypatch, f"{web.url}/simple/".replace("//", "//me:secret@", 1))
    with pytest.raises(FetchError) as caught:
        fetch(pin(), site, quiet)
    assert "403" in caught.value.where or "HTTPError" in caught.value.where
    assert "secret" not in str(caught.value)


def test_the_next_index_is_asked_when_one_is_in_trouble(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, f"{web.url}/broken/")
    web.add("/broken/tool/", Reply(b"no", 403))
    index = Index(web, "json", {"tool-1.0.tar.gz": SDIST}).url
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", index)
    fetch(pin(), site, quiet)
    assert not missing(pin(), site)


@pytest.mark.parametrize("written", ["path", "address"])
def test_an_index_may_be_a_folder(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    folder = tmp_path / "my simple" / "tool"
    folder.mkdir(parents=True)
    (folder / "tool-1.0.tar.gz").write_bytes(SDIST)
    (folder / "index.html").write_bytes(html({"tool-1.0.tar.gz": SDIST}))
    place = folder.parent
    use(monkeypatch, str(place) if written == "path" else place.as_uri())
    fetch(pin(), site, quiet)
    assert site.cache.verified(pin().sha256, what="x").read_bytes() == SDIST


@pytest.mark.parametrize("form", ["folder", "file", "page"])
def test_find_links_is_a_folder_of_files_or_a_page_of_links(
    site: Site, web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    content = wheel_file("x")
    files = {"tool-1.0.tar.gz": SDIST, "tool-1.0-py3-none-any.whl": content}
    folder = tmp_path / "links"
    folder.mkdir()
    for name, body in (files | {"other-1.0.tar.gz": b"other", "notes.txt": b""}).items():
        (folder / name).write_bytes(body)
        web.add(f"/links/{name}", Reply(body))
    (folder / "all.html").write_bytes(html(files))
    web.add("/links/", Reply(html(files), content_type="text/html"))
    place = {"folder": str(folder), "file": str(folder / "all.html"), "page": f"{web.url}/links/"}
    monkeypatch.setenv("PIP_FIND_LINKS", place[form])
    fetch(pin(), site, quiet)
    fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    assert site.cache.verified(pin().sha256, what="x").read_bytes() == SDIST
    assert wheel(locked(content), PYTHON, site.cache)[1].read_bytes() == content


def test_with_no_index_and_no_links_nothing_is_configured(site: Site) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(pin(), site, quiet)
    assert caught.value.where == "0 configured; all answered"


def test_a_wheel_that_was_not_fetched_says_what_to_type(site: Site) -> None:
    with pytest.raises(FetchError, match=r"no wheel of tool 1\.0") as caught:
        wheel(locked(SDIST), PYTHON, site.cache)
    assert caught.value.fix == "./doit fetch"


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"a": 5}', "[" * 100_000, "\0"])
def test_a_damaged_list_of_names_is_written_anew(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    content = wheel_file("x")
    use(monkeypatch, Index(web, "html", {"tool-1.0-py3-none-any.whl": content}).url)
    fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    (listing,) = (site.cache.root / "listings").iterdir()
    listing.write_text(text)
    assert wheel_missing(locked(content), PYTHON, site.cache)
    fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    assert wheel(locked(content), PYTHON, site.cache)[0] == "tool-1.0-py3-none-any.whl"


def test_a_changed_wheel_in_the_cache_is_refused(
    site: Site, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel_file("x")
    use(monkeypatch, Index(web, "html", {"tool-1.0-py3-none-any.whl": content}).url)
    fetch_wheel(locked(content), PYTHON, site.cache, quiet)
    wheel(locked(content), PYTHON, site.cache)[1].write_bytes(content + b"\0")
    with pytest.raises(IntegrityError, match=r"tool-1\.0-py3-none-any\.whl has changed"):
        wheel(locked(content), PYTHON, site.cache)
