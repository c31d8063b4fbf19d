"""Every kind of bad input ends with its own exit code and one sentence that can be acted on."""

import subprocess
from pathlib import Path

import pytest

from strixforge.model import errors
from tests.e2e.project import Project


def test_every_error_class_has_an_exit_code_of_its_own() -> None:
    classes = errors.StrixforgeError.__subclasses__()
    assert len({one.exit_code for one in classes}) == len(classes) >= 14
    assert not {one.exit_code for one in classes} & {0, 1, 2, 3}  # doit's own


def test_an_unknown_stack_is_answered_with_the_nearest_one(project: Project) -> None:
    project.add("working")
    project.doit("stack=tinny", "build_working").check(11, "no stack 'tinny'", "'tiny'?")


@pytest.mark.parametrize("word", ["stak=tiny", "jbos=2", "workin=1.0.0"])
def test_an_unknown_variable_is_answered_with_the_nearest_one(project: Project, word: str) -> None:
    project.add("working")
    text = project.doit(word, "build_working").check(11, "command line", "Did you mean '")
    assert f"no variable '{word.partition('=')[0]}'" in text
    assert not project.files()


def test_an_unknown_variable_in_the_environment_is_named_as_it_stands_there(
    project: Project,
) -> None:
    project.add("working")
    done = project.doit("build_working", env={"STRIXFORGE_STROE": "/nowhere"})
    done.check(11, "no variable 'STRIXFORGE_STROE'", "environment", "Did you mean 'store'?")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("arch=gfx", "'gfx' is not a GPU target"),
        ("jobs=many", "'many' is not a number of jobs"),
        ("jobs=0", "'0' is not a number of jobs"),
        ("sandbox=chroot", "no sandbox 'chroot'"),
        ("working=2.0.0", "no pin of working 2.0.0"),
    ],
)
def test_a_variable_with_a_bad_value_is_refused(project: Project, word: str, sentence: str) -> None:
    project.add("working")
    project.doit(word, "build_working").check(11, sentence)


def test_the_command_line_is_heard_before_the_environment(project: Project) -> None:
    project.add("working")
    project.doit("build_working", env={"STRIXFORGE_STACK": "tinny"}).check(0)


def test_an_unknown_task_is_told_the_nearest(project: Project) -> None:
    project.add("working")
    project.doit("build_wroking").check(11, "no task 'build_wroking'", "mean 'build_working'?")
    project.doit("build_working", "shel_working").check(11, "mean 'shell_working'?")
    assert not list(project.store.glob("objects/*"))


def test_a_task_of_another_stack_is_told_with_that(project: Project) -> None:
    project.add("working")
    with (project.home / "toolchain.lock").open("a") as file:
        file.write('[stack.other]\nsummary = "s"\n[[stack.other.pin]]\ncomponent = "far"\n')
        file.write('version = "1"\nsource = "local"\npath = "examples/far"\nepoch = 1600000000\n')
    done = project.doit("build_far")
    done.check(11, "no task 'build_far'")
    assert "./doit stack=other build_far" in done.text


def test_what_only_doit_can_read_keeps_its_exit_code(project: Project) -> None:
    project.add("working")
    project.doit("-n", "2", "build_wroking").check(3, "build_wroking")
    project.doit("list").check(0, "build_working")
    project.doit("build_work*").check(0)


@pytest.mark.parametrize("name", ["toolchain.lock", "policy.toml", "recipes/working.toml"])
def test_broken_toml_is_named_with_file_and_line(project: Project, name: str) -> None:
    project.add("working")
    path = project.home / name
    path.write_text("ok = 1\nthis is not TOML\n")
    project.doit("build_working").check(10, f"{path.name} is not TOML", "line 2", str(path))


@pytest.mark.parametrize("name", ["toolchain.lock", "policy.toml", "recipes/working.toml"])
def test_bytes_that_are_no_text_are_no_traceback(project: Project, name: str) -> None:
    project.add("working")
    (project.home / name).write_bytes(b"\xff\xfe\x00")
    project.doit("build_working").check(10)


def test_an_unknown_recipe_key_is_answered_with_the_nearest_one(project: Project) -> None:
    project.add("working", head='licence = "MIT"\n')
    text = project.doit("build_working").check(10, "unknown key 'licence'", "'license'?")
    assert str(project.home / "recipes/working.toml") in text


@pytest.mark.parametrize(
    "step", ["cp x {{ outt }}", "cp {{ other.prefix }}/x {{ out }}", "cp {{ out", "{{ 1 / 0 }}"]
)
def test_a_template_that_names_an_unknown_thing_is_refused(project: Project, step: str) -> None:
    project.add("working", step)
    project.doit("build_working").check(10, "a template cannot be filled in", "build.steps[0]")


def test_a_need_that_is_not_pinned_is_named(project: Project) -> None:
    project.add("working", needs=["wroking"])
    project.doit("build_working").check(10, "needs 'wroking'", "Did you mean 'working'?")


def test_needs_in_a_circle_are_shown(project: Project) -> None:
    project.add("one", needs=["two"])
    project.add("two", needs=["one"])
    project.doit("build_one").check(10, "in a circle")


def test_a_pin_without_a_hash_is_refused_before_anything_is_fetched(project: Project) -> None:
    pin = {"source": "archive", "url": "http://127.0.0.1:9/x.tar.gz"}
    project.add("unpinned", pin=pin)
    project.doit("build_unpinned").check(13, "unpinned 1.0.0 has no sha256")
    assert not project.files()


def test_python_requirements_without_hashes_are_refused(project: Project) -> None:
    project.add("unlocked")
    recipe = project.home / "recipes" / "unlocked.toml"
    recipe.write_text(recipe.read_text().replace("[build]\n", '[build]\npython = ["cmake"]\n'))
    project.doit("build_unlocked").check(13, "not locked", "./doit lock")
    lock = project.home / "locks" / "tiny" / "unlocked.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("cmake==4.0.0\n")
    project.doit("build_unlocked").check(13, "'cmake==4.0.0' is not pinned by version and sha256")


def test_a_local_source_that_git_does_not_know_is_refused(project: Project) -> None:
    project.add("untracked", pin={"source": "local", "path": "loose"})
    (project.home / "loose").mkdir()
    (project.home / "loose" / "file.txt").write_text("not in git\n")
    project.doit("build_untracked").check(10, "git tracks no file in 'loose'", "git add 'loose'")


def test_a_local_source_outside_of_the_repository_is_refused(project: Project) -> None:
    project.add("outside", pin={"source": "local", "path": "../../etc"})
    project.doit("build_outside").check(10, "lies outside this repository")


def test_a_store_that_cannot_be_made_is_a_sentence(project: Project, tmp_path: Path) -> None:
    project.add("working")
    (tmp_path / "file").write_text("in the way\n")
    text = project.doit(f"store={tmp_path}/file/store", "build_working").check(22, "Host: ")
    assert str(tmp_path / "file") in text


def test_without_a_tool_for_it_there_is_no_sandbox_and_no_build(project: Project) -> None:
    project.add("working")
    for kind in ("bwrap", "unshare"):
        done = project.doit(
            f"sandbox={kind}", "build_working", env={"PATH": str(_git_alone(project))}
        )
        done.check(18, "no sandbox can be made here", f"{kind}: not installed")


def _git_alone(project: Project) -> Path:
    """Return a folder for PATH in which there is git and nothing else."""
    folder = project.home / "bin"
    folder.mkdir(exist_ok=True)
    if not (folder / "git").exists():
        (folder / "git").symlink_to("/usr/bin/git")
    return folder


def test_a_task_named_twice_is_refused_not_half_obeyed(project: Project) -> None:
    project.add("one")
    project.add("two")
    project.doit("build_one", "build_one", "build_two").check(11, "'build_one' is named twice")
    assert not project.store.exists()


def test_a_relative_folder_is_taken_from_where_the_user_stands(
    project: Project, tmp_path: Path
) -> None:
    project.add("one")
    here = tmp_path / "here"
    here.mkdir()
    command = project.command("store=mine", "build_one")
    done = subprocess.run(command, cwd=here, env=project.environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (here / "mine" / "objects").is_dir()
