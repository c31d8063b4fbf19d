"""The phases of a build: what is configured is checked, needed wheels are imported, names hold."""

import shutil

import pytest

from tests.e2e.project import Project
from tests.e2e.test_prepare import more

needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed")
LISTS = """\
cmake_minimum_required(VERSION 3.18)
project(tool NONE)
option(FAST "a boolean" OFF)
set(TARGETS "gfx90a" CACHE STRING "a list")
file(WRITE ${CMAKE_BINARY_DIR}/flags.txt "--offload-arch=${TARGETS}")
install(FILES ${CMAKE_BINARY_DIR}/flags.txt DESTINATION .)
"""
CONFIGURE = """\
cmake = {{ {options} }}
configure = ["cmake -S . -B {{{{ build }}}} {{{{ cmake }}}}"]
"""


def configured(project: Project, options: str, check: str = "") -> None:
    """Add a component that CMake configures and installs."""
    step = "cmake --install {{ build }} --prefix {{ out }}"
    project.add("tool", step, files={"CMakeLists.txt": LISTS})
    more(
        project,
        "tool",
        build=CONFIGURE.format(options=options),
        check=f'configure = {{ folder = "{{{{ build }}}}"{check and ", "}{check} }}\n',
    )


@needs_cmake
def test_options_that_cmake_takes(project: Project, either_sandbox: str) -> None:
    project.sandbox = either_sandbox
    configured(project, 'FAST = "1", TARGETS = "{{ arch }}"', 'offload_arch = ["*.txt"]')
    project.doit("build_tool").check(
        0, "configured: 2 option(s) taken, 1 file(s) for gfx1151 alone"
    )
    assert (project.output("tool") / "flags.txt").read_text() == "--offload-arch=gfx1151"


@needs_cmake
def test_an_option_with_spaces_and_quotes_is_one(project: Project) -> None:
    configured(project, r"""TARGETS = "two 'words' $HOME \"x\"" """)
    project.doit("build_tool").check(0, "configured: 1 option(s) taken")


def refused(project: Project, *sentences: str) -> None:
    project.doit("build_tool").check(25, "did not take what the recipe of tool gave it", *sentences)
    assert "cmake --install" not in project.log("tool")


@needs_cmake
def test_an_option_that_nobody_reads_stops_before_the_steps(project: Project) -> None:
    configured(project, 'FAST = "ON", GPU_TARGETS = "{{ arch }}"')
    refused(project, "GPU_TARGETS was given, and no CMakeLists.txt reads it")


@needs_cmake
def test_another_target_stops_before_the_steps(project: Project) -> None:
    configured(project, 'FAST = "ON"', 'offload_arch = ["*.txt"]')
    refused(project, "*.txt: device code for gfx90a, not for gfx1151 alone")


@needs_cmake
def test_an_entry_of_the_cache_that_is_another(project: Project) -> None:
    configured(project, 'FAST = "ON"', 'cache = { TARGETS = "gfx1151" }')
    refused(project, "TARGETS is 'gfx90a', not 'gfx1151'")


def test_a_configuration_that_leaves_no_cache(project: Project) -> None:
    project.add("tool")
    build = 'cmake = { A = "ON" }\nconfigure = ["echo {{ cmake }}"]\n'
    more(project, "tool", build=build, check='configure = { folder = "{{ build }}" }\n')
    project.doit("build_tool").check(25, "/strixforge/build/CMakeCache.txt is not there")


def test_phases_run_in_order_over_the_same_folders(project: Project) -> None:
    project.add("tool", "cp order {{ out }}", files={"order": ""})
    build = 'prepare = ["echo prepare >> order"]\nconfigure = ["echo configure >> order"]\n'
    more(project, "tool", build=build)
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "order").read_text() == "prepare\nconfigure\n"


def test_a_step_that_fails_to_configure_is_a_failed_step(project: Project) -> None:
    project.add("tool", "touch {{ out }}/done")
    more(project, "tool", build='configure = ["echo CMake Error: no compiler; exit 1"]\n')
    project.doit("build_tool").check(19, "CMake Error: no compiler")


WHEEL = """\
python - <<'END'
import zipfile
with zipfile.ZipFile("{{{{ out }}}}/{name}-1.0.0-py3-none-any.whl", "w") as made:
    made.writestr("{name}.py", "VALUE = 42")
    info = "{name}-1.0.0.dist-info/"
    made.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0.0\\n")
    made.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
    made.writestr(info + "RECORD", "")
END
"""


def wheel(project: Project, name: str, distribution: str = "", head: str = "") -> None:
    """Add a component that makes a wheel."""
    step = WHEEL.format(name=distribution or name).replace("python -", "python3 -")
    project.add(name, step, output="wheel", head=head)


def test_a_needed_wheel_can_be_imported_in_each_phase_with_needs(
    project: Project, either_sandbox: str
) -> None:
    project.sandbox = either_sandbox
    wheel(project, "kit")
    project.add("tool", "python -c 'import kit; print(kit.VALUE)' > {{ out }}/v", needs=["kit"])
    build = (
        'imports = ["kit"]\n'
        "prepare = [\"! python -c 'import kit'\"]\n"
        "configure = [\"python -c 'import kit'\"]\n"
    )
    more(project, "tool", build=build)
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "v").read_text() == "42\n"


def test_a_needed_wheel_that_is_no_import_is_only_a_file(project: Project) -> None:
    wheel(project, "kit")
    step = "ls {{ kit.prefix }} > {{ out }}/v; ! python3 -c 'import kit'"
    project.add("tool", step, needs=["kit"])
    project.doit("build_tool").check(0)
    assert (project.output("tool") / "v").read_text() == "kit-1.0.0-py3-none-any.whl\n"


def test_another_import_builds_again(project: Project) -> None:
    wheel(project, "kit")
    project.add("tool", "touch {{ out }}/done", needs=["kit"])
    project.doit("build_tool").check(0)
    before = project.record("tool")["key"]
    more(project, "tool", build='imports = ["kit"]\n')
    project.doit("build_tool").check(0)
    assert project.record("tool")["key"] != before


def test_a_wheel_of_another_distribution_is_refused(project: Project) -> None:
    wheel(project, "kit", "other")
    project.doit("build_kit").check(
        21, "kit made a wheel of other, not of kit.", 'distribution = "other"'
    )


@pytest.mark.parametrize("said", ["other_kit", "Other-Kit", "other.kit"])
def test_a_recipe_may_say_the_distribution(project: Project, said: str) -> None:
    wheel(project, "kit", "other_kit", head=f'distribution = "{said}"\n')
    project.doit("build_kit").check(0)


def test_a_distribution_that_is_not_made_is_refused(project: Project) -> None:
    wheel(project, "kit", head='distribution = "torch"\n')
    project.doit("build_kit").check(21, "kit made a wheel of kit, not of torch.")
