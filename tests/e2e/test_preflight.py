"""What a run looks at before its first long step: pins, memory, disk, programs, lost files."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.e2e.conftest import WHEEL
from tests.e2e.project import Project
from tests.unit.repository import Repository
from tests.unit.web import Reply, Server, closed_port

LOOPBACK = {"NO_PROXY": "127.0.0.1"}


def unpinned(url: str) -> dict[str, str]:
    return {"source": "archive", "url": url}


def nothing_was_run(project: Project) -> None:
    assert not list(project.logs.glob("*.log"))
    assert not (project.home / "build" / "state" / "tiny").exists()


def test_all_that_is_not_pinned_is_named_at_once(project: Project, tmp_path: Path) -> None:
    remote = Repository(tmp_path / "remote")
    remote.commit(a="a")
    project.add("first")
    project.add("open", pin=unpinned("http://127.0.0.1:9/x.tar.gz"))
    project.add("tag", pin={"source": "git", "url": remote.url, "ref": "main"})
    project.add("top", needs=["first", "open", "tag"])
    project.doit("build_top").check(
        13,
        "2 components are not pinned; nothing unpinned is built.",
        "open 1.0.0 has no sha256",
        "tag 1.0.0 has no commit",
        "./doit lock",
    )
    nothing_was_run(project)


def test_the_wheelhouse_looks_at_all_that_is_shipped(project: Project) -> None:
    project.add("first")
    project.add("open", pin=unpinned("http://127.0.0.1:9/x.tar.gz"))
    project.doit("wheelhouse").check(13, "open 1.0.0 has no sha256")
    nothing_was_run(project)


def test_what_is_not_asked_for_may_be_unpinned(project: Project) -> None:
    project.add("first")
    project.add("open", pin=unpinned("http://127.0.0.1:9/x.tar.gz"))
    project.doit("build_first").check(0)


def forecast(project: Project, **values: str) -> None:
    """Add a component that needs another, and a forecast of it."""
    project.add("first")
    table = ", ".join(f"{key} = {json.dumps(text)}" for key, text in values.items())
    head = f'forecast = {{ source = "a report", {table} }}\n'
    project.add("heavy", "touch {{ out }}/done", needs=["first"], head=head)


def test_more_memory_than_there_is_stops_before_the_first_step(project: Project) -> None:
    forecast(project, memory="900 TiB")
    project.doit("build_heavy").check(
        22, "heavy cannot be built with", "heavy: more than 900 TiB, a report", "tries it all"
    )
    nothing_was_run(project)


def test_unchecked_goes_on_all_the_same(project: Project) -> None:
    forecast(project, memory="900 TiB", disk="900 TiB")
    project.doit("fit=unchecked", "build_heavy").check(0)
    project.doit("build_heavy").check(0)  # it is there, so nothing is asked


def test_more_disk_than_there_is(project: Project) -> None:
    forecast(project, disk="900 TiB")
    project.doit("build_heavy").check(22, "needs 900 TiB or more", "heavy 900 TiB")
    nothing_was_run(project)


def test_a_forecast_that_fits_says_nothing(project: Project) -> None:
    forecast(project, memory="1 KiB", disk="1 KiB", time="1 s")
    project.doit("build_heavy").check(0)


@pytest.mark.parametrize("word", ["fit=maybe", "fit=1"])
def test_another_word_for_fit_is_refused(project: Project, word: str) -> None:
    forecast(project, memory="900 TiB")
    project.doit(word, "build_heavy").check(11, "there is no fit", "checked or unchecked")


def test_a_program_that_the_host_does_not_have(project: Project) -> None:
    project.add("first")
    head = 'host = ["sh", "no-such-program", "nor-this"]\n'
    project.add("tool", needs=["first"], head=head)
    project.doit("build_tool").check(
        22,
        "programs that are not there: no-such-program, nor-this.",
        "no-such-program: recipe of tool",
        "Install no-such-program, nor-this",
    )
    nothing_was_run(project)


def test_programs_that_are_there(project: Project) -> None:
    project.add("tool", head='host = ["sh", "env"]\n')
    project.doit("build_tool").check(0)


def test_a_program_of_the_users_own_folder_does_not_count(project: Project, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "my-own-program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    project.add("tool", head='host = ["my-own-program"]\n')
    path = f"{program.parent}:/usr/bin:/bin"
    project.doit("build_tool", env={"PATH": path}).check(22, "not there: my-own-program")


def lost(project: Project, pin: dict[str, str]) -> None:
    """Add a component whose source is lost, and one that is built before it."""
    project.add("first", "touch {{ out }}/done")
    project.add("second", needs=["first"], pin=pin)


def test_an_archive_that_is_gone_stops_before_any_step(project: Project, web: Server) -> None:
    lost(project, {**unpinned(f"{web.url}/gone.tar.gz"), "sha256": "0" * 64})
    project.doit("build_second", env=LOOPBACK).check(14, "second 1.0.0", "gone.tar.gz")
    nothing_was_run(project)


def test_other_bytes_stop_before_any_step(project: Project, web: Server) -> None:
    url = web.add("/a.tar.gz", Reply(b"other"))
    lost(project, {**unpinned(url), "sha256": hashlib.sha256(b"own").hexdigest()})
    project.doit("build_second", env=LOOPBACK).check(15, "a.tar.gz")
    nothing_was_run(project)


def test_a_host_that_is_down_stops_the_wheelhouse_before_any_step(project: Project) -> None:
    url = f"http://127.0.0.1:{closed_port()}/a.tar.gz"
    lost(project, {**unpinned(url), "sha256": "0" * 64})
    project.doit("lock").check(0)
    project.doit("wheelhouse", env=LOOPBACK).check(14, "second 1.0.0")
    nothing_was_run(project)


def test_an_index_that_lost_a_file_stops_before_any_step(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    lost(project, {"source": "index", "name": "pip", "sha256": "0" * 64})
    project.doit("build_second", env=index).check(14, "pip 1.0.0")
    nothing_was_run(project)
    assert not [path for path, _ in web.asked if path.endswith(".whl")]


def test_a_build_requirement_that_was_lost_stops_before_any_step(
    project: Project, web: Server, index: dict[str, str]
) -> None:
    project.add("first", "touch {{ out }}/done")
    project.add("second", needs=["first"])
    recipe = project.home / "recipes" / "second.toml"
    recipe.write_text(recipe.read_text().replace("[build]\n", '[build]\npython = ["pip"]\n'))
    project.doit("lock", env=index).check(0)
    web.add(f"/{WHEEL}", Reply(b"", 404))
    project.doit("build_second", env=index).check(14, WHEEL)
    nothing_was_run(project)


def test_what_is_built_already_needs_no_source_any_more(project: Project, web: Server) -> None:
    project.add("first")
    project.doit("build_first").check(0)
    lost(project, {**unpinned(f"{web.url}/gone.tar.gz"), "sha256": "0" * 64})
    project.doit("build_first").check(0)


def test_a_shell_builds_nothing_that_cannot_be_finished(project: Project) -> None:
    project.add("first")
    project.add("open", pin=unpinned("http://127.0.0.1:9/x.tar.gz"))
    project.add("top", needs=["first", "open"])
    project.doit("shell_top").check(13, "open 1.0.0 has no sha256")
    nothing_was_run(project)


def test_the_hint_of_one_tag_is_to_lock_it(project: Project) -> None:
    project.add("tag", pin={"source": "git", "url": "file:///nowhere", "ref": "main"})
    project.doit("build_tag").check(13, "tag 1.0.0 has no commit", "./doit lock")
