"""What is built stays as it was built, and is built again only where something changed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.project import Project, poll

C_SOURCE = "int answer(void) { return 42; } /* a comment */\n"


@pytest.fixture(scope="session")
def built_chain(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Project:
    """Return a built project in which top needs middle, and middle needs base."""
    project = Project(tmp_path_factory.mktemp("chain") / "project")
    shutil.copytree(warm_cache / "host", project.cache / "host")
    project.add(
        "base",
        "cc -c -o {{ build }}/a.o a.c",
        "cc -shared -o {{ out }}/liba.so {{ build }}/a.o",
        files={"a.c": C_SOURCE},
    )
    project.add("middle", "cp {{ base.prefix }}/liba.so {{ out }}/libb.so", needs=["base"])
    project.add("top", "cp {{ middle.prefix }}/libb.so {{ out }}/libc.so", needs=["middle"])
    project.doit("build_top").check(0)
    return project


@pytest.fixture
def chain(built_chain: Project, tmp_path: Path) -> Project:
    """Return a copy of that project."""
    shutil.copytree(built_chain.home, tmp_path / "chain", symlinks=True)
    copy = Project(tmp_path / "chain")
    copy.marker = built_chain.marker  # it is in the recipes
    copy.components = {name: replace(one) for name, one in built_chain.components.items()}
    return copy


def built(text: str) -> set[str]:
    """Return the components that a run built, from what it said."""
    return {line.split()[0] for line in text.splitlines() if " done in " in line}


def test_nothing_changed_nothing_built(chain: Project) -> None:
    text = chain.doit("build_top").check(0)
    assert text.count("up to date") == 3
    assert not built(text)


def test_a_comment_in_a_recipe_rebuilds_nothing(chain: Project) -> None:
    chain.components["base"].head = "# A new comment.\n"
    chain.write()
    assert not built(chain.doit("build_top").check(0))
    chain.doit("explain").check(0, "unchanged")


def test_a_changed_step_rebuilds_its_component_and_says_so(chain: Project) -> None:
    chain.components["top"].steps = ("cp {{ middle.prefix }}/libb.so {{ out }}/libd.so",)
    chain.write()
    chain.doit("explain").check(0, "will be built again", "the recipe: steps", "libd.so")
    assert built(chain.doit("build_top").check(0)) == {"top"}


def test_a_changed_line_rebuilds_what_stands_above_it(chain: Project) -> None:
    chain.source("base", "a.c").write_text(C_SOURCE.replace("42", "43"))
    text = chain.doit("explain").check(0, "will be built again", "the source changed")
    assert "known after base" in text
    assert built(chain.doit("build_top").check(0)) == {"base", "middle", "top"}


def test_a_change_that_does_not_reach_the_output_stops_there(chain: Project) -> None:
    chain.source("base", "a.c").write_text(C_SOURCE.replace("a comment", "another comment"))
    before = chain.record("base")
    assert built(chain.doit("build_top").check(0)) == {"base"}
    assert chain.record("base")["key"] != before["key"]
    assert chain.record("base")["output"] == before["output"]


def test_going_back_restores_instead_of_building(chain: Project) -> None:
    chain.source("base", "a.c").write_text(C_SOURCE.replace("42", "43"))
    chain.doit("build_top").check(0)
    chain.source("base", "a.c").write_text(C_SOURCE)
    chain.doit("plan").check(0, "in the store, to restore")
    text = chain.doit("build_top").check(0, "restored from the store")
    assert not built(text)


def test_another_clone_with_the_same_store_builds_nothing(chain: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "clone")
    other.marker = chain.marker  # it is in the recipes
    for component in chain.components.values():
        other.components[component.name] = component
    other.write()
    done = other.doit(f"store={chain.store}", f"cache={chain.cache}", "build_top")
    assert not built(done.check(0, "restored from the store"))
    assert other.record("top") == chain.record("top")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_one_changed_byte_in_an_artifact_is_found_set_aside_and_made_again(chain: Project) -> None:
    good = chain.record("middle")
    library = chain.output("middle") / "libb.so"
    flip(library)
    chain.components["top"].steps = ("cp {{ middle.prefix }}/libb.so {{ out }}/libd.so",)
    chain.write()
    text = chain.doit("build_top").check(
        15, "the stored artifact of middle", "libb.so has changed", "./doit verify"
    )
    assert str(library.parent) in text
    text = chain.doit("verify").check(15, "set aside")
    assert library.name in text
    assert not library.exists()
    assert built(chain.doit("build_top").check(0)) == {"middle", "top"}
    assert chain.record("middle")["output"] == good["output"]
    chain.check_store()


def test_no_shell_opens_over_a_damaged_artifact(chain: Project) -> None:
    flip(chain.output("base") / "liba.so")
    chain.doit("shell_middle").check(15, "the stored artifact of base", "./doit verify")


def test_a_damaged_manifest_is_a_sentence_and_verify_mends_it(chain: Project) -> None:
    flip(chain.output("base").parent / "manifest.json")
    chain.components["middle"].steps = ("cp {{ base.prefix }}/liba.so {{ out }}/libb.so", "true")
    chain.write()
    chain.doit("build_top").check(15, "the stored artifact of base", "manifest", "./doit verify")
    chain.doit("verify").check(15, "set aside")
    chain.doit("build_top").check(0)


def test_a_damaged_record_is_a_sentence_and_its_advice_mends_it(chain: Project) -> None:
    flip(chain.store / "records" / f"{chain.record('base')['key']}.json")
    text = chain.doit("build_top").check(15, "a record of the store was changed")
    command = text.split("next:", 1)[1].splitlines()[0].split("    ")[0]
    chain.run(["sh", "-c", command]).check(0)
    chain.doit("build_top").check(0)


def test_verify_removes_a_record_whose_seal_is_broken(chain: Project) -> None:
    path = chain.store / "records" / f"{chain.record('base')['key']}.json"
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1'))
    chain.doit("verify").check(15, "a record of the store was changed")
    chain.doit("build_top").check(0)


def test_an_added_or_lost_file_is_found_too(chain: Project) -> None:
    (chain.output("base") / "extra").write_text("not built\n")
    chain.output("middle").joinpath("libb.so").unlink()
    text = chain.doit("verify").check(15)
    assert text.count("set aside") == 2
    assert "extra is new" in text
    assert "libb.so is gone" in text


@pytest.mark.slow
def test_leftovers_of_a_killed_run_are_never_artifacts(chain: Project) -> None:
    staged = chain.store / "staging" / "0123" / "tree"
    staged.mkdir(parents=True)
    (staged / "liba.so").write_text("half of it")
    (chain.store / "records" / "tmpabc.tmp").write_text("{")
    work = chain.home / "build" / "work" / "tiny" / "base" / "out"
    work.mkdir(parents=True)
    (work / "stale.so").write_text("of the run before")
    chain.source("base", "a.c").write_text(C_SOURCE.replace("42", "43"))
    chain.doit("build_top").check(0)
    assert [path.name for path in chain.output("base").iterdir()] == ["liba.so"]
    chain.check_store()


def test_an_output_that_differs_at_each_build_is_kept_as_it_was_first(project: Project) -> None:
    step = "cat /proc/sys/kernel/random/uuid > {{ out }}/random"
    project.add("unstable", step)
    project.doit("build_unstable").check(0)
    first = (project.output("unstable") / "random").read_text()
    project.doit("build_unstable").check(0, "up to date")
    (project.home / "build" / "state" / "tiny" / "unstable.json").unlink()
    project.doit("build_unstable").check(0, "restored from the store")
    assert (project.output("unstable") / "random").read_text() == first


def test_two_runs_at_once_build_a_component_once(project: Project) -> None:
    project.add("slow", "sleep 2", "cp -r . {{ out }}")
    project.add("above", needs=["slow"])
    with project.started("build_above") as first:
        poll(lambda: "== step 1" in project.log("slow"), "the first run builds")
        with project.started("build_above") as second:
            texts = [run.wait().check(0) for run in (first, second)]
    assert "another run is building it" in texts[1]
    assert sorted(built(texts[0]) | built(texts[1])) == ["above", "slow"]
    assert "slow" not in built(texts[1])
    assert "restored from the store" in texts[1]


@pytest.mark.slow
def test_two_runs_of_different_components_do_not_wait_for_each_other_in_vain(
    project: Project,
) -> None:
    project.add("one", "sleep 1", "cp -r . {{ out }}")
    project.add("two", "sleep 1", "cp -r . {{ out }}/")
    with project.started("build_one") as first, project.started("build_two") as second:
        assert [built(run.wait().check(0)) for run in (first, second)] == [{"one"}, {"two"}]
