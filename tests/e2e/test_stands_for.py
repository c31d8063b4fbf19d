"""A source that stands for a component until that is built; files that must be a need's own."""

from tests.e2e.project import Done, Project


def test_it_is_used_until_the_component_is_built(project: Project) -> None:
    project.add("real", "echo real > {{ out }}/what")
    project.add(
        "headers",
        output="source",
        is_built=False,
        files={"what": "stand-in\n"},
        head="stands_for = 'real'\n",
    )
    project.add("kit", "cp {{ headers.prefix }}/what {{ out }}/what", needs=["headers"])
    project.doit("build_kit").check(0)
    assert (project.output("kit") / "what").read_text() == "stand-in\n"
    project.doit("build_real").check(0)
    project.doit("explain").check(0, "what it needs: headers changed")
    project.doit("build_kit").check(0)
    assert (project.output("kit") / "what").read_text() == "real\n"


def test_a_file_that_must_be_a_needs_own_is_compared_byte_by_byte(project: Project) -> None:
    project.add("library", "echo ours > {{ out }}/lib.so")

    def build(step: str) -> Done:
        project.add("user", f"{step} {{{{ out }}}}/lib.so", needs=["library"])
        recipe = project.home / "recipes" / "user.toml"
        recipe.write_text(recipe.read_text() + "same = { 'lib.so' = 'library/lib.so' }\n")
        return project.doit("build_user")

    build("cp {{ library.prefix }}/lib.so").check(0)
    build("cp hello.txt").check(
        21, "lib.so of user is not the one that library built.", "A prebuilt one got in"
    )
