"""A build that fails ends in one block that says what, where, why, and what to type next."""

import re

import pytest

from tests.e2e.project import Project, poll

LINE = re.compile(r"\[ *\d+\.\d\d\] ")


def test_the_log_has_every_line_with_the_elapsed_seconds(project: Project) -> None:
    project.add(
        "talking",
        "echo one; echo two >&2; printf 'no newline'",
        "for i in $(seq 2000); do echo line $i; done; sleep 0.3",
        "head -c 200000 /dev/zero | tr '\\0' x; echo",
        r"printf '10%%\r50%%\r100%%\n\033[31mred\033[0m\n\377 not UTF-8\n'; cp -r . {{ out }}",
    )
    project.doit("build_talking").check(0)
    path = project.logs / "talking.log"
    lines = path.read_bytes().decode(errors="replace").splitlines()
    assert all(LINE.match(line) for line in lines)
    texts = [LINE.sub("", line) for line in lines]
    assert texts[1:4] == ["one", "two", "no newline"]
    assert [text for text in texts if text.startswith("line ")] == [
        f"line {i}" for i in range(1, 2001)
    ]
    assert "x" * 200000 in texts
    assert texts[-3:] == ["100%", "red", "\ufffd not UTF-8"]
    seconds = [float(line[1:9]) for line in lines]
    assert seconds == sorted(seconds)
    assert 0.3 <= seconds[-1] < 30
    headers = [text for text in texts if text.startswith("== ")]
    assert [text.split(":")[0] for text in headers] == [f"== step {n} of 4" for n in range(1, 5)]


def test_the_log_is_written_while_the_step_runs(project: Project) -> None:
    project.add("slow", "echo begun; sleep 60")
    with project.started("build_slow") as run:
        poll(lambda: "begun" in project.log("slow"), "in the log")
        assert run.process.poll() is None


def test_a_failing_step_is_shown_with_all_that_helps(project: Project) -> None:
    project.add("fine")
    project.add(
        "failing",
        "echo 'a.c:1:2: error: of a step that ended well' >&2",
        "echo compiling b.c; echo 'b.c:7:1: error: expected expression' >&2; echo more; exit 3",
        "echo never",
    )
    text = project.doit("build_fine", "build_failing").check(
        19,
        "Build failed: failing failed with exit code 3.",
        "failing, step 2 of 3: echo compiling b.c",
        "b.c:7:1: error: expected expression",
        f"log: {project.logs / 'failing.log'}",
    )
    assert re.search(r"next: +\./doit stack=tiny .*shell_failing\b", text)
    block = text[text.index("Build failed:") :]
    assert "of a step that ended well" not in block
    assert text.count("Build failed:") == 1
    assert "never" not in project.log("failing")
    project.doit("build_fine").check(0, "up to date")


def test_the_reason_below_a_line_of_cmake_is_shown(project: Project) -> None:
    lines = ["CMake Error at CMakeLists.txt:34 (message):", "  no gfx1151 here", "", "Call Stack:"]
    project.add("failing", "; ".join(f"echo '{line}' >&2" for line in lines) + "; exit 1")
    text = project.doit("build_failing").check(19, lines[0], "  no gfx1151 here")
    block = text[text.index("log: ", text.index("Build failed")) :]
    assert "Call Stack" not in block


def test_the_components_above_a_failure_are_named(project: Project) -> None:
    project.add("failing", "exit 3")
    project.add("above", needs=["failing"])
    done = project.doit("build_above")
    done.check(19, "failing failed with exit code 3", "not done", "above")


@pytest.mark.parametrize(
    ("signal", "name"),
    [
        ("KILL", "signal 9"),
        ("SEGV", "signal 11"),
        pytest.param("TERM", "signal 15", marks=pytest.mark.slow),
    ],
)
def test_a_step_ended_by_a_signal_says_which(
    project: Project, either_sandbox: str, signal: str, name: str
) -> None:
    project.add("struck", f"echo working; kill -{signal} $$; sleep 60")
    text = project.doit(f"sandbox={either_sandbox}", "build_struck").check(
        19, f"failed with {name}"
    )
    assert ("ran out of memory" in text) == (signal == "KILL")


def test_a_compiler_ended_by_the_kernel_says_so_too(project: Project) -> None:
    project.add("starved", "bash -c 'kill -KILL $$'; echo never")
    project.doit("build_starved").check(19, "signal 9", "ran out of memory")


def test_an_exit_code_above_128_that_is_no_signal_stays_a_number(project: Project) -> None:
    project.add("odd", "exit 255")
    project.doit("build_odd").check(19, "failed with exit code 255")


def test_a_failure_in_a_pipe_and_an_unset_variable_fail_the_step(project: Project) -> None:
    project.add("pipe", "false | cat; cp -r . {{ out }}")
    project.doit("build_pipe").check(19, "exit code 1")
    project.add("unset", "cp $NOTHING hello.txt {{ out }}")
    project.doit("build_unset").check(19, "NOTHING: unbound variable")


def test_a_wheel_component_without_a_wheel_is_refused(project: Project) -> None:
    project.add("wheelless", output="wheel")
    text = project.doit("build_wheelless").check(21, "exactly one wheel", "hello.txt")
    assert "shell_wheelless" in text
    project.add("empty", "true", output="wheel")
    project.doit("build_empty").check(21, "and left: nothing")


def test_a_promised_path_that_is_missing_is_named(project: Project) -> None:
    project.add("lacking", paths=["hello.txt", "lib/libx.so", "lib/*.cmake"])
    project.doit("build_lacking").check(21, "lacks lib/libx.so, lib/*.cmake", "check.paths")
    assert not list(project.store.glob("objects/*"))


def test_an_empty_output_is_refused(project: Project) -> None:
    project.add("empty", "true")
    project.doit("build_empty").check(21, "it is empty")


@pytest.mark.parametrize(
    "special", ["mkfifo {{ out }}/x", "ln -s / {{ out }}/x; mkfifo {{ out }}/y"]
)
def test_an_output_that_is_no_file_is_refused(project: Project, special: str) -> None:
    project.add("special", special)
    project.doit("build_special").check(21, "is neither a file, a link nor a folder")
    assert not list(project.store.glob("objects/*"))


def test_a_wheel_that_is_no_zip_is_a_sentence(project: Project) -> None:
    project.add("broken", "echo no zip > {{ out }}/broken-1.0.0-py3-none-any.whl", output="wheel")
    project.doit("build_broken").check(21, "broken-1.0.0-py3-none-any.whl")


def test_a_failed_build_is_tried_again_from_its_start(project: Project) -> None:
    project.add("flaky", "test -e fixed; cp -r . {{ out }}")
    project.doit("build_flaky").check(19)
    project.components["flaky"].files = {"hello.txt": "hello\n", "fixed": ""}
    project.write()
    project.doit("build_flaky").check(0)


def test_other_components_go_on_after_a_failure(project: Project) -> None:
    project.add("failing", "exit 3")
    project.add("working")
    project.doit("build_failing", "build_working").check(19)
    assert project.output("working").is_dir()
