"""Patches are applied as they stand, or the build stops and says why."""

from tests.e2e.project import Project

HELLO = "--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-hello\n+good morning\n"
STALE = "--- a/hello.txt\n+++ b/hello.txt\n@@ -1 +1 @@\n-good evening\n+good night\n"
OUTSIDE = "--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"


def test_a_patch_is_applied_and_said(project: Project) -> None:
    project.add("patched")
    project.patch("patched", "0001-greet.patch", HELLO)
    project.doit("build_patched").check(0, "1 patch(es) applied")
    assert (project.output("patched") / "hello.txt").read_text() == "good morning\n"
    assert project.source("patched", "hello.txt").read_text() == "hello\n"


def test_a_patch_that_does_not_apply_stops_the_build(project: Project) -> None:
    project.add("moved_on")
    path = project.patch("moved_on", "0001-late.patch", STALE)
    text = project.doit("build_moved_on").check(17, "0001-late.patch does not apply to moved_on")
    assert str(path) in text
    assert "hello.txt:1" in text
    assert not list(project.store.glob("objects/*"))


def test_a_patch_without_effect_is_an_error(project: Project) -> None:
    project.add("has_it", files={"hello.txt": "good morning\n"})
    project.patch("has_it", "0001-greet.patch", HELLO)
    project.doit("build_has_it").check(17, "0001-greet.patch has no effect", "Applied-Upstream")


def test_a_patch_that_leaves_the_source_is_refused(project: Project) -> None:
    project.add("escaping")
    project.patch("escaping", "0001-out.patch", OUTSIDE)
    project.doit("build_escaping").check(17, "does not apply")
    assert not list(project.home.rglob("x"))


def test_a_patch_that_upstream_took_is_skipped_and_called_droppable(project: Project) -> None:
    project.add("newer", version="2.1.0")
    project.patch("newer", "0001-greet.patch", HELLO, "Applied-Upstream: 2.0.0\n")
    project.doit("plan").check(0, "0001-greet.patch (droppable: newer 2.0.0 has it")
    project.doit("build_newer").check(0)
    assert (project.output("newer") / "hello.txt").read_text() == "hello\n"


def test_a_patch_for_other_pins_is_skipped(project: Project) -> None:
    project.add("other")
    path = project.patch("other", "0001-greet.patch", HELLO)
    path.write_text(path.read_text().replace("Applies-To: other", "Applies-To: other>=3"))
    project.doit("plan", "--pins").check(0, "0001-greet.patch (for other pins: other>=3)")
    project.doit("build_other").check(0)
    assert (project.output("other") / "hello.txt").read_text() == "hello\n"


def test_a_patch_without_its_header_is_refused(project: Project) -> None:
    project.add("bare")
    path = project.patch("bare", "0001-greet.patch", HELLO)
    path.write_text(HELLO)
    project.doit("build_bare").check(10, "the header lacks Description", "0001-greet.patch")


def test_one_changed_byte_in_a_patch_is_refused_until_it_is_locked_again(project: Project) -> None:
    project.add("patched")
    path = project.patch("patched", "0001-greet.patch", HELLO)
    project.doit("build_patched").check(0)
    path.write_text(path.read_text().replace("a patch of the tests", "said in other words"))
    project.doit("build_patched").check(15, "patched/0001-greet.patch has changed", "git checkout")
    project.write()
    project.doit("build_patched").check(0, "up to date")  # the header is no part of the key
    path.write_text(path.read_text().replace("good morning", "good mornino"))
    project.doit("build_patched").check(15, "./doit lock")
    project.doit("prepare_patched").check(15, "patched/0001-greet.patch has changed")
    project.write()
    project.doit("explain").check(0, "will be built again", "the patches")
    project.doit("build_patched").check(0, "done in")
    assert (project.output("patched") / "hello.txt").read_text() == "good mornino\n"


def test_the_users_git_settings_do_not_reach_a_patch(project: Project) -> None:
    project.add("patched")
    project.patch("patched", "0001-greet.patch", HELLO)
    # A git hook that starts a build has such variables.
    hostile = {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}
    project.doit("prepare_patched", env=hostile).check(0)
    prepared = project.home / "build" / "work" / "tiny" / "patched.prepared" / "src" / "hello.txt"
    assert prepared.read_text() == "good morning\n"
    project.doit("build_patched", env=hostile).check(0)
