"""The feed: entries are added and never changed, whoever appends and whatever is killed."""

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import IntegrityError
from strixforge.nightly.feed import (
    Cause,
    Entry,
    Feed,
    Kernels,
    Toolchain,
    append,
    read_feed,
)

SCHEMA = Path(__file__).parents[2] / "docs/reference/feed.schema.json"
HEAD, TAIL = b'{"schema":1,"entries":[\n', b"\n]}\n"
APPENDER = """\
import sys
from pathlib import Path
from strixforge.nightly.feed import Entry, append

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    append(path, Entry(night=f"{name}.{number}", time="2026-09-10T00:00:00Z", stack="main",
                       arch="gfx1151", channel="nightly", release="7.14.1", verdict="postponed"))
    print(number, flush=True)
"""


def entry(night: str) -> Entry:
    return Entry(
        night=night,
        time="2026-09-10T01:02:03+00:00",
        stack="main",
        arch="gfx1151",
        channel="nightly",
        release="10.1.0a20260901",
        verdict="refused",
        cause=Cause("policy", 12, "it is refused: 'quoted',\nand a second line"),
    )


FULL = Entry(
    night="10.1.0a20260901-0123",
    time="2026-09-10T01:02:03+00:00",
    stack="main",
    arch="gfx1151",
    channel="nightly",
    release="10.1.0a20260901",
    verdict="promoted",
    pins={"rock": "10.1.0a20260901", "lib": "1.0"},
    toolchain=Toolchain("https://index.test/x.tar.gz", "0" * 64, 1 << 31, "1" * 40, "2026-09-01"),
    kernels=Kernels(5000, gone=1, added=2, changed=3),
    wheelhouse=1 << 40,
    seconds={"build": 1.5},
    checkout="2" * 40 + "+",
)


def appender(feed: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", APPENDER, str(feed), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def lines_of(feed: Path) -> list[bytes]:
    """Return the lines of the entries, without the commas between them."""
    first, *lines, last = feed.read_bytes().split(b"\n")[:-1]
    assert (first + b"\n", b"\n" + last + b"\n") == (HEAD, TAIL)
    return [one.removesuffix(b",") for one in lines]


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Return where a feed may be written; nothing is there."""
    return tmp_path / "nightly/main/feed.json"


@pytest.fixture
def five(feed: Path) -> Path:
    """Return a feed of five entries."""
    for number in range(5):
        append(feed, entry(f"night{number}"))
    return feed


def test_there_are_no_entries_where_there_is_no_feed(feed: Path) -> None:
    assert read_feed(feed) == []
    assert not feed.parent.exists()


def test_what_is_appended_is_read_again_the_oldest_first(feed: Path) -> None:
    written = [append(feed, FULL), append(feed, entry("b")), append(feed, entry("a"))]
    assert read_feed(feed) == written
    assert written[0] == FULL
    assert [one.night for one in written] == ["10.1.0a20260901-0123", "b", "a"]


def test_everybody_may_read_it(five: Path) -> None:
    assert five.stat().st_mode & 0o777 == 0o644


def test_nothing_else_is_left_beside_it(five: Path) -> None:
    assert {one.name for one in five.parent.iterdir()} == {"feed.json", ".feed.json.lock"}


def test_the_bytes_of_earlier_entries_stay(feed: Path) -> None:
    before = b""
    for number in range(6):
        append(feed, entry(f"night{number}"))
        now = feed.read_bytes()
        assert now.startswith(before.removesuffix(TAIL))
        assert now.endswith(TAIL)
        assert len(json.loads(now)["entries"]) == number + 1
        before = now


def test_each_entry_has_the_sha256_of_the_line_before(five: Path) -> None:
    lines = lines_of(five)
    digests = [hashlib.sha256(one).hexdigest() for one in lines]
    assert [json.loads(one)["previous"] for one in lines] == ["", *digests[:-1]]


def test_what_an_entry_says_of_the_one_before_it_is_not_believed(five: Path) -> None:
    last = hashlib.sha256(lines_of(five)[-1]).hexdigest()
    wrong = msgspec.structs.replace(entry("x"), previous="f" * 64)
    assert append(five, wrong).previous == last
    assert read_feed(five)[-1].previous == last


Lines = list[bytes]


def other(line: bytes, number: int) -> bytes:
    return line.replace(b"night%d" % number, b"other%d" % number)


def following(lines: Lines, after: int) -> bytes:
    """Return a new line that fits behind another."""
    digest = hashlib.sha256(lines[after]).hexdigest()
    return msgspec.json.encode(msgspec.structs.replace(entry("new"), previous=digest))


@pytest.mark.parametrize(
    ("change", "number"),
    [
        (lambda lines: [other(lines[0], 0), *lines[1:]], 2),
        (lambda lines: [*lines[:3], other(lines[3], 3), lines[4]], 5),
        (lambda lines: [*lines[:3], lines[3].replace(b"refused", b"promoted"), lines[4]], 5),
        (lambda lines: [*lines[:3], lines[3].replace(b"{", b"{ ", 1), lines[4]], 5),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines[:2], *lines[3:]], 3),
        (lambda lines: [lines[1], lines[0], *lines[2:]], 1),
        (lambda lines: [*lines[:3], lines[4], lines[3]], 4),
        (lambda lines: [*lines[:3], following(lines, 2), *lines[3:]], 5),
        (lambda lines: [*lines, lines[0]], 6),
        (lambda lines: [*lines, lines[4]], 6),
    ],
    ids=[
        *("first changed", "later changed", "another verdict", "a space"),
        *("first removed", "one removed", "first two swapped", "last two swapped"),
        *("one inserted", "first again", "last again"),
    ],
)
def test_a_changed_entry_is_found_and_nothing_is_added(
    five: Path, change: Callable[[Lines], Lines], number: int
) -> None:
    lines = lines_of(five)
    changed = change(list(lines))
    assert changed != lines
    five.write_bytes(HEAD + b",\n".join(changed) + TAIL)
    damaged = five.read_bytes()
    for action in (lambda: read_feed(five), lambda: append(five, entry("x"))):
        with pytest.raises(IntegrityError, match="entries are only ever added") as caught:
            action()
        assert caught.value.exit_code == 15
        assert caught.value.where == str(five)
        assert caught.value.cause == f"Entry {number} does not follow the one before it."
        assert caught.value.fix
    assert five.read_bytes() == damaged


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda text: text[:-4],
        lambda text: text[: len(text) // 2],
        lambda text: text + text,
        lambda text: text + b"x",
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"night1", b"night\xff"),
        lambda text: text.replace(b'"schema":1', b'"schema":2'),
        lambda text: text.replace(b'"schema":1,', b""),
        lambda text: text.replace(b'"schema":1', b'"schema":1,"more":1'),
        lambda text: text.replace(b'"verdict":"refused"', b'"verdict":"perhaps"'),
        lambda text: text.replace(b'"verdict":"refused"', b'"verdict":"refused","more":1'),
        lambda text: text.replace(b'"previous":""', b'"previous":"x"'),
        lambda text: text.replace(b'"stack":"main",', b""),
        lambda text: text.replace(b",\n", b", \n"),
        lambda text: text.replace(b",\n", b","),
        lambda text: json.dumps(json.loads(text), indent=1).encode(),
        lambda _: b"[" * 100_000,
        lambda _: b"[]",
        lambda _: b"null",
    ],
)
def test_a_feed_of_another_form_is_found(five: Path, change: Callable[[bytes], bytes]) -> None:
    text = five.read_bytes()
    five.write_bytes(change(text))
    assert five.read_bytes() != text
    with pytest.raises(IntegrityError) as caught:
        read_feed(five)
    assert caught.value.cause
    with pytest.raises(IntegrityError):
        append(five, entry("x"))
    assert five.read_bytes() == change(text)


def test_a_feed_without_entries_is_one(feed: Path) -> None:
    feed.parent.mkdir(parents=True)
    feed.write_bytes(HEAD + TAIL)
    assert read_feed(feed) == []
    assert append(feed, entry("a")).previous == ""
    assert [one.night for one in read_feed(feed)] == ["a"]


words = st.text(max_size=20) | st.sampled_from(
    [",\n", '"},\n{"', "\n]}\n", "\u2028", "\x00", "\r\n", '{"schema":1,"entries":[\n', "\x85", "é"]
)
entries = st.builds(
    lambda night, what, pins, seconds: msgspec.structs.replace(
        entry(night), release=what, cause=Cause(what, 1, night), pins=pins, seconds=seconds
    ),
    words,
    words,
    st.dictionaries(words, words, max_size=3),
    st.dictionaries(words, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
)


@given(st.lists(entries, min_size=1, max_size=4))
def test_any_text_is_kept_as_it_was(several: list[Entry]) -> None:
    with TemporaryDirectory() as folder:
        feed = Path(folder) / "feed.json"
        written = [append(feed, one) for one in several]
        assert read_feed(feed) == written
        assert len(lines_of(feed)) == len(several)
        assert [msgspec.structs.replace(one, previous="") for one in written] == several


def test_eight_that_append_at_once_lose_nothing(feed: Path) -> None:
    running = [appender(feed, f"p{number}", 10) for number in range(8)]
    assert [one.communicate()[0] and one.returncode for one in running] == [0] * 8
    found = [one.night for one in read_feed(feed)]
    assert sorted(found) == sorted(f"p{a}.{b}" for a in range(8) for b in range(10))
    for number in range(8):
        own = [one for one in found if one.startswith(f"p{number}.")]
        assert own == [f"p{number}.{b}" for b in range(10)]


def test_a_reader_sees_a_whole_feed_at_every_moment(feed: Path) -> None:
    with appender(feed, "p", 150) as running:
        assert running.stdout is not None
        running.stdout.readline()
        seen = []
        while running.poll() is None:
            seen.append(len(json.loads(feed.read_bytes())["entries"]))
            assert len(read_feed(feed)) >= seen[-1]
    assert running.returncode == 0
    assert seen == sorted(seen)
    assert len(set(seen)) > 1
    assert len(read_feed(feed)) == 150


@pytest.mark.slow
def test_whatever_is_killed_every_earlier_entry_is_there(feed: Path) -> None:
    chance = random.Random(27)
    total = 0
    before = b""
    for run in range(40):
        with appender(feed, f"run{run}", 100_000) as running:
            assert running.stdout is not None
            running.stdout.readline()
            time.sleep(chance.uniform(0, 0.02))
            running.kill()
            said = 1 + len(running.stdout.read().splitlines())
        now = feed.read_bytes()
        assert now.startswith(before.removesuffix(TAIL))
        found = read_feed(feed)
        assert total + said <= len(found) <= total + said + 1
        added = [one.night for one in found[total:]]
        assert added == [f"run{run}.{number}" for number in range(len(added))]
        total, before = len(found), now


def test_its_schema_is_the_one_in_the_reference() -> None:
    schema = json.dumps(msgspec.json.schema(Feed), indent=1, sort_keys=True) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == schema, (
        "docs/reference/feed.schema.json is not the feed's. Write it anew, with .venv/bin/python:\n"
        "import json, msgspec, pathlib; from strixforge.nightly.feed import Feed\n"
        "text = json.dumps(msgspec.json.schema(Feed), indent=1, sort_keys=True)\n"
        "pathlib.Path('docs/reference/feed.schema.json').write_text(text + chr(10))"
    )
