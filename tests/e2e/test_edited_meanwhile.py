"""What is built from files that change meanwhile is not kept under the key of the old ones."""

from tests.e2e.project import Project, poll


def test_a_source_edited_while_it_is_built_is_not_published(project: Project) -> None:
    project.add("slow", "echo begun; sleep 2", "cp hello.txt {{ out }}/")
    with project.started("build_slow") as run:
        poll(lambda: "] begun" in project.log("slow"), "begun")
        project.source("slow", "hello.txt").write_text("edited\n")
        run.wait(20).check(15, "changed while it was built", "Give the same command again")
    project.doit("build_slow").check(0, "done in")
    assert (project.output("slow") / "hello.txt").read_text() == "edited\n"
