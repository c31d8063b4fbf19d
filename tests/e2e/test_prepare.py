"""prepare_<component>: patches, steps that make a source ready, checks; another source tried."""

import io
import tarfile
from pathlib import Path

import pytest

from tests.e2e.project import Project

DIFF = "--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-hello\n+patched\n"
CHECK = 'source = [{{ file = "{file}", {what}, why = "it would be built for another GPU" }}]\n'


def more(project: Project, name: str, build: str = "", check: str = "") -> None:
    """Add keys to the tables of a recipe; the last thing that a test does to a project."""
    recipe = project.home / "recipes" / f"{name}.toml"
    text = recipe.read_text().replace("[build]\n", f"[build]\n{build}", 1)
    recipe.write_text(text.replace("[check]\n", f"[check]\n{check}", 1))


def checked(file: str, what: str) -> str:
    return CHECK.format(file=file, what=what)


def prepared(project: Project, name: str = "tool") -> Path:
    return project.home / "build" / "work" / "tiny" / f"{name}.prepared" / "src"


@pytest.fixture
def tool(project: Project) -> Project:
    """Return a project with a component, and a patch of its one file."""
    project.add("tool")
    project.patch("tool", "0001-patched.patch", DIFF)
    return project


def test_a_source_is_unpacked_patched_and_checked(tool: Project) -> None:
    more(tool, "tool", check=checked("hello.txt", 'has = "^patched$"'))
    tool.doit("prepare_tool").check(
        0, "applied 0001-patched.patch", "1 check(s) of the source hold", str(prepared(tool))
    )
    assert (prepared(tool) / "hello.txt").read_text() == "patched\n"
    assert not tool.log("tool")


def test_steps_make_it_ready_before_it_is_checked(tool: Project) -> None:
    more(
        tool,
        "tool",
        build='prepare = ["sed s/patched/ready/ hello.txt > ready.txt", "touch 2"]\n',
        check=checked("ready.txt", 'has = "^ready$"'),
    )
    tool.doit("prepare_tool").check(0, "made ready by 2 step(s)", "1 check(s) of the source hold")
    assert (prepared(tool) / "2").exists()
    tool.doit("build_tool").check(0)
    assert (tool.output("tool") / "ready.txt").read_text() == "ready\n"


def test_steps_that_make_it_ready_see_no_needs_and_later_ones_do(project: Project) -> None:
    project.add("kit")
    project.add("tool", "cp {{ kit.prefix }}/hello.txt {{ out }}", needs=["kit"])
    more(project, "tool", build='prepare = ["test ! -e /strixforge/deps/kit"]\n')
    project.doit("prepare_tool").check(0)
    assert not project.log("kit")
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "hello.txt").exists()


def test_a_step_that_fails_to_make_it_ready(tool: Project) -> None:
    more(tool, "tool", build='prepare = ["echo no hipify here; exit 3"]\n')
    for task in ("prepare_tool", "build_tool"):
        tool.doit(task).check(19, "no hipify here")


def test_a_check_that_does_not_hold_stops_before_any_step(tool: Project) -> None:
    more(
        tool,
        "tool",
        build='configure = ["touch {{ build }}/begun"]\n',
        check=checked("hello.txt", 'has = "{{ arch }}"'),
    )
    for task in ("prepare_tool", "build_tool"):
        tool.doit(task).check(
            24,
            "the source of tool is not what its recipe expects",
            "hello.txt: 'gfx1151' is not in it.",
            "because it would be built for another GPU",
        )
    assert not list(tool.home.glob("build/work/**/begun"))


def test_a_check_belongs_to_the_key(tool: Project) -> None:
    tool.doit("build_tool").check(0)
    more(tool, "tool", check=checked("hello.txt", 'lacks = "patched"'))
    tool.doit("build_tool").check(24, "'patched' is in it.")


def folder(project: Project, text: str) -> Path:
    other = project.home / "other"
    other.mkdir()
    (other / "hello.txt").write_text(text)
    return other


def test_another_folder_that_fits(tool: Project) -> None:
    more(tool, "tool", check=checked("hello.txt", 'has = "patched"'))
    other = folder(tool, "hello\n")
    tool.doit(f"source={other}", "prepare_tool").check(
        0, "applied 0001-patched.patch", "holds: hello.txt has patched"
    )
    assert (prepared(tool) / "hello.txt").read_text() == "patched\n"
    assert (other / "hello.txt").read_text() == "hello\n"


def test_each_patch_and_check_that_does_not_fit_is_told(tool: Project) -> None:
    tool.patch("tool", "0002-more.patch", DIFF.replace("hello.txt", "more.txt"))
    more(tool, "tool", check=checked("hello.txt", 'has = "patched"'))
    other = folder(tool, "news\n")
    (other / "more.txt").write_text("hello\n")
    tool.doit(f"source={other}", "prepare_tool").check(
        24,
        "0001-patched.patch does not apply to tool",
        "applied 0002-more.patch",
        "does not hold: hello.txt: 'patched' is not in it.",
        "2 of the patches and checks of tool do not fit this source",
        "They are for tool 1.0.0",
    )


def test_a_patch_that_the_other_source_has_already(tool: Project) -> None:
    other = folder(tool, "patched\n")
    tool.doit(f"source={other}", "prepare_tool").check(24, "0001-patched.patch has no effect")


@pytest.mark.parametrize("form", ["gz", "xz"])
def test_another_archive(tool: Project, form: str) -> None:
    path = tool.home / f"tool-2.0.tar.{form}"
    body = b"hello\n"
    with tarfile.open(path, f"w:{form}") as made:  # type: ignore[call-overload]
        info = tarfile.TarInfo("tool-2.0/hello.txt")
        info.size = len(body)
        made.addfile(info, io.BytesIO(body))
    tool.doit(f"source={path.name}", "prepare_tool").check(0, "applied 0001-patched.patch")
    assert (prepared(tool) / "hello.txt").read_text() == "patched\n"


def test_another_source_is_made_ready_too(tool: Project) -> None:
    more(
        tool,
        "tool",
        build='prepare = ["cp hello.txt ready.txt"]\n',
        check=checked("ready.txt", 'has = "patched"'),
    )
    tool.doit(f"source={folder(tool, 'hello' + chr(10))}", "prepare_tool").check(
        0, "made ready by 1 step(s)", "holds: ready.txt has patched"
    )


def test_builds_never_use_it(tool: Project) -> None:
    other = folder(tool, "hello\n")
    (other / "stranger.txt").write_text("x")
    tool.doit(f"source={other}", "prepare_tool", "build_tool").check(
        11, "source= is for prepare_<component> alone"
    )
    tool.doit("build_tool").check(0)
    assert not (tool.output("tool") / "stranger.txt").exists()


def test_the_pinned_source_need_not_be_there(project: Project) -> None:
    pin = {"source": "archive", "url": "http://127.0.0.1:9/x.tar.gz"}
    project.add("tool", pin=pin)
    project.doit(f"source={folder(project, 'hello')}", "prepare_tool").check(0)


def test_another_source_that_is_not_there(tool: Project) -> None:
    tool.doit("source=nothing", "prepare_tool").check(11, "nothing at that place", "source=")


def test_another_source_that_is_no_archive(tool: Project) -> None:
    (tool.home / "notes.txt").write_text("notes")
    tool.doit("source=notes.txt", "prepare_tool").check(16, "notes.txt cannot be unpacked")


def test_an_archive_that_would_write_elsewhere(tool: Project) -> None:
    path = tool.home / "evil.tar"
    with tarfile.open(path, "w") as made:
        made.addfile(tarfile.TarInfo("../../evil.txt"))
    tool.doit("source=evil.tar", "prepare_tool").check(16, "would write outside its folder")
    assert not list(tool.home.rglob("evil.txt"))


def test_a_folder_that_holds_the_projects_own_build(tool: Project) -> None:
    done = tool.doit("source=.", "prepare_tool")
    assert "RecursionError" not in done.text
    assert done.code in (0, 11, 24)
