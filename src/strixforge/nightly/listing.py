"""Indexes of files, in the three forms that TheRock has had, as names with address and time.

Sources: a page with `const files = [{"name", "mtime"}]` in its script: ROCm/TheRock
build_tools/index_generation_s3_tar.py at 07ca9d9df958f6e72e626897645a011c8c99b346; other keys are
let pass. A bucket: Amazon's ListBucketResult, "ListObjectsV2". Plain links: any HTML.
An index is neither signed nor hashed: it can only say what may be downloaded.
"""

import datetime as dt
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

_PAGE = "const files = "
_MOST_PAGES = 200
"""A bucket lists 1,000 files a page."""


class NoIndexError(Exception):
    """What the address gave is no index; the text says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an index."""

    name: str
    url: str
    published: dt.datetime | None
    """When it was put there, UTC; None where the index does not tell."""
    size: int | None
    """Bytes; None where the index does not tell."""


def entries(index: str, read: Callable[[str], bytes]) -> list[Entry]:
    """Return every file that an index lists. `read` gives the content of an address.

    Raises NoIndexError for content of none of the three forms; what `read` raises goes through.
    """
    text = _decoded(read(index))
    if "<ListBucketResult" in text:
        return _bucket(index, text, read)
    if _PAGE in text:
        return _page(index, text)
    found = _links(index, text)
    if not found:
        raise NoIndexError("it has neither a list of files nor a link")
    return found


def _decoded(body: bytes) -> str:
    return body.decode("utf-8-sig", errors="replace")


def _page(index: str, text: str) -> list[Entry]:
    try:
        files, _ = json.JSONDecoder().raw_decode(text, text.index(_PAGE) + len(_PAGE))
    except (ValueError, RecursionError) as error:
        raise NoIndexError(f"its list of files is cut off or no JSON: {error}") from None
    if not isinstance(files, list):
        raise NoIndexError("its list of files is no list")
    found = []
    for one in files:
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and _is_name(name):
            url = urljoin(index, quote(name))
            found.append(Entry(name, url, _time(one.get("mtime")), _size(one.get("size"))))
    return found


def _is_name(name: str) -> bool:
    """Say whether it is the name of a file directly below the index. Releases' names are ASCII."""
    return name.isascii() and name.isprintable() and name not in ("", ".", "..") and "/" not in name


def _time(seconds: Any) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(float(seconds), dt.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _size(number: Any) -> int | None:
    try:
        return int(number) if int(number) >= 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _bucket(index: str, text: str, read: Callable[[str], bytes]) -> list[Entry]:
    found: list[Entry] = []
    base = urljoin(urlunsplit(urlsplit(index)._replace(query="", fragment="")), ".")
    for _ in range(_MOST_PAGES):
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise NoIndexError("a list of a bucket declares entities, as no real one does")
        try:
            root = ET.fromstring(text)  # noqa: S314 - without a DTD there is nothing to expand
        except (ET.ParseError, ValueError) as error:
            raise NoIndexError(f"its XML cannot be read: {error}") from None
        if root.tag.rpartition("}")[2] != "ListBucketResult":
            raise NoIndexError(f"a page of a bucket's list is {root.tag[:40]!r}")
        for one in root.iterfind("{*}Contents"):
            key = one.findtext("{*}Key", "")
            *folders, name = key.split("/")
            # What is put behind the address of the bucket stays in the bucket.
            if _is_name(name) and all(map(_is_name, folders)):
                when, size = one.findtext("{*}LastModified", ""), one.findtext("{*}Size")
                found.append(Entry(name, base + quote(key), _moment(when), _size(size)))
        token = root.findtext("{*}NextContinuationToken", "")
        if not token:
            if root.findtext("{*}IsTruncated", "") == "true":
                raise NoIndexError("a list of a bucket goes on, and does not say where")
            return found
        text = _decoded(read(_continued(index, token)))
    raise NoIndexError(f"a list of a bucket has more than {_MOST_PAGES} pages")


def _continued(index: str, token: str) -> str:
    parts = urlsplit(index)
    query = dict(parse_qsl(parts.query)) | {"continuation-token": token}
    return urlunsplit(parts._replace(query=urlencode(query)))


def _moment(text: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _links(index: str, text: str) -> list[Entry]:
    """Return the links to files of the index's own host: another one has no say in what is new."""
    parser = _Links()
    try:
        parser.feed(text)
    except AssertionError as error:  # of Python's parser, on markup that it does not know
        raise NoIndexError(f"its HTML cannot be read: {error}") from None
    found: dict[str, Entry] = {}
    host = urlsplit(index)[:2]
    for link in parser.found:
        try:
            url = urlsplit(urljoin(index, link))
        except ValueError:
            continue
        name = unquote(url.path.rsplit("/", 1)[-1])
        if url[:2] == host and _is_name(name):
            address = urlunsplit(url._replace(query="", fragment=""))
            found.setdefault(name, Entry(name, address, None, None))
    return list(found.values())
