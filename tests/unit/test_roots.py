"""What of a tree a sandbox shows as its root, and that a tree cannot be more than shown."""

import os
import subprocess
from pathlib import Path

import pytest

from strixforge.forge import roots, sandbox
from strixforge.model.errors import GateError

NEEDED = ("usr/bin/bash", "usr/bin/env", "usr/bin/python3", "usr/bin/sh")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    for name in (*NEEDED, "etc/python3/x", "opt/tool/y", "var/lib/z", "dev/null"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("")
    (made / "bin").symlink_to("usr/bin")
    return made


def test_a_tree_is_shown_without_what_the_sandbox_makes_itself(tree: Path) -> None:
    root = roots.tree(tree, None)
    assert root.binds == {
        "/etc/python3": tree / "etc/python3",
        "/opt/tool": tree / "opt/tool",
        "/usr": tree / "usr",
    }
    assert root.links == {"/bin": "usr/bin"}


def test_names_that_no_system_has_are_not_shown(tree: Path) -> None:
    for name in ("a b", "x;y", "new\nline", "-n", "$(id)", "é"):
        (tree / name).symlink_to("usr")
    assert roots.tree(tree, "3.13").links == {"/bin": "usr/bin"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_tree_in_which_no_step_could_run_is_refused(tree: Path, name: str) -> None:
    roots.check_tree(tree, "trixie", Path("recipes/trixie.toml"))
    (tree / name).unlink()
    with pytest.raises(GateError, match=f"the root trixie lacks {name}"):
        roots.check_tree(tree, "trixie", Path("recipes/trixie.toml"))


def test_a_tree_that_has_what_is_the_sandboxs_own_is_refused(tree: Path) -> None:
    (tree / "strixforge").mkdir()
    with pytest.raises(GateError, match="has strixforge"):
        roots.check_tree(tree, "trixie", Path("recipes/trixie.toml"))


def test_no_name_of_a_root_is_read_as_a_command(tmp_path: Path) -> None:
    """The mounts of one kind of sandbox are a shell's; this is run for real, up to its end."""
    proof = tmp_path / "proof"
    host = roots.host()
    root = roots.Root(
        binds=host.binds,
        links={**host.links, "/x;touch proof;true ": "a;touch proof", "/y\nz": "q' $(id)"},
        python=host.python,
        hides_local=host.hides_local,
    )
    (tmp_path / "work").mkdir()
    sandbox.etc_files(tmp_path / "etc")
    (tmp_path / "plan.json").write_text(
        '{"cwd": "/", "steps": [["ls", "-1Q", "/"]], "names": ["ls"], "interactive": false}'
    )
    view = sandbox.View(
        root=root,
        writable={},
        readonly={"/strixforge/plan.json": tmp_path / "plan.json"},
        etc=tmp_path / "etc",
        environment=sandbox.base_environment(0, 1),
    )
    reading, writing = os.pipe()
    done = subprocess.run(
        sandbox.command("unshare", view, tmp_path / "work", writing),
        pass_fds=[writing],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 0, done.stderr
    assert r'"y\nz"' in done.stdout  # the link is there, under its own name
    assert not proof.exists()
