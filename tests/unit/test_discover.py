"""What a channel has for a GPU, asked over real HTTP."""

import datetime as dt
import json
from typing import Any

import pytest

from strixforge.model.channels import Channel
from strixforge.model.errors import DiscoveryError
from strixforge.nightly.discover import Found, discover
from tests.unit.web import Reply, Server, closed_port

ARCH = "gfx1151"
TODAY = dt.date(2026, 9, 10)


def name(version: str, family: str = ARCH) -> str:
    return f"therock-dist-linux-{family}-{version}.tar.gz"


def mtime(year: int, month: int, day: int) -> float:
    return dt.datetime(year, month, day, 23, 59, tzinfo=dt.UTC).timestamp()


def page(*files: str | dict[str, Any]) -> bytes:
    """Write an index; a name alone has no time."""
    listed = [{"name": one} if isinstance(one, str) else one for one in files]
    return f"<script>\nconst files = {json.dumps(listed)};\n</script>".encode()


def asked(web: Server, body: bytes, fresh_days: int | None = None, path: str = "/t/") -> Found:
    return discover(Channel("night", web.add(path, Reply(body)), "a test", fresh_days), ARCH)


def refusal(channel: Channel) -> DiscoveryError:
    with pytest.raises(DiscoveryError) as caught:
        discover(channel, ARCH)
    error = caught.value
    assert error.exit_code == 27
    assert "channel night" in error.what
    assert error.what.endswith(".")
    assert "\n" not in error.what
    assert error.where == channel.index
    assert error.cause
    assert error.fix
    return error


def texts(found: Found) -> list[str]:
    return [str(one.version) for one in found.releases]


def test_the_newest_comes_first_whatever_the_order_and_times_of_the_index(web: Server) -> None:
    found = asked(
        web,
        page(
            {"name": name("7.0.0rc20250710"), "mtime": mtime(2026, 9, 9)},
            {"name": name("10.1.0a20260823"), "mtime": mtime(2026, 8, 23)},
            {"name": name("7.14.1"), "mtime": mtime(2026, 9, 8)},
            name("7.0.0rc1"),
            {"name": name("10.1.0a20260901"), "mtime": mtime(2026, 9, 1)},
        ),
    )
    assert texts(found) == [
        "10.1.0a20260901",
        "10.1.0a20260823",
        "7.14.1",
        "7.0.0rc1",
        "7.0.0rc20250710",
    ]
    assert [one.kind for one in found.releases] == ["nightly", "nightly", "stable", "rc", "nightly"]
    assert found.channel.name == "night"
    assert found.releases[0].entry.url == f"{web.url}/t/{name('10.1.0a20260901')}"


def test_a_day_is_that_of_the_number_before_that_of_the_index(web: Server) -> None:
    late = mtime(2026, 9, 9)
    found = asked(
        web,
        page(
            {"name": name("10.1.0a20260823"), "mtime": late},
            {"name": name("7.14.1"), "mtime": late},
            name("7.14.0"),
        ),
    )
    days = [one.published for one in found.releases]
    assert days == [dt.date(2026, 8, 23), dt.date(2026, 9, 9), None]


def test_a_release_without_a_file_for_the_gpu_is_told_and_is_not_the_newest(web: Server) -> None:
    found = asked(
        web,
        page(
            name("10.1.0a20260901"),
            name("10.1.0a20260902", "gfx120X-all"),
            name("10.1.0a20260903", "gfx94X-dcgpu"),
            name("10.1.0a20260903", "gfx120X-all"),
            name("10.1.0a20260901", "gfx120X-all"),
            name("10.1.0a20260831", "gfx120X-all"),
        ),
    )
    assert texts(found) == ["10.1.0a20260901"]
    assert [str(one) for one in found.elsewhere] == ["10.1.0a20260903", "10.1.0a20260902"]


def test_nothing_is_elsewhere_where_the_gpu_has_the_newest(web: Server) -> None:
    found = asked(web, page(name("7.14.1"), name("7.14.0", "gfx120X-all")))
    assert found.elsewhere == ()


@pytest.mark.parametrize(
    "family",
    [
        "gfx110X-all",
        "multiarch",
        "gfx94X-dcgpu-tests",
        "gfx1151-tests",
        "gfx115X-all",
        "gfx11510",
        "GFX1151",
    ],
)
def test_another_family_is_another(web: Server, family: str) -> None:
    found = asked(web, page(name("7.14.1"), name("10.0.0", family)))
    assert texts(found) == ["7.14.1"]
    assert [str(one) for one in found.elsewhere] == ["10.0.0"]


def test_another_gpu_finds_its_own(web: Server) -> None:
    index = web.add("/t/", Reply(page(name("7.14.1"), name("10.0.0", "gfx110X-all"))))
    found = discover(Channel("night", index, "a test"), "gfx110X-all")
    assert texts(found) == ["10.0.0"]


@pytest.mark.parametrize(
    "other",
    [
        f"{name('10.1.0')}.sha256",
        name("latest"),
        name("10.1.0a20260823-tests"),
        name("10.1.0").replace(".gz", ".xz"),
        name("10.1.0").replace("linux", "windows"),
        f"old-{name('10.1.0')}",
        f"{name('10.1.0')}\n",
        "index.html",
    ],
)
def test_another_file_is_no_release(web: Server, other: str) -> None:
    found = asked(web, page({"name": other, "mtime": mtime(2026, 9, 9)}, name("7.14.1")))
    assert texts(found) == ["7.14.1"]
    assert found.elsewhere == ()
    assert found.newest_file is None


def test_the_first_of_two_files_of_a_release_counts(web: Server) -> None:
    found = asked(web, page(name("7.14"), name("7.14.0")))
    assert [one.entry.name for one in found.releases] == [name("7.14")]


def test_an_index_is_stale_by_its_times(web: Server) -> None:
    files = page(
        {"name": name("10.1.0a20260101"), "mtime": mtime(2026, 9, 2)},
        {"name": name("7.14.1", "multiarch"), "mtime": mtime(2026, 9, 3)},
    )
    found = asked(web, files, fresh_days=7)
    assert found.newest_file == dt.date(2026, 9, 3)
    assert found.stale(TODAY) == ""
    said = found.stale(TODAY + dt.timedelta(days=1))
    assert said.startswith("channel night is stale: its newest file is of 2026-09-03, 8 days ago.")
    assert "channels.toml" in said


def test_an_index_without_times_is_stale_by_the_days_of_its_numbers(web: Server) -> None:
    found = asked(
        web,
        page(name("10.1.0a20260823"), name("10.1.0a20260830", "multiarch"), name("10.1.0")),
        fresh_days=10,
    )
    assert found.newest_file == dt.date(2026, 8, 30)
    assert found.stale(dt.date(2026, 9, 9)) == ""
    assert "2026-08-30, 11 days ago" in found.stale(TODAY)


def test_an_absurd_time_gives_way_to_the_day_of_the_number(web: Server) -> None:
    files = page({"name": name("10.1.0a20260823"), "mtime": mtime(2026, 9, 9) * 1000})
    assert asked(web, files, fresh_days=7).newest_file == dt.date(2026, 8, 23)


def test_a_day_to_come_does_not_hide_that_an_index_is_stale(web: Server) -> None:
    files = page({"name": name("10.1.0a20260101"), "mtime": mtime(2030, 1, 1)})
    found = asked(web, files, fresh_days=7)
    assert "2030-01-01, a day to come: a clock is wrong" in found.stale(TODAY)


def test_an_index_that_tells_no_day_is_never_stale(web: Server) -> None:
    found = asked(web, page(name("7.14.1")), fresh_days=1)
    assert (found.newest_file, found.stale(dt.date(2040, 1, 1))) == (None, "")


def test_an_index_that_may_rest_is_never_stale(web: Server) -> None:
    found = asked(web, page({"name": name("7.14.1"), "mtime": mtime(2020, 1, 1)}))
    assert found.newest_file == dt.date(2020, 1, 1)
    assert found.stale(dt.date(2040, 1, 1)) == ""


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_server_without_the_index_is_told(web: Server, status: int) -> None:
    error = refusal(Channel("night", web.add("/t/", Reply(page(), status)), "a test"))
    assert f"cannot be asked: the index of channel night: the server answered {status}" in (
        error.what
    )
    assert "Nothing was changed" in error.fix


@pytest.mark.slow
def test_a_server_in_trouble_is_told(web: Server) -> None:
    error = refusal(Channel("night", web.add("/t/", Reply(b"oops", 500)), "a test"))
    assert "the server answered 500" in error.what
    assert len(web.asked) > 1


@pytest.mark.slow
def test_a_host_that_is_down_is_told() -> None:
    index = f"http://127.0.0.1:{closed_port()}/t/"
    assert "refused" in refusal(Channel("night", index, "a test")).what


def test_a_second_page_that_is_gone_is_told_and_nothing_of_the_first_is_believed(
    web: Server,
) -> None:
    first = (
        f"<ListBucketResult><Contents><Key>{name('7.14.1')}</Key></Contents>"
        "<NextContinuationToken>t</NextContinuationToken></ListBucketResult>"
    )
    index = web.add("/?list-type=2", Reply(first.encode()))
    assert "404" in refusal(Channel("night", index, "a test")).what


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html><h1>Access denied</h1></html>", "is no index: it has neither"),
        (b"", "is no index: it has neither"),
        (page(name("7.14.1"))[:-40], "is no index: its list of files is cut off"),
        (b"<ListBucketResult>", "is no index: its XML cannot be read"),
    ],
)
def test_what_is_no_index_is_told(web: Server, body: bytes, said: str) -> None:
    reply = Reply(body, content_type="text/html")
    error = refusal(Channel("night", web.add("/t/", reply), "a test"))
    assert said in error.what
    assert "Open the address in a browser" in error.fix


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (page(), "0 files are listed, 0 releases for other GPUs."),
        (b"<a href='/login'>Log in</a>", "1 files are listed, 0 releases for other GPUs."),
        (
            page(name("10.0.0", "multiarch"), name("7.14.1", "gfx110X-all"), "x"),
            "3 files are listed, 2 releases for other GPUs.",
        ),
    ],
)
def test_an_index_without_a_release_for_the_gpu_is_told(
    web: Server, body: bytes, cause: str
) -> None:
    error = refusal(Channel("night", web.add("/t/", Reply(body)), "a test"))
    assert error.what == "channel night lists no release for gfx1151."
    assert error.cause == cause


def test_a_user_and_password_of_the_address_are_not_shown(web: Server) -> None:
    index = web.url.replace("://", "://me:hidden@") + "/gone/"
    with pytest.raises(DiscoveryError) as caught:
        discover(Channel("night", index, "a test"), ARCH)
    assert "hidden" not in str(caught.value)


def many() -> list[str]:
    return [name(f"10.{number // 100}.{number % 100}") for number in range(10_000)]


def test_a_page_of_10000_files_is_read_whole(web: Server) -> None:
    found = asked(web, page(*many()))
    assert len(found.releases) == 10_000
    assert texts(found)[0] == "10.99.99"


def test_10000_links_are_read_whole(web: Server) -> None:
    found = asked(web, "".join(f'<a href="{one}">x</a>\n' for one in many()).encode())
    assert len(found.releases) == 10_000
    assert texts(found)[-1] == "10.0.0"


def test_a_bucket_of_10000_files_is_read_over_all_its_pages(web: Server) -> None:
    files = many()
    for number in range(10):
        keys = "".join(
            f"<Contents><Key>{one}</Key><LastModified>2026-09-0{number % 9 + 1}T00:00:00Z"
            f"</LastModified><Size>1</Size></Contents>"
            for one in files[number * 1000 : number * 1000 + 1000]
        )
        token = f"<NextContinuationToken>t{number + 1}</NextContinuationToken>"
        text = f"<ListBucketResult>{keys}{token if number < 9 else ''}</ListBucketResult>"
        more = f"&continuation-token=t{number}" if number else ""
        web.add(f"/?list-type=2{more}", Reply(text.encode()))
    found = discover(Channel("night", f"{web.url}/?list-type=2", "a test"), ARCH)
    assert len(found.releases) == 10_000
    assert len(web.asked) == 10
    assert found.newest_file == dt.date(2026, 9, 9)
