"""A folder as a list of entries and one digest."""

import os
from pathlib import Path

import pytest

from strixforge.model.digests import canonical
from strixforge.model.errors import GateError
from strixforge.store.tree import first_difference, normalise, scan, tree_digest


def make(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "bin/run").write_text("#!/bin/sh\n")
    (root / "bin/run").chmod(0o755)
    (root / "data").write_text("data")
    (root / "link").symlink_to("bin")
    (root / "dangling").symlink_to("/nowhere")
    return root


def digest(root: Path) -> str:
    return tree_digest(scan(root))


def test_every_entry_is_listed_in_order(tmp_path: Path) -> None:
    found = scan(make(tmp_path / "a"))
    assert [(entry["path"], entry["type"]) for entry in found] == [
        ("bin/run", "file"),
        ("dangling", "link"),
        ("data", "file"),
        ("empty", "folder"),
        ("link", "link"),
    ]
    assert (found[0]["executable"], found[2]["executable"]) == (True, False)


def test_times_umask_and_owner_bits_leave_no_trace(tmp_path: Path) -> None:
    one, other = make(tmp_path / "a"), make(tmp_path / "b")
    (other / "data").chmod(0o600)
    (other / "bin/run").chmod(0o700)
    os.utime(other / "data", (1, 1))
    assert digest(one) == digest(other)
    normalise(other)
    assert (other / "data").stat().st_mode & 0o777 == 0o644
    assert (other / "bin/run").stat().st_mode & 0o777 == 0o755
    assert digest(one) == digest(other)


def test_each_kind_of_change_is_seen_and_named(tmp_path: Path) -> None:
    whole = scan(make(tmp_path / "whole"))
    for number, (name, sentence) in enumerate(
        [
            ("data", "data has changed: sha256"),
            ("bin/run", "bin/run has changed: sha256"),
            ("link", "link has changed: bin -> data."),
            ("empty", "empty is gone."),
            ("new", "new is new."),
        ]
    ):
        root = make(tmp_path / str(number))
        path = root / name
        if name == "data":
            path.write_text("dAta")
        elif name == "bin/run":
            path.chmod(0o644)
        elif name == "link":
            path.unlink()
            path.symlink_to("data")
        elif name == "empty":
            path.rmdir()
        else:
            path.touch()
        assert first_difference(whole, scan(root)).startswith(sentence)
        assert digest(root) != tree_digest(whole)


def test_a_pipe_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(make(tmp_path / "a") / "pipe")
    with pytest.raises(GateError, match="pipe is neither"):
        scan(tmp_path / "a")


def test_names_that_are_no_utf_8_have_digests_too(tmp_path: Path) -> None:
    root = make(tmp_path / "a")
    before = digest(root)
    Path(os.fsdecode(bytes(root) + b"/caf\xe9")).touch()
    assert digest(root) != before
    assert canonical(scan(root))
