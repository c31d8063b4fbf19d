"""The command at the end of a night: what it is told, and how it ends."""

import time
from pathlib import Path

import psutil

from strixforge.nightly.at_end import run_at_end


def test_it_runs_in_the_folder_and_is_told_what_was_said(tmp_path: Path) -> None:
    told = {"NIGHTLY_SAID": "promoted"}
    assert run_at_end('echo "$NIGHTLY_SAID" > said', tmp_path, told) is None
    assert (tmp_path / "said").read_text() == "promoted\n"


def test_its_failure_is_told(tmp_path: Path) -> None:
    assert run_at_end("exit 3", tmp_path, {}) == "ended with 3"


def test_what_takes_too_long_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    began = time.monotonic()
    assert run_at_end("sleep 62.5 & sleep 62.5", tmp_path, {}, 1) == "took more than 1 s"
    assert time.monotonic() - began < 10
    found = psutil.process_iter(["cmdline", "status"])
    alive = (one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE)
    assert [one.pid for one in alive if one.info["cmdline"] == ["sleep", "62.5"]] == []
