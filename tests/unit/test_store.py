"""The store: published at once or not at all, verified, first writer wins."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from strixforge.model.digests import document_digest
from strixforge.model.errors import IntegrityError
from strixforge.store.lock import exclusive
from strixforge.store.store import Record, Store

PUBLISHER = """
import sys
from pathlib import Path
from strixforge.store.store import Store
store = Store(Path(sys.argv[1]))
number = 0
while True:
    built = Path(sys.argv[2]) / f"out{number}"
    built.mkdir(parents=True)
    for name in range(20):
        (built / str(name)).write_text(f"{number} {name}" * 500)
    store.publish({"component": "tool", "number": number}, built, {})
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def publish(store: Store, content: str = "text", **document: Any) -> Record:
    built = store.root.parent / "built"
    (built / "lib").mkdir(parents=True)
    (built / "lib" / "a.so").write_text(content)
    (built / "b").symlink_to("lib")
    return store.publish({"component": "tool", **document}, built, {"seconds": 1})


def spoil(store: Store, record: Record) -> Path:
    path = store.tree(record.output) / "lib" / "a.so"
    path.write_text("tExt")
    return path


def test_what_is_published_is_found_by_its_key_and_verified(store: Store) -> None:
    record = publish(store)
    found = store.record(record.key)
    assert found == record
    assert record.key == document_digest({"component": "tool"})
    tree = store.verified(record.output, what="tool")
    assert (tree / "lib" / "a.so").read_text() == "text"
    assert (tree / "b").readlink() == Path("lib")
    assert store.objects() == [record.output]
    assert store.holds(record.output)
    assert not list((store.root / "staging").iterdir())


def test_asking_makes_no_folder(store: Store) -> None:
    assert store.record("0" * 64) is None
    assert not store.holds("0" * 64)
    assert store.objects() == []
    assert not store.root.exists()


def test_the_first_writer_of_a_key_wins(store: Store) -> None:
    first = publish(store, "first")
    second = publish(store, "second")
    assert second == first
    assert (store.verified(first.output, what="x") / "lib/a.so").read_text() == "first"


def test_two_keys_with_one_output_share_it(store: Store) -> None:
    one, other = publish(store, n=1), publish(store, n=2)
    assert one.key != other.key
    assert one.output == other.output
    assert len(store.objects()) == 1


def test_a_changed_byte_is_refused_and_named_with_the_cure(store: Store) -> None:
    record = publish(store)
    spoil(store, record)
    with pytest.raises(IntegrityError, match=r"lib/a.so has changed") as caught:
        store.verified(record.output, what="tool")
    assert "artifact of tool" in caught.value.what
    assert "./doit verify" in caught.value.fix


@pytest.mark.parametrize("what", ["mode", "new file", "gone", "link", "pipe", "folder"])
def test_any_other_change_of_an_artifact_is_refused_too(store: Store, what: str) -> None:
    record = publish(store)
    tree = store.tree(record.output)
    if what == "mode":
        (tree / "lib/a.so").chmod(0o755)
    elif what == "new file":
        (tree / "new").touch()
    elif what == "gone":
        (tree / "lib/a.so").unlink()
    elif what == "link":
        (tree / "b").unlink()
        (tree / "b").symlink_to("/etc")
    elif what == "pipe":
        os.mkfifo(tree / "pipe")
    else:
        tree.rename(tree.parent / "moved")
    with pytest.raises(IntegrityError, match="is damaged"):
        store.verified(record.output, what="tool")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b"5", b"[" * 100_000, b'["\\ud800"]']
)
def test_a_damaged_manifest_is_refused_and_healed_by_publishing_again(
    store: Store, content: bytes
) -> None:
    record = publish(store)
    path = store.tree(record.output).parent / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="manifest is missing or was changed"):
        store.verified(record.output, what="tool")
    path.unlink()
    with pytest.raises(IntegrityError, match="manifest is missing or was changed"):
        store.verified(record.output, what="tool")
    assert not store.holds(record.output)
    publish(store)
    store.verified(record.output, what="tool")


def test_a_damaged_object_is_replaced_when_the_same_output_is_published_again(
    store: Store,
) -> None:
    record = publish(store)
    spoil(store, record)
    assert publish(store) == record
    store.verified(record.output, what="tool")
    (kept,) = (store.root / "damaged").iterdir()
    assert (kept / "tree/lib/a.so").read_text() == "tExt"


def test_after_a_damaged_object_is_set_aside_another_output_takes_its_key(store: Store) -> None:
    first = publish(store, "first")
    spoil(store, first)
    aside = store.set_aside(first.output)
    assert aside.is_dir()
    assert not store.holds(first.output)
    second = publish(store, "second")
    assert second.key == first.key
    assert second.output != first.output
    assert store.record(first.key) == second
    store.set_aside(first.output)  # twice is no trouble


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["record"].update(output="0" * 64),
        lambda raw: raw["record"]["document"].update(component="other"),
        lambda raw: raw.update(seal="0" * 64),
        lambda raw: raw.pop("seal"),
        lambda raw: raw.pop("record"),
        lambda raw: raw["record"].pop("notes"),
        lambda raw: raw["record"]["notes"].update(seconds="\ud800"),
    ],
)
def test_a_changed_record_is_refused_and_the_next_build_writes_it_anew(
    store: Store, change: Any
) -> None:
    record = publish(store)
    path = store.root / "records" / f"{record.key}.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(IntegrityError, match="record of the store was changed") as caught:
        store.record(record.key)
    assert caught.value.where == str(path)
    assert f"rm '{path}'" in caught.value.fix
    assert publish(store) == record
    assert store.record(record.key) == record


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"\xff\xfe", b"[" * 100_000])
def test_a_record_that_is_no_record_is_refused(store: Store, content: bytes) -> None:
    record = publish(store)
    (store.root / "records" / f"{record.key}.json").write_bytes(content)
    with pytest.raises(IntegrityError, match="record of the store was changed"):
        store.record(record.key)


def test_a_record_under_another_key_is_refused(store: Store) -> None:
    record = publish(store)
    folder = store.root / "records"
    (folder / f"{record.key}.json").rename(folder / f"{'0' * 64}.json")
    with pytest.raises(IntegrityError):
        store.record("0" * 64)


def test_published_files_have_normal_modes_and_names_may_be_any_bytes(store: Store) -> None:
    built = store.root.parent / "built"
    built.mkdir(parents=True)
    odd = os.fsdecode(b"caf\xe9")
    (built / odd).write_text("x")
    (built / odd).chmod(0o600)
    record = store.publish({"component": "tool"}, built, {})
    tree = store.verified(record.output, what="tool")
    assert (tree / odd).stat().st_mode & 0o777 == 0o644


def test_publishers_in_threads_leave_one_record_and_whole_objects(store: Store) -> None:
    records: list[Record] = []

    def run(number: int) -> None:
        built = store.root.parent / f"built{number}"
        built.mkdir()
        (built / "x").write_text(f"{number % 2}")
        records.append(store.publish({"component": "tool"}, built, {}))

    store.root.mkdir(parents=True)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record.output for record in records}) == 1
    assert len(records) == 6
    for output in store.objects():
        store.verified(output, what="tool")


def kill_one_publisher(root: Path, run: int) -> None:
    """Publish in a child, kill it at a moment that differs each time, look at what it left."""
    store = Store(root / "store")
    command = [sys.executable, "-c", PUBLISHER, str(store.root), str(root / f"work{run}")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(run % 10 * 0.004)
    child.kill()
    child.wait()
    child.stdout.close()
    seen = 0
    for number in range(1000):
        document = {"component": "tool", "number": number}
        record = store.record(document_digest(document))
        if record is None:
            break
        seen += 1
        assert len(list(store.verified(record.output, what="tool").iterdir())) == 20
    assert seen >= 1
    for output in store.objects():
        store.verified(output, what="tool")


def test_a_killed_publisher_leaves_nothing_half_done(tmp_path: Path) -> None:
    for run in range(4):
        kill_one_publisher(tmp_path, run)


@pytest.mark.slow
def test_a_hundred_killed_publishers_leave_nothing_half_done(tmp_path: Path) -> None:
    for run in range(100):
        kill_one_publisher(tmp_path, run)


def test_a_lock_is_let_go_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom strixforge.store.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1]), print):\n    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    waited: list[bool] = []

    def waits() -> None:
        waited.append(True)
        child.kill()

    with exclusive(path, waits):
        assert waited == [True]
    child.wait()
    child.stdout.close()
    with exclusive(path, lambda: waited.append(False)):
        assert waited == [True]
