"""Downloads from a real server that makes every kind of trouble."""

import hashlib
import os
from pathlib import Path

import pytest

from strixforge.model.errors import FetchError, IntegrityError
from strixforge.model.pins import ArchivePin
from strixforge.sources import Site, archive
from strixforge.sources.cache import Cache
from strixforge.sources.http import download, file_name, without_secrets
from tests.unit.test_unpacking import tar_of
from tests.unit.web import Reply, Server, closed_port

BODY = os.urandom(1_500_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


def fetch(url: str, cache: Cache, sha256: str = SHA256) -> Path:
    return download(url, sha256, cache, lambda *_: None, what="tool 1.0")


def test_a_file_arrives_verified_under_its_own_name_with_progress(
    cache: Cache, web: Server
) -> None:
    seen: list[tuple[int, int | None]] = []
    url = web.add("/a/tool-1.0%2Bx.tar.gz", Reply(BODY))
    path = download(url, SHA256, cache, lambda *p: seen.append(p), what="tool 1.0")
    assert path.name == "tool-1.0+x.tar.gz"
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    fetch(url, cache)
    assert len(web.asked) == 1


def test_a_broken_download_goes_on_where_it_stopped(cache: Cache, web: Server) -> None:
    url = web.add("/x", Reply(BODY, cut=1_000_000), Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY
    (_, first), (_, second) = web.asked
    assert first == ""
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 900_000 <= start <= 1_000_000


def test_as_long_as_something_arrives_it_is_tried_again(cache: Cache, web: Server) -> None:
    cuts = [Reply(BODY, cut=cut) for cut in range(150_000, 1_500_000, 150_000)]
    url = web.add("/x", *cuts, Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY
    assert len(web.asked) == len(cuts) + 1


def test_another_run_goes_on_where_a_killed_one_stopped(cache: Cache, web: Server) -> None:
    cache.partial(SHA256).write_bytes(BODY[:700_000])
    url = web.add("/x", Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY
    assert web.asked == [("/x", "bytes=700000-")]


def test_a_server_that_ignores_the_range_sends_all_again(cache: Cache, web: Server) -> None:
    cache.partial(SHA256).write_bytes(BODY[:700_000])
    url = web.add("/x", Reply(BODY, ranges=False))
    assert fetch(url, cache).read_bytes() == BODY


@pytest.mark.parametrize("junk", [b"junk" * 1000, BODY + b"more", b"x" * len(BODY)])
def test_a_partial_file_of_other_bytes_is_thrown_away(
    cache: Cache, web: Server, junk: bytes
) -> None:
    cache.partial(SHA256).write_bytes(junk)
    url = web.add("/x", Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY


def test_a_complete_partial_file_is_taken_as_it_is(cache: Cache, web: Server) -> None:
    cache.partial(SHA256).write_bytes(BODY)
    url = web.add("/x", Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY


def test_a_server_in_trouble_is_asked_again(cache: Cache, web: Server) -> None:
    url = web.add("/x", Reply(status=500), Reply(status=503), Reply(BODY))
    assert fetch(url, cache).read_bytes() == BODY
    assert len(web.asked) == 3


def test_a_file_that_is_gone_is_reported_at_once_with_its_address(
    cache: Cache, web: Server
) -> None:
    with pytest.raises(FetchError, match="404") as caught:
        fetch(f"{web.url}/gone", cache)
    assert caught.value.where == f"{web.url}/gone"
    assert "moved or was removed" in caught.value.cause
    assert len(web.asked) == 1


def test_other_bytes_are_refused_and_not_kept(cache: Cache, web: Server) -> None:
    url = web.add("/x", Reply(b"other bytes"))
    with pytest.raises(IntegrityError, match="not those of the lock") as caught:
        fetch(url, cache)
    assert SHA256 in caught.value.cause
    assert hashlib.sha256(b"other bytes").hexdigest() in caught.value.cause
    assert cache.find(SHA256) is None
    assert not cache.partial(SHA256).exists()


def test_a_server_that_always_breaks_at_one_place_is_given_up(cache: Cache, web: Server) -> None:
    url = web.add("/x", Reply(BODY, ranges=False, cut=1000))
    with pytest.raises(FetchError, match="could not be downloaded") as caught:
        fetch(url, cache)
    assert "Try again" in caught.value.fix
    assert len(web.asked) == 5


@pytest.mark.slow
def test_a_host_that_is_down_is_named_without_waiting_a_minute(cache: Cache) -> None:
    url = f"http://127.0.0.1:{closed_port()}/x"
    with pytest.raises(FetchError, match="refused") as caught:
        fetch(url, cache)
    assert caught.value.where == url


def test_a_password_in_an_address_is_not_shown(cache: Cache, web: Server) -> None:
    url = web.url.replace("http://", "http://me:secret@") + "/gone"
    with pytest.raises(FetchError) as caught:
        fetch(url, cache)
    assert "secret" not in str(caught.value)
    assert without_secrets("https://a.example/p@q") == "https://a.example/p@q"


def test_a_changed_file_in_the_cache_is_fetched_again(cache: Cache, web: Server) -> None:
    url = web.add("/x", Reply(BODY))
    fetch(url, cache).write_bytes(b"changed")
    assert fetch(url, cache).read_bytes() == BODY


def test_a_file_address_is_copied_and_verified(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "a b.tar"
    source.write_bytes(BODY)
    assert fetch(source.as_uri(), cache).read_bytes() == BODY
    for url in ("file:///none/x", "file:///a%00b"):
        with pytest.raises(FetchError, match="could not be read"):
            fetch(url, cache, "0" * 64)
    with pytest.raises(IntegrityError):
        fetch(source.as_uri(), cache, "0" * 64)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x/a/b-1.0.tar.gz?raw=1#f", "b-1.0.tar.gz"),
        (
            "https://x/torch-2.8%2Brocm6.4-cp312-none-any.whl",
            "torch-2.8+rocm6.4-cp312-none-any.whl",
        ),
        ("https://x/", "download"),
        ("https://x/..", "download"),
        ("https://x/%2e%2e%2fetc%2fpasswd", "_etc_passwd"),
        ("https://x/a%00%0ab", "a__b"),
        ("https://x/" + "a" * 400, "a" * 200),
    ],
)
def test_a_file_name_of_an_address_is_safe(url: str, name: str) -> None:
    assert file_name(url) == name


def test_an_archive_is_fetched_once_verified_and_unpacked(
    site: Site, web: Server, tmp_path: Path
) -> None:
    body = tar_of({"tool-1.0/file": b"content"})
    sha256 = hashlib.sha256(body).hexdigest()
    pin = ArchivePin(
        component="tool", version="1.0", epoch=1_600_000_000, url=f"{web.url}/x", sha256=sha256
    )
    web.add("/x", Reply(body))
    assert archive.missing(pin, site)
    archive.fetch(pin, site, lambda *_: None)
    assert not archive.missing(pin, site)
    assert archive.digest(pin, site) == f"sha256:{sha256}"
    (tmp_path / "out").mkdir()
    archive.unpack(pin, site, tmp_path / "out")
    assert (tmp_path / "out" / "file").read_bytes() == b"content"
    assert len(web.asked) == 1
    cached = site.cache.verified(sha256, what="x")
    cached.write_bytes(body[:-1] + b"\1")
    with pytest.raises(IntegrityError, match=r"tool 1.0 has changed"):
        archive.unpack(pin, site, tmp_path / "out2")
