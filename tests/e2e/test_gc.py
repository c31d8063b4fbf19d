"""`doit gc`: what nothing needs goes, and nothing else."""

from tests.e2e.project import Project, poll


def objects(project: Project) -> set[str]:
    return {path.name for path in (project.store / "objects").iterdir()}


def records(project: Project) -> int:
    return len(list((project.store / "records").glob("*.json")))


def test_what_an_earlier_state_of_the_lock_made_goes(project: Project) -> None:
    project.add("lib")
    project.add("app", "cat {{ lib.prefix }}/hello.txt > {{ out }}/app", needs=["lib"])
    project.doit("build_app").check(0)
    old = objects(project)
    project.source("lib", "hello.txt").write_text("another\n")
    project.doit("build_app").check(0)
    assert len(objects(project)) == 4
    left = project.store / "staging" / "of-a-killed-run"
    left.mkdir(parents=True)
    project.doit("gc").check(0, "freed")
    assert not left.exists()
    assert objects(project) == {project.record(name)["output"] for name in ("lib", "app")}
    assert not objects(project) & old
    assert records(project) == 2
    project.check_store()
    project.doit("build_app").check(0, "up to date")
    project.doit("gc").check(0, "nothing to free")


def test_what_was_built_last_stays_though_the_lock_asks_for_something_else(
    project: Project,
) -> None:
    project.add("lib")
    project.doit("build_lib").check(0)
    kept = objects(project)
    project.source("lib", "hello.txt").write_text("not built yet\n")
    project.doit("gc").check(0)
    assert objects(project) == kept


def test_an_output_stays_while_another_record_leads_to_it(project: Project) -> None:
    project.add("lib", "echo same > {{ out }}/same")
    project.doit("build_lib").check(0)
    project.add("lib", "echo same   > {{ out }}/same")  # another recipe, the same bytes
    project.doit("build_lib").check(0)
    assert (len(objects(project)), records(project)) == (1, 2)
    project.doit("gc").check(0)
    assert (len(objects(project)), records(project)) == (1, 1)
    project.doit("build_lib").check(0, "up to date")


def test_it_waits_for_a_build(project: Project) -> None:
    project.add("slow", "touch {{ out }}/begun; sleep 3; echo done > {{ out }}/done")
    with project.started("build_slow") as run:
        poll(lambda: "building" in run.text, "the build at work")
        project.doit("gc").check(0, "another run builds; waiting")
        assert run.wait().code == 0
    assert len(objects(project)) == 1
    project.doit("build_slow").check(0, "up to date")


def test_damaged_artifacts_are_told_and_stay(project: Project) -> None:
    project.add("lib")
    project.doit("build_lib").check(0)
    (project.output("lib") / "hello.txt").chmod(0o644)
    (project.output("lib") / "hello.txt").write_text("changed")
    project.doit("verify")
    project.doit("gc").check(0, "of damaged artifacts are kept")
    assert list((project.store / "damaged").iterdir())
