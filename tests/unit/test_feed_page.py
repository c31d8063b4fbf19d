"""The page of the feed: all of it, alone, and never more than text."""

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import get_args

import pytest
from msgspec.structs import replace

from strixforge.nightly.feed import Cause, Entry, Kernels, Outcome, Toolchain
from strixforge.nightly.page import duration, minute, page, visible

OLD = Entry(
    night="7.1.0a20260101-0a1b2c3d",
    time="2026-01-02T03:04:05+00:00",
    stack="demo",
    arch="gfx1151",
    channel="nightly",
    release="7.1.0a20260101",
    verdict="promoted",
    pins={"rocm": "7.1.0a20260101", "triton": "3.5.0"},
    toolchain=Toolchain("https://example.invalid/a.tar.gz", "ab" * 32, 3 * 1024**3, "cd" * 20),
    kernels=Kernels(411, gone=1, added=2, changed=3),
    wheelhouse=5 * 1024**2,
    seconds={"policy": 1.5, "build": 7200.0},
    checkout="ef" * 20,
)
NEW = replace(
    OLD,
    night="7.1.0a20260102-0a1b2c3d",
    time="2026-01-03T03:04:05+00:00",
    release="7.1.0a20260102",
    pins={"rocm": "7.1.0a20260102", "triton": "3.5.0"},
)
BACK = replace(
    NEW,
    time="2026-01-04T03:04:05+00:00",
    verdict="rolled back",
    cause=Cause("person", 0, "A person went back to what was promoted before."),
)
EVIL = "<script>alert(1)</script>&\"'><b onmouseover='x'>\x00\x1b[31m\u202e\ud800"
EMPTY_TAGS = {"meta", "br"}


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, text or "") for name, text in attrs]
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, text or "") for name, text in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(entries: Sequence[Entry], promoted: str = "") -> str:
    """Return a page, which must be whole, and need nothing else."""
    text = page(entries, "demo", "gfx1151", promoted)
    tags = Tags(text)
    assert (tags.open, tags.wrong) == ([], [])
    assert not tags.names & {"script", "link", "img", "iframe", "object", "base", "form"}
    attributes = {name for name, _ in tags.attributes}
    assert not {one for one in attributes if one.startswith("on")} | attributes & {"src", "style"}
    anchors = {text for name, text in tags.attributes if name == "id"}
    links = {text for name, text in tags.attributes if name == "href"}
    assert links <= {f"#{one}" for one in anchors}
    assert not re.search(r"https?://|url\(|@import", text)
    text.encode()
    return text


def row(text: str, number: int) -> str:
    """Return the row of one entry."""
    found = re.search(rf'<tr id="n{number}".*?</tr>', text, re.DOTALL)
    assert found is not None
    return found[0]


def now(text: str) -> str:
    """Return what is said of what is promoted."""
    found = re.search(r'<section class="now">.*?</section>', text, re.DOTALL)
    assert found is not None
    return found[0]


def test_an_empty_feed_says_so() -> None:
    text = shown([])
    assert "No candidate was tried yet." in text
    assert "nothing yet" in now(text)
    assert "<table" not in text


@pytest.mark.parametrize("verdict", get_args(Outcome))
def test_each_verdict_is_a_word_and_a_colour(verdict: Outcome) -> None:
    seen = row(shown([replace(OLD, verdict=verdict)]), 1)
    assert re.search(rf"<b>\S {verdict}</b>", seen)
    assert f'class="{verdict.replace(" ", "-")}"' in seen


def test_text_is_only_ever_text() -> None:
    evil = Entry(
        night=EVIL,
        time=EVIL,
        stack=EVIL,
        arch=EVIL,
        channel=EVIL,
        release=EVIL,
        verdict="quarantined",
        cause=Cause(EVIL, 1, f"{EVIL}\n{EVIL}"),
        pins={EVIL: EVIL},
        toolchain=Toolchain(EVIL, EVIL, 1, EVIL, EVIL),
        kernels=Kernels(1),
        wheelhouse=1,
        seconds={EVIL: 1.0},
        checkout=EVIL,
    )
    good = replace(evil, verdict="promoted", time=OLD.time, pins={EVIL: "1"})
    text = shown([good, evil], EVIL)
    assert "<b onmouseover" not in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;&gt;&lt;b" in text
    assert r"\x00\x1b[31m\u202e\ud800" in text
    assert "&amp;lt;" not in text


def test_what_has_no_shape_is_shown_as_its_code() -> None:
    assert visible("a\tb\nc é 漢") == "a\tb\nc é 漢"
    assert visible("\r\x7f\u200b\u2066") == r"\r\x7f\u200b\u2066"


def test_the_newest_is_first_and_the_same_entries_make_the_same_page() -> None:
    text = shown([OLD, NEW], NEW.night)
    assert text.index('<tr id="n2"') < text.index('<tr id="n1"')
    assert text == shown((OLD, NEW), NEW.night)


def test_what_changed_from_what_was_promoted_is_marked() -> None:
    text = shown([OLD, replace(OLD, verdict="quarantined"), NEW], NEW.night)
    assert 'class="changed"' not in row(text, 1)
    assert "nothing changed, all 2" in row(text, 2)
    changes = "rocm <code>7.1.0a20260101</code> → <code>7.1.0a20260102</code>"
    assert f'<li class="changed">{changes}</li>' in row(text, 3)
    assert '<li class="changed">rocm <code>7.1.0a20260102</code>\n<b>changed</b></li>' in now(text)
    assert "<li>triton <code>3.5.0</code>\n</li>" in now(text)


def test_pins_that_came_and_went_are_changes() -> None:
    text = shown([OLD, replace(NEW, pins={"rocm": OLD.release, "vllm": "1"})], NEW.night)
    assert "triton <code>3.5.0</code> → <code>none</code>" in row(text, 2)
    assert "vllm <code>none</code> → <code>1</code>" in row(text, 2)
    assert text.count("rocm <code>7.1.0a20260101</code> →") == 0


def test_what_failed_early_and_has_no_pins_changed_nothing() -> None:
    text = shown([OLD, replace(NEW, verdict="refused", pins={})], OLD.night)
    assert "changed" not in re.sub(r"\d changed", "", row(text, 2))


def test_what_is_promoted_now_comes_with_its_figures() -> None:
    seen = now(shown([OLD, NEW], NEW.night))
    for text in (NEW.release, NEW.night, "2026-01-03 03:04 UTC", "411", "5 MiB", "3 GiB", "1 gone"):
        assert text in seen


def test_after_a_rollback_the_one_before_is_promoted_since_then() -> None:
    text = shown([OLD, NEW, BACK], OLD.night)
    assert (OLD.night in now(text), NEW.night in now(text)) == (True, False)
    assert "2026-01-04 03:04 UTC" in now(text)
    assert "rocm <code>7.1.0a20260102</code> → <code>7.1.0a20260101</code>" in row(text, 3)
    assert "2.0 h" not in row(text, 3)


def test_what_is_held_against_after_a_rollback_is_the_one_before() -> None:
    text = shown([OLD, NEW, BACK, replace(OLD, night="again", verdict="quarantined")], OLD.night)
    assert "nothing changed, all 2" in row(text, 4)


def test_what_the_folder_says_is_promoted_counts_even_where_the_feed_says_another() -> None:
    assert "2026-01-02 03:04 UTC" in now(shown([OLD, NEW], OLD.night))
    assert "The feed has no entry of its promotion." in now(shown([OLD], "lost"))
    assert "nothing yet" in now(shown([OLD]))


def test_the_strip_has_each_of_the_last_thirty_candidates_once() -> None:
    late = replace(OLD, night="late", verdict="postponed", cause=Cause("download", 10, "No."))
    many = [replace(OLD, night=f"night-{n}", verdict="refused") for n in range(40)]
    text = shown([*many, late, late, replace(late, verdict="promoted"), replace(NEW, night="x")])
    cells = re.findall(r'<li><a class="(\S+)" href="#n(\d+)" title="[^"]+"', text)
    assert len(cells) == 30
    assert cells[0] == ("refused", "13")
    assert cells[-2:] == [("promoted", "43"), ("promoted", "44")]


def test_the_whole_cause_is_behind_its_first_line() -> None:
    cause = Cause("build", 17, "It failed.\n  where: <here>\n")
    seen = row(shown([replace(OLD, verdict="quarantined", cause=cause)]), 1)
    assert "<b>build</b>" in seen
    assert "exit code 17" in seen
    assert "<details><summary>It failed.</summary><pre>\nIt failed.\n  where: &lt;here&gt;" in seen
    seen = row(shown([replace(OLD, cause=Cause("build", 17, "One line."), pins={})]), 1)
    assert ("One line." in seen, "<details>" in seen) == (True, False)
    long = Cause("build", 17, "x" * 1000)
    assert "x" * 1000 in row(shown([replace(OLD, cause=long)]), 1)


def test_digests_are_short_and_whole_in_their_title() -> None:
    seen = row(shown([OLD]), 1)
    assert f'title="sha256 {"ab" * 32}">{"ab" * 6}…' in seen
    assert f'title="{"cd" * 20}">{"cd" * 6}…' in seen
    assert 'title="policy 2 s, build 2.0 h">2.0 h' in seen


def test_plots_are_of_what_was_promoted_and_of_each_night() -> None:
    bad = replace(NEW, verdict="quarantined", kernels=Kernels(9))
    text = shown([OLD, bad, NEW, BACK], OLD.night)
    assert (text.count("<svg"), text.count("<circle"), text.count("<rect")) == (3, 4, 3)
    assert "<svg" not in shown([replace(OLD, kernels=None, wheelhouse=0, seconds={})])
    assert "<svg" not in shown([replace(OLD, time="no time")])


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2026-01-02T03:04:05+00:00", "2026-01-02 03:04"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02 01:04"),
        ("2026-01-02T03:04:05", "2026-01-02 03:04"),
        ("0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00+23:00"),
        ("", ""),
    ],
)
def test_times_are_told_in_utc(time: str, told: str) -> None:
    assert minute(time) == told


def test_durations_are_told_in_words() -> None:
    assert [duration(n) for n in (0.4, 119, 720, 12600)] == ["0 s", "119 s", "12 min", "3.5 h"]
