"""A record of kernels is read as it was written, and a hostile one is refused with a reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strixforge.audit.__main__ import NOT_FIT, WRONG_USE, main
from strixforge.audit.snapshot import RecordError, Snapshot, take, write_record
from tests.unit.test_audit_report import STUB, real, write
from tests.unit.test_codeobjects import GFX1100, note
from tests.unit.test_compare import PLAIN, SNAPSHOTS, taken
from tests.unit.test_kernels import FULL, image, metadata


@given(SNAPSHOTS, st.sampled_from(["a.json", "a.zst"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_is_read_as_it_was_written(tmp_path: Path, one: Snapshot, name: str) -> None:
    write_record(one, tmp_path / name)
    assert take(tmp_path / name, "gfx1151") == one
    first = (tmp_path / name).read_bytes()
    write_record(one, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_the_same_kernels_make_the_same_record_wherever_they_lie(tmp_path: Path) -> None:
    places = [write(tmp_path / name, {"a.co": real(), "b/c.co": real()}) for name in ("x", "y z")]
    for number, place in enumerate(places):
        assert main([str(place), "--record", str(tmp_path / f"{number}.json")]) == 0
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert str(tmp_path) not in (tmp_path / "0.json").read_text()


def test_what_cannot_be_read_is_not_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = write(tmp_path / "x", {"a.co": real(), "b.co": b"what is this"})
    assert main([str(place), "--record", str(tmp_path / "r.json")]) == WRONG_USE
    assert "b.co" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


Edit = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one.update(schema=2),
        lambda one: one.update(arch="gfx1100"),
        lambda one: one.update(columns=["name"]),
        lambda one: one.update(more=1),
        lambda one: one.pop("files"),
        lambda one: one["files"][0]["kernels"][0].pop(),
        lambda one: one["files"][0]["kernels"][0].__setitem__(1, "many"),
        lambda one: one["files"][0]["kernels"][0].__setitem__(9, "other"),
        lambda one: one["files"][0].update(kernels={}),
    ],
)
def test_a_record_that_says_something_else_is_refused(tmp_path: Path, edit: Edit) -> None:
    place = tmp_path / "r.json"
    write_record(taken(PLAIN), place)
    content = json.loads(place.read_text())
    edit(content)
    place.write_text(json.dumps(content, separators=(",", ":")))
    with pytest.raises(RecordError, match=r"r\.json"):
        take(place, "gfx1151")


@pytest.mark.parametrize("packed", [False, True])
def test_a_record_that_is_cut_off_anywhere_is_refused_or_is_none(
    tmp_path: Path, packed: bool
) -> None:
    whole = tmp_path / ("r.zst" if packed else "r.json")
    write_record(taken(PLAIN), whole)
    content = whole.read_bytes()
    place = tmp_path / f"cut{whole.suffix}"
    for end in range(1, len(content)):
        place.write_bytes(content[:end])
        try:
            seen = take(place, "gfx1151")
        except RecordError:
            continue
        assert seen.files == ()


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    start = b'{"format":"strixforge kernels","schema":1,"arch":"gfx1151","columns":["'
    place = tmp_path / "r.zst"
    place.write_bytes(zstandard.compress(start + b"x" * (300 << 20)))
    with pytest.raises(RecordError, match="cannot be read"):
        take(place, "gfx1151")


@pytest.mark.parametrize("inner", [b"[" * 100_000, b'{"files":' * 50_000, b"\xff\xfe"])
def test_deep_or_broken_json_is_refused(tmp_path: Path, inner: bytes) -> None:
    place = tmp_path / "r.json"
    place.write_bytes(b'{"format":"strixforge kernels","schema":' + inner)
    with pytest.raises(RecordError):
        take(place, "gfx1151")


def test_the_command_compares_with_folders_and_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path / "old", {"a.co": real()})
    stub = image(note(metadata(FULL)), STUB)
    new = write(tmp_path / "new", {"a.co": stub})
    record, html = tmp_path / "r.json", tmp_path / "c.html"
    assert main([str(old), "--record", str(record)]) == 0
    assert main([str(old), "--compare", str(record), "--html", str(html)]) == 0
    assert "0 gone, 0 tuned anew, 0 new, 0 changed" in capsys.readouterr().out
    assert html.read_text().startswith("<!doctype html>")
    assert main([str(new), "--compare", str(old), "--json"]) == NOT_FIT
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is False
    assert told["comparison"]["changed"][0]["became_hollow"] is True
    assert any("became hollow" in one for one in told["findings"])


def test_wrong_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(write(tmp_path / "x", {"a.co": real()}))
    for words in (["--html", "x.html"], ["--compare", str(tmp_path / "gone")]):
        with pytest.raises(SystemExit) as ended:
            main([place, *words])
        assert ended.value.code == WRONG_USE
    (tmp_path / "r.json").write_text('{"format":"strixforge kernels"}')
    assert main([place, "--compare", str(tmp_path / "r.json")]) == WRONG_USE
    assert "Traceback" not in capsys.readouterr().err


def test_a_sibling_shows_what_is_hollow_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"k-gfx1151.co": real(), "k-gfx1100.co": real(GFX1100)}
    assert main([str(write(tmp_path / "x", files)), "--beside", "gfx1100"]) == 0
    assert "1 kernels work for gfx1100: for gfx1151, 0 are hollow, 0 missing" in (
        capsys.readouterr().out
    )
    files["k-gfx1151.co"] = image(note(metadata(FULL)), STUB)
    assert main([str(write(tmp_path / "y", files)), "--beside", "gfx1100", "--json"]) == NOT_FIT
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["parity"]["hollow"]] == ["gemm"]
    files["k-gfx1151.co"] = image(note(metadata({**FULL, ".name": "other"})), {"other": b""})
    assert main([str(write(tmp_path / "z", files)), "--beside", "gfx1100", "--json"]) == NOT_FIT
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["parity"]["missing"]] == ["gemm"]
