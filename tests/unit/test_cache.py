"""The download cache."""

import threading
from pathlib import Path

import pytest

from strixforge.model.digests import file_sha256
from strixforge.model.errors import IntegrityError
from strixforge.sources.cache import Cache
from strixforge.sources.http import download
from tests.unit.web import Reply, Server


def add(cache: Cache, content: bytes, name: str = "a.tar") -> str:
    partial = cache.partial("incoming")
    partial.write_bytes(content)
    sha256 = file_sha256(partial)
    cache.add(partial, sha256, name)
    return sha256


def test_a_file_is_found_by_its_hash_under_its_own_name(cache: Cache) -> None:
    sha256 = add(cache, b"content", "tool-1.0.tar.gz")
    path = cache.verified(sha256, what="tool 1.0")
    assert (path.name, path.read_bytes()) == ("tool-1.0.tar.gz", b"content")
    assert cache.find("0" * 64) is None


def test_asking_makes_no_folder(cache: Cache) -> None:
    assert cache.find("0" * 64) is None
    assert not cache.root.exists()


def test_one_changed_byte_is_refused_by_name_and_the_printed_cure_heals_it(cache: Cache) -> None:
    sha256 = add(cache, b"content")
    path = cache.verified(sha256, what="tool 1.0")
    path.write_bytes(b"cOntent")
    with pytest.raises(IntegrityError, match=r"tool 1.0 has changed") as caught:
        cache.verified(sha256, what="tool 1.0")
    error = caught.value
    assert error.where == str(path)
    assert sha256 in error.cause
    assert error.fix == f"rm -r '{path.parent}' && ./doit fetch"
    path.unlink()
    path.parent.rmdir()
    add(cache, b"content")
    cache.verified(sha256, what="tool 1.0")


def test_an_emptied_cache_says_so_and_what_to_type(cache: Cache) -> None:
    with pytest.raises(IntegrityError, match="not in the download cache") as caught:
        cache.verified("0" * 64, what="tool 1.0")
    assert caught.value.fix == "./doit fetch"


def test_adding_the_same_bytes_again_keeps_the_first(cache: Cache) -> None:
    sha256 = add(cache, b"content", "first")
    assert add(cache, b"content", "second") == sha256
    assert cache.verified(sha256, what="x").name == "first"
    assert not list((cache.root / "partial").iterdir())


def test_a_folder_left_empty_by_a_killed_run_does_no_harm(cache: Cache) -> None:
    sha256 = add(cache, b"content")
    path = cache.verified(sha256, what="x")
    path.unlink()
    assert cache.find(sha256) is None
    add(cache, b"content")
    assert cache.verified(sha256, what="x").read_bytes() == b"content"


def test_two_fetches_at_once_of_one_file_download_it_once(
    cache: Cache, web: Server, tmp_path: Path
) -> None:
    body = b"x" * 100_000
    (tmp_path / "body").write_bytes(body)
    sha256 = file_sha256(tmp_path / "body")
    url = web.add("/file", Reply(body))
    web.gate = threading.Event()
    found: list[Path] = []

    def fetch() -> None:
        found.append(download(url, sha256, Cache(cache.root), lambda *_: None, what="x"))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert web.started.wait(10)
    web.gate.set()
    for thread in threads:
        thread.join()
    assert len(web.asked) == 1
    assert {path.read_bytes() for path in found} == {body}
    assert len(found) == 4
