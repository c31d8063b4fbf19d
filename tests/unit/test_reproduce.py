"""How two builds are compared: archives, libraries, texts, and what may differ until a day."""

import datetime as dt
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from strixforge.model.errors import DataError
from strixforge.model.policy import load_policy
from strixforge.model.unreproducible import Unreproducible
from strixforge.release.sums import sha256sums
from strixforge.reproduce import launch
from strixforge.reproduce.bytewise import Trace
from strixforge.reproduce.circumstances import Circumstance, elsewhere, measured
from strixforge.reproduce.collected import compare_wheelhouses
from strixforge.reproduce.differences import Difference, compare_files, compare_trees
from strixforge.reproduce.place import Place, discard, keep_only
from strixforge.reproduce.report import Outcome, Report, document, judge, useless
from strixforge.store.tree import scan

TODAY = dt.date(2027, 5, 23)
TRACES = [Trace("folder", "/home/one/project", "/srv/other/place"), Trace("cores", "8", "7")]


def compared(
    folder: Path, name: str, one: bytes | Path, other: bytes | Path
) -> list[tuple[str, str, str]]:
    files = []
    for place, content in (("one", one), ("other", other)):
        path = folder / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        files.append(path)
    found = compare_files(files[0], files[1], name, TRACES)
    return [(each.path, each.what, each.clue) for each in found]


def zipped(members: list[tuple[str, bytes]], day: int = 1, level: int = 6) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, content in members:
            archive.writestr(
                zipfile.ZipInfo(name, (2026, 1, day, 0, 0, 0)), content, zipfile.ZIP_DEFLATED, level
            )
    return body.getvalue()


def tarred(members: list[tuple[str, bytes]], **facts: int) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for fact, value in facts.items():
                setattr(info, fact, value)
            archive.addfile(info, io.BytesIO(content))
    return body.getvalue()


def test_the_same_bytes_do_not_differ(tmp_path: Path) -> None:
    assert compared(tmp_path, "a", b"same", b"same") == []


def test_a_line_of_a_text_is_shown_with_the_path_that_leaked(tmp_path: Path) -> None:
    one, other = (
        f"begin\nat {each}/x.c\n".encode() for each in (TRACES[0].here, "/srv/other/place")
    )
    ((path, what, clue),) = compared(tmp_path, "a.txt", one, other)
    assert path == "a.txt"
    assert what.startswith("line 2: 'at /home/one/project/x.c' -> 'at /srv/other/place/x.c'")
    assert clue == "the folder: /home/one/project -> /srv/other/place"


@pytest.mark.parametrize(
    ("one", "other", "clue"),
    [
        ("made with 8 cores", "made with 7 cores", "the cores: 8 -> 7"),
        ("on 2026-01-01", "on 2026-01-02", "the clock: SOURCE_DATE_EPOCH is not looked at"),
        ("at 1767225600", "at 1767225601", "the clock: SOURCE_DATE_EPOCH is not looked at"),
        ("object at 0x7f0011223344", "object at 0x7f0011223355", "an address in memory"),
        ("id " + "a1" * 16, "id " + "b2" * 16, "a hash of something that differs, or a random"),
        ("b\na", "a\nb", "the same lines in another order"),
        ("plain", "other", ""),
    ],
)
def test_what_a_difference_looks_like(tmp_path: Path, one: str, other: str, clue: str) -> None:
    ((_, _, found),) = compared(tmp_path, "a", one.encode(), other.encode())
    assert found.startswith(clue)
    assert bool(found) == bool(clue)


def test_a_shorter_file_differs_where_it_ends(tmp_path: Path) -> None:
    ((_, what, _),) = compared(tmp_path, "a", b"\0one", b"\0one more")
    assert what == "differs from byte 4 on, sizes 4 and 9"


@pytest.mark.parametrize("kind", [zipped, tarred], ids=["zip", "tar"])
def test_order_of_members_and_missing_ones_are_said(
    tmp_path: Path, kind: Callable[[list[tuple[str, bytes]]], bytes]
) -> None:
    a, b, c = ("a", b"1"), ("b", b"2"), ("c", b"3")
    ((path, what, clue),) = compared(tmp_path, "x", kind([a, b]), kind([b, a]))
    assert (path, what) == ("x", "members in another order: a -> b")
    assert "order of the disk" in clue
    found = compared(tmp_path, "x", kind([a, b]), kind([a, c]))
    assert [(each[0], each[1]) for each in found] == [
        ("x/b", "only in the first"),
        ("x/c", "only in the second"),
    ]


def test_times_owners_and_modes_of_members_are_said_once_each(tmp_path: Path) -> None:
    members = [("a", b"1"), ("b", b"2")]
    ((_, what, clue),) = compared(tmp_path, "x.whl", zipped(members), zipped(members, day=2))
    assert what.startswith("time of 2 members, first a: 2026-01-01 00:00:00 -> 2026-01-02")
    assert clue.startswith("the clock")
    found = compared(tmp_path, "x.tar", tarred(members), tarred(members, uid=1000, mode=0o600))
    assert [each[1].split(" of ")[0] for each in found] == ["mode", "owner"]


def test_a_changed_member_of_an_archive_in_a_wheel_is_found(tmp_path: Path) -> None:
    one, other = (
        zipped([("pkg/data.tar.gz", gzip.compress(tarred([("in/a", text)]), mtime=1))])
        for text in (b"built 2026-01-01\n", b"built 2026-01-02\n")
    )
    found = compared(tmp_path, "p.whl", one, other)
    assert [each[0] for each in found] == ["p.whl/pkg/data.tar.gz/in/a"]


def test_the_record_of_a_wheel_follows_from_what_it_lists(tmp_path: Path) -> None:
    def wheel(text: bytes, row: str) -> bytes:
        record = f"a.py,sha256={row},1\nb.py,sha256=zz,1\n".encode()
        return zipped([("a.py", text), ("p-1.dist-info/RECORD", record)])

    found = compared(tmp_path, "p.whl", wheel(b"1", "xx"), wheel(b"2", "yy"))
    assert [each[0] for each in found] == ["p.whl/a.py"]
    found = compared(tmp_path, "p.whl", wheel(b"1", "xx"), wheel(b"1", "yy"))
    assert [each[0] for each in found] == ["p.whl/p-1.dist-info/RECORD"]


def test_the_same_members_written_differently_are_said(tmp_path: Path) -> None:
    members = [("a", b"text " * 1000 + os.urandom(2000))]
    one, other = zipped(members, level=1), zipped(members, level=9)
    ((_, what, _),) = compared(tmp_path, "x.zip", one, other)
    assert what.startswith("the same members, written differently from byte ")


def test_a_damaged_archive_is_compared_as_bytes(tmp_path: Path) -> None:
    good = zipped([("a", b"text " * 100)])
    bad = bytearray(good)
    bad[40] ^= 0xFF
    ((path, what, _),) = compared(tmp_path, "x.zip", good, bytes(bad))
    assert path == "x.zip"
    assert what.startswith("differs from byte 40 on")


def test_a_library_is_explained_by_section_and_a_static_one_by_member(tmp_path: Path) -> None:
    libraries = []
    for number, text in enumerate(("/home/one/project", "/srv/other/place")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.c").write_text(f'const char *where = "{text}/a.c";\n')
        for words in (
            ["cc", "-shared", "-fPIC", "-Wl,--build-id", "-o", "l.so", "a.c"],
            ["cc", "-c", "-o", "a.o", "a.c"],
            ["ar", "rcD", "l.a", "a.o"],
        ):
            subprocess.run(words, cwd=folder, check=True)
        libraries.append(folder)
    one, other = libraries
    ((_, what, clue),) = compared(tmp_path, "l.so", one / "l.so", other / "l.so")
    assert ".note.gnu.build-id" in what
    assert ".rodata" in what
    assert clue == "the folder: /home/one/project -> /srv/other/place"
    found = compared(tmp_path, "l.a", one / "l.a", other / "l.a")
    assert [each[0] for each in found] == ["l.a/a.o"]
    assert found[0][2].startswith("the folder")


def test_trees_are_compared_by_path_link_and_mode(tmp_path: Path) -> None:
    for name, target in (("one", "x"), ("other", "y")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "link").symlink_to(target)
        (folder / "run").write_text("same")
        (folder / name).write_text("")
    (tmp_path / "one" / "run").chmod(0o755)
    trees = tmp_path / "one", tmp_path / "other"
    found = compare_trees(trees[0], (scan(trees[0]), scan(trees[1])), trees[1], [])
    assert [(each.path, each.what) for each in found] == [
        ("link", "link x -> link y"),
        ("one", "only in the first"),
        ("other", "only in the second"),
        ("run", "executable in one of them alone"),
    ]


def known(files: str, expires: str = "2027-05-23") -> Unreproducible:
    return Unreproducible(component="app", files=(files,), reason="a fault", expires=expires)


def outcome(*differences: Difference) -> Outcome:
    return Outcome("app", "1", "2", differences=differences)


def test_an_exception_counts_on_its_last_day_and_not_on_the_next(tmp_path: Path) -> None:
    del tmp_path
    found = [Difference("x.whl/a.so", "differs")]
    rule = known("*.whl/a.so")
    last = outcome(*judge("app", found, [rule], TODAY))
    assert last.accepted
    assert last.differences[0].excepted == "a fault (until 2027-05-23)"
    after = outcome(*judge("app", found, [rule], TODAY + dt.timedelta(days=1)))
    assert not after.accepted
    assert after.differences[0].expired == "a fault (until 2027-05-23)"
    assert not outcome(*judge("other", found, [rule], TODAY)).accepted


def test_one_difference_beside_an_excepted_one_is_enough() -> None:
    found = [Difference("a", "differs"), Difference("b", "differs")]
    assert not outcome(*judge("app", found, [known("a")], TODAY)).accepted
    assert not outcome().accepted, "other digests without a difference are no excuse"


def test_patterns_that_nothing_fits_are_useless_only_where_the_component_was_built() -> None:
    rule = Unreproducible(component="app", files=("a", "b"), reason="r", expires="2027-01-01")
    assert useless([rule], [outcome(Difference("a", "differs"))]) == ("app: b",)
    assert useless([rule], [Outcome("other", "1", "1")]) == ()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('files = ["a"]\nreason = "r"\nexpires = "2027-01-01"', "missing key 'component'"),
        ('component = "a"\nfiles = []\nreason = "r"\nexpires = "2027-01-01"', "length"),
        ('component = "a"\nfiles = ["a"]\nreason = " "\nexpires = "2027-01-01"', "form"),
        ('component = "a"\nfiles = ["a"]\nreason = "r"\nexpires = "2027-02-30"', "is no day"),
        ('component = "a"\nfiles = ["a"]\nreason = "r"', "missing key 'expires'"),
        ('component = "a"\nfile = "a"', "unknown key 'file'"),
    ],
)
def test_a_faulty_exception_is_named(tmp_path: Path, entry: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"rule = []\n[[unreproducible]]\n{entry}\n")
    with pytest.raises(DataError, match=said) as error:
        load_policy(path)
    assert "unreproducible (" in error.value.where


def test_the_report_is_the_same_for_the_same_outcome() -> None:
    rows = (Circumstance("user", "0", "1"), Circumstance("cores", "1", "1", "there is one"))
    report = Report("demo", "gfx1151", rows, (outcome(Difference("a", "b")),), ("x",))
    table = document(report)
    assert not table["reproducible"]
    assert [each["varied"] for each in table["circumstances"]] == [True, False]
    assert table["components"][0]["verdict"] == "differs"
    assert json.dumps(table) == json.dumps(document(report))


def wheelhouse(folder: Path, files: dict[str, tuple[str, dict[str, str]]]) -> Path:
    folder.mkdir()
    entries = [{"path": p, "sha256": s, "origin": o} for p, (s, o) in files.items()]
    (folder / "manifest.json").write_text(json.dumps({"files": entries}))
    sums = {**{path: one[0] for path, one in files.items()}, "manifest.json": f"{sorted(files)}"}
    (folder / "SHA256SUMS").write_text(sha256sums(sums))
    return folder


def test_a_wheelhouse_may_differ_only_where_a_component_does(tmp_path: Path) -> None:
    built, text, index = {"built": "app"}, {"strixforge": "demo"}, {"index": "pip"}
    one = wheelhouse(tmp_path / "1", {"a": ("1", built), "locks": ("1", text), "pip": ("1", index)})
    other = wheelhouse(
        tmp_path / "2", {"a": ("2", built), "locks": ("2", text), "pip": ("1", index)}
    )
    assert compare_wheelhouses(one, one, set()) == ((), ())
    assert compare_wheelhouses(one, other, {"app"}) == ((), ("a", "locks"))
    assert compare_wheelhouses(one, other, {"else"}) == (("a",), ("locks",))
    assert compare_wheelhouses(one, other, set()) == (("a", "locks", "SHA256SUMS"), ())
    signed = wheelhouse(
        tmp_path / "4", {"a": ("1", built), "locks": ("1", text), "pip": ("1", index)}
    )
    with (signed / "SHA256SUMS").open("a") as sums:
        sums.write("77  provenance.dsse.json\n")
    assert compare_wheelhouses(signed, one, set()) == ((), ())
    third = wheelhouse(tmp_path / "3", {"a": ("1", built), "locks": ("1", text)})
    assert compare_wheelhouses(one, third, {"app"}) == (("pip",), ())


def test_only_what_differs_is_kept(tmp_path: Path) -> None:
    place = Place(tmp_path / "again")
    for name in ("store/objects/a", "store/objects/b", "project/build/wheelhouse/demo", "home"):
        (place.root / name).mkdir(parents=True)
    place.cache.mkdir()
    (tmp_path / "downloads").mkdir()
    (place.cache / "sha256").symlink_to(tmp_path / "downloads")
    kept = keep_only(place, {"b"}, "demo")
    assert kept == place.root / "wheelhouse"
    assert sorted(path.name for path in place.root.iterdir()) == ["store", "wheelhouse"]
    assert place.store.objects() == ["b"]
    assert (tmp_path / "downloads").is_dir()
    discard(place)
    assert [path.name for path in tmp_path.iterdir()] == ["downloads"]


def test_circumstances_are_measured_in_a_process_that_has_them(tmp_path: Path) -> None:
    here = measured([], {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"})
    there = measured(elsewhere(tmp_path, tmp_path / "home").command([]), os.environ)
    assert here["time zone"] == "+0000"
    assert there["time zone"] == "+1345"
    assert there["home"] == str(tmp_path / "home")
    assert (there["user"], there["host name"]) == ("64321", "elsewhere")
    assert there["umask"] != here["umask"]
    assert launch.describe()["user"] == str(os.getuid())


def test_a_process_elsewhere_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    starter = (
        "import sys, subprocess, time; from pathlib import Path;"
        "from strixforge.reproduce.circumstances import elsewhere;"
        "place = Path(sys.argv[1]);"
        "line = elsewhere(place, place).command(['sh', '-c', 'echo $$; exec sleep 60']);"
        "subprocess.Popen(line); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        run.kill()
        assert run.stdout.read() == "", "the pipe is closed by the kernel when the child is gone"
    assert (
        not Path(f"/proc/{child}/cmdline").exists()
        or not Path(f"/proc/{child}/cmdline").read_bytes()
    )
