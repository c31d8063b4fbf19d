"""Indexes of files in three forms, whole and broken: entries, or a sentence why not."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.nightly.listing import Entry, NoIndexError, entries
from strixforge.sources.http import read
from tests.unit.web import Reply, Server

INDEX = "https://index.test/rocm/tarball/"
FILE = "therock-dist-linux-gfx1151-7.14.0.tar.gz"
MOMENT = dt.datetime(2026, 7, 15, tzinfo=dt.UTC)
SPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def listed(body: str | bytes, index: str = INDEX) -> list[Entry]:
    content = body if isinstance(body, bytes) else body.encode()
    return entries(index, lambda _: content)


def refused(body: str | bytes) -> str:
    with pytest.raises(NoIndexError) as caught:
        listed(body)
    return str(caught.value)


def get(url: str) -> bytes:
    return read(url, limit=1 << 20, what="an index")


# A page with a list in its script


def page(files: Any) -> str:
    """Write a page as TheRock's generator does."""
    return (
        "<!DOCTYPE html>\n<html><body><ul id='list'></ul><a href='../'>up</a>\n<script>\n"
        f"const files = {json.dumps(files)};\nrender(files);\n</script></body></html>\n"
    )


def test_a_page_has_name_address_and_time() -> None:
    (one,) = listed(page([{"name": FILE, "mtime": 1784073600.0}]))
    assert one == Entry(FILE, INDEX + FILE, MOMENT, None)


def test_other_keys_of_a_page_are_let_pass_and_a_size_is_taken() -> None:
    files = [{"name": FILE, "mtime": 1784073600, "size": 5, "etag": [1], "sha256": None}]
    assert listed(page(files)) == [Entry(FILE, INDEX + FILE, MOMENT, 5)]


@pytest.mark.parametrize(
    "mtime", [None, "yesterday", [], {}, 1784073600000000.0, -1e300, float("nan"), float("inf")]
)
def test_a_time_that_is_none_is_left_out(mtime: Any) -> None:
    (one,) = listed(page([{"name": FILE, "mtime": mtime, "size": mtime}]))
    assert (one.name, one.published) == (FILE, None)


def test_a_file_without_time_is_listed() -> None:
    assert listed(page([{"name": FILE}])) == [Entry(FILE, INDEX + FILE, None, None)]


@pytest.mark.parametrize("size", [None, "many", -1, [], float("inf"), float("nan")])
def test_a_size_that_is_none_is_left_out(size: Any) -> None:
    (one,) = listed(page([{"name": FILE, "size": size}]))
    assert one.size is None


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("a+b c.tar.gz", "a%2Bb%20c.tar.gz"),
        ("a%2Bb.tar.gz", "a%252Bb.tar.gz"),
        ("a?b#c", "a%3Fb%23c"),
        ("https:x", "https%3Ax"),
    ],
)
def test_a_name_is_percent_encoded_in_its_address(name: str, address: str) -> None:
    (one,) = listed(page([{"name": name}]))
    assert (one.name, one.url) == (name, INDEX + address)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "../a", "//other.test/a", 5, None])
def test_a_name_that_leads_elsewhere_or_is_none_is_left_out(name: Any) -> None:
    assert [one.name for one in listed(page([{"name": name}, {"name": FILE}]))] == [FILE]


def test_what_is_no_file_in_a_list_is_left_out() -> None:
    assert [one.name for one in listed(page([None, 1, "x", [], {}, {"name": FILE}]))] == [FILE]


def test_an_empty_list_is_an_index_without_files() -> None:
    assert listed(page([])) == []


def test_the_address_of_an_index_may_name_its_page() -> None:
    (one,) = listed(page([{"name": FILE}]), INDEX + "index.html?x=1")
    assert one.url == INDEX + FILE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('const files = [{"name": "a', "is cut off or no JSON"),
        ('const files = [{"name": "a"}', "is cut off or no JSON"),
        ("const files = ", "is cut off or no JSON"),
        ("const files = await load();", "is cut off or no JSON"),
        ("const files = " + "[" * 100_000, "is cut off or no JSON"),
        ("const files = " + '{"a":' * 100_000, "is cut off or no JSON"),
        ('const files = [{"name": "a", "mtime": ' + "9" * 5000 + "}]", "is cut off or no JSON"),
        ('const files = {"name": "a"};', "is no list"),
        ('const files = "a";', "is no list"),
        ("const files = null;", "is no list"),
    ],
)
def test_a_list_that_is_none_is_told(text: str, why: str) -> None:
    assert why in refused(text)


# A bucket


def content(key: str, when: str = "2026-07-15T00:00:00.000Z", size: str = "7") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{when}</LastModified>"
        f"<ETag>&quot;0&quot;</ETag><Size>{size}</Size></Contents>"
    )


def bucket(*contents: str, token: str = "", more: bool = False, head: str = "") -> str:
    """Write one page of a bucket's list."""
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{head}<ListBucketResult xmlns="{SPACE}">'
        f"<Name>b</Name><IsTruncated>{str(more or bool(token)).lower()}</IsTruncated>"
        f"{following}{''.join(contents)}</ListBucketResult>"
    )


def test_a_bucket_has_name_address_time_and_size() -> None:
    index = "https://bucket.test/?list-type=2&prefix=therock"
    (one,) = listed(bucket(content(FILE)), index)
    assert one == Entry(FILE, f"https://bucket.test/{FILE}", MOMENT, 7)


def test_a_bucket_without_a_namespace_is_read_too() -> None:
    body = bucket(content(FILE)).replace(f' xmlns="{SPACE}"', "")
    assert [one.name for one in listed(body)] == [FILE]


def test_a_key_in_a_folder_gives_the_name_alone_and_the_whole_address() -> None:
    (one,) = listed(bucket(content("v5/a+b/x y.tar.gz")), "https://bucket.test/?list-type=2")
    assert (one.name, one.url) == ("x y.tar.gz", "https://bucket.test/v5/a%2Bb/x%20y.tar.gz")


@pytest.mark.parametrize("key", ["", "folder/", "a/..", "..", "."])
def test_a_key_without_a_name_is_left_out(key: str) -> None:
    assert [one.name for one in listed(bucket(content(key), content(FILE)))] == [FILE]


@pytest.mark.parametrize(("when", "size"), [("", ""), ("yesterday", "many"), ("12:00", "-4")])
def test_time_and_size_of_a_bucket_that_are_none_are_left_out(when: str, size: str) -> None:
    (one,) = listed(bucket(content(FILE, when, size)))
    assert (one.published, one.size) == (None, None)


def test_a_time_of_a_bucket_without_a_zone_is_utc() -> None:
    (one,) = listed(bucket(content(FILE, "2026-07-15T00:00:00")))
    assert one.published == MOMENT


def test_contents_without_time_and_size_are_listed() -> None:
    (one,) = listed(bucket(f"<Contents><Key>{FILE}</Key></Contents>"))
    assert (one.name, one.published, one.size) == (FILE, None, None)


def test_an_empty_bucket_is_an_index_without_files() -> None:
    assert listed(bucket()) == []


def test_every_page_of_a_bucket_is_read_and_the_token_is_quoted(web: Server) -> None:
    token = "1/a+b &c?#é%3D=="
    query = "/?list-type=2&prefix=the%20rock"
    index = web.add(query, Reply(bucket(content("a"), token=token.replace("&", "&amp;")).encode()))
    second = f"/?list-type=2&prefix=the+rock&continuation-token={quote(token, safe='')}"
    web.add(second.replace("%20", "+"), Reply(bucket(content("b"), content("c")).encode()))
    found = entries(index, get)
    assert [one.name for one in found] == ["a", "b", "c"]
    assert [one.url for one in found] == [f"{web.url}/{name}" for name in "abc"]
    assert len(web.asked) == 2


def test_a_bucket_that_goes_on_without_saying_where_is_told() -> None:
    assert "goes on, and does not say where" in refused(bucket(content("a"), more=True))


def test_a_bucket_without_end_is_given_up(web: Server) -> None:
    endless = Reply(bucket(content("a"), token="again").encode())
    index = web.add("/?list-type=2", endless)
    web.add("/?list-type=2&continuation-token=again", endless)
    with pytest.raises(NoIndexError, match="more than 200 pages"):
        entries(index, get)
    assert len(web.asked) == 201


def test_a_second_page_that_is_cut_off_is_told(web: Server) -> None:
    index = web.add("/?list-type=2", Reply(bucket(content("a"), token="t").encode()))
    web.add("/?list-type=2&continuation-token=t", Reply(bucket(content("b")).encode()[:-30]))
    with pytest.raises(NoIndexError, match="cannot be read"):
        entries(index, get)


def test_entities_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for entity in (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>',
        '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY e "&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "http://other.test/x.dtd">',
    ):
        assert "declares entities" in refused(bucket(content("&e;"), head=entity))


def test_entities_of_a_second_page_are_refused_too(web: Server) -> None:
    index = web.add("/?list-type=2", Reply(bucket(content("a"), token="t").encode()))
    hostile = bucket(content("&e;"), head='<!DOCTYPE x [<!ENTITY e "b">]>')
    web.add("/?list-type=2&continuation-token=t", Reply(hostile.encode()))
    with pytest.raises(NoIndexError, match="declares entities"):
        entries(index, get)


@pytest.mark.parametrize(
    "text",
    [
        "<ListBucketResult",
        "<ListBucketResult><Contents>",
        bucket(content("a"))[:-5],
        "junk " + bucket(content("a")),
        "<ListBucketResult>&nbsp;</ListBucketResult>",
        "<ListBucketResult>\x00</ListBucketResult>",
        "<ListBucketResult>" + "<a>" * 100_000,
    ],
)
def test_xml_that_is_none_is_told(text: str) -> None:
    assert "XML cannot be read" in refused(text)


# Plain links


def link(address: str) -> str:
    return f"<li><a class='x' href='{address}'>a file</a></li>"


@pytest.mark.parametrize(
    ("address", "name", "url"),
    [
        (FILE, FILE, INDEX + FILE),
        (f"./{FILE}", FILE, INDEX + FILE),
        (f"/other/{FILE}", FILE, f"https://index.test/other/{FILE}"),
        (INDEX + FILE, FILE, INDEX + FILE),
        (f"//index.test/{FILE}", FILE, f"https://index.test/{FILE}"),
        (f"{FILE}?version=2#top", FILE, INDEX + FILE),
        ("a%2Bb.tar.gz", "a+b.tar.gz", INDEX + "a%2Bb.tar.gz"),
        ("a&amp;b", "a&b", INDEX + "a&b"),
    ],
)
def test_a_link_has_name_and_address(address: str, name: str, url: str) -> None:
    assert listed(link(address)) == [Entry(name, url, None, None)]


@pytest.mark.parametrize(
    "address",
    [
        "https://other.test/b",
        "//other.test/b",
        "http://index.test/b",
        "https://index.test:8443/b",
        "https://index.test@other.test/b",
        "javascript:b",
        "mailto:b",
        "//[b",
        "..%2Fb",
        "%2e%2e",
        "../",
        "?C=M",
        "#b",
        "",
    ],
)
def test_a_link_to_another_host_or_to_no_file_is_left_out(address: str) -> None:
    assert [one.name for one in listed(link(address) + link(FILE))] == [FILE]


def test_the_first_of_two_links_to_a_name_counts() -> None:
    assert [one.url for one in listed(link("x/a") + link("y/a"))] == [INDEX + "x/a"]


def test_links_in_broken_html_are_found() -> None:
    body = f"<html><ul><li><A HREF={FILE}>x<p></ul></table><a>no</a><!-- {link('hidden')} -->"
    assert [one.name for one in listed(body)] == [FILE]


@pytest.mark.parametrize("body", [page([{"name": FILE}]), bucket(content(FILE)), link(FILE)])
def test_a_byte_order_mark_is_no_part_of_an_index(body: str) -> None:
    assert listed(b"\xef\xbb\xbf" + body.encode()) == listed(body)
    assert [one.name for one in listed(body)] == [FILE]


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe", b"not found", b"{}", b"<html><p>503</p></html>", b"a href='b'"]
)
def test_text_without_any_file_is_told(body: bytes) -> None:
    assert refused(body) == "it has neither a list of files nor a link"


# Anything at all

pieces = st.sampled_from(
    [
        *(b"const files = ", b'[{"name": "a"', b', "mtime": 1e999', b"}]", b"[" * 3000, b"\\ufffd"),
        *(b"<ListBucketResult>", b"</ListBucketResult>", b"<Contents><Key>", b"</Key></Contents>"),
        *(b"<NextContinuationToken>t</NextContinuationToken>", b"<IsTruncated>true", b"&#1;"),
        *(b"<a href='", b"x'>", b"//[", b"http://", b"index.test", b":99999", b"%", b"%2f", b"/.."),
        *(b"<!--", b"-->", b"<?x", b"</", b"<script>", b"\xef\xbb\xbf", b"\xff", b"\x00", b"&#x0;"),
    ]
)
bodies = st.binary(max_size=60) | st.lists(pieces | st.binary(max_size=5), max_size=12).map(
    b"".join
)


@given(bodies)
def test_any_bytes_are_entries_or_a_sentence(body: bytes) -> None:
    try:
        found = listed(body)
    except NoIndexError:
        return
    assert all(one.name and "/" not in one.name for one in found)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "mtime", "size", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(any_json)
def test_any_json_in_a_page_is_entries_below_the_index_or_a_sentence(files: Any) -> None:
    if not isinstance(files, list):
        assert "is no list" in refused(page(files))
        return
    for one in listed(page(files)):
        assert one.url == INDEX + quote(one.name)


@pytest.mark.parametrize("name", ["é", "\ud800", "a\nb", "a\x00"])
def test_a_name_that_no_release_has_is_passed_over(name: str) -> None:
    assert listed(page([{"name": name}])) == []


@pytest.mark.parametrize("body", [b'<![x[ <a href="b">', b'<![ <a href="b">'])
def test_markup_that_cannot_be_read_is_no_index(body: bytes) -> None:
    with pytest.raises(NoIndexError):
        listed(body)


@pytest.mark.parametrize("key", ["//evil.invalid/x", "../../x", "/x", "a/../x"])
def test_a_key_does_not_lead_out_of_its_bucket(key: str) -> None:
    body = f"<ListBucketResult><Contents><Key>{key}</Key></Contents></ListBucketResult>"
    assert listed(body.encode()) == []


def test_a_page_of_a_bucket_that_is_an_error_is_not_its_end() -> None:
    first = "<ListBucketResult><NextContinuationToken>2</NextContinuationToken></ListBucketResult>"
    bodies = iter([first.encode(), b"<Error><Code>SlowDown</Code></Error>"])
    with pytest.raises(NoIndexError, match="'Error'"):
        entries("https://bucket.invalid/?list-type=2", lambda _: next(bodies))
