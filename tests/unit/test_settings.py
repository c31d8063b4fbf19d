"""What the user chose, on the command line and in the environment."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.model.errors import UsageError
from strixforge.settings import VARIABLES, Settings, read_settings
from tests.unit.home import Home, refusal


def read(home: Home, given: dict[str, str], environ: dict[str, str] | None = None) -> Settings:
    return read_settings(home.root, home.lock(), given, environ or {})


@pytest.fixture
def project(home: Home) -> Home:
    home.pin("vllm", "0.11")
    home.pin("vllm", "0.10")
    return home


def test_defaults_lie_in_the_project_and_the_users_cache(project: Home) -> None:
    chosen = read(project, {}, {"XDG_CACHE_HOME": "/var/cache/me"})
    assert (chosen.stack, chosen.arch, chosen.jobs) == ("main", "gfx1151", None)
    assert (chosen.sandbox, chosen.versions) == ("auto", {})
    assert chosen.store == project.root / "build" / "store"
    assert chosen.cache == Path("/var/cache/me/strixforge")
    assert read(project, {}, {"XDG_CACHE_HOME": "relative"}).cache.is_relative_to(Path.home())


def test_the_command_line_wins_over_the_environment(project: Home) -> None:
    environ = {"STRIXFORGE_JOBS": "4", "STRIXFORGE_ARCH": "gfx1100", "STRIXFORGE_VLLM": "0.10"}
    chosen = read(project, {"jobs": "2", "store": "/srv/store"}, environ)
    assert (chosen.jobs, chosen.arch, chosen.versions) == (2, "gfx1100", {"vllm": "0.10"})
    assert chosen.store == Path("/srv/store")


def test_an_empty_variable_of_the_environment_is_as_good_as_none(project: Home) -> None:
    empty = {f"STRIXFORGE_{name.upper()}": "" for name in (*VARIABLES, "vllm")}
    assert read(project, {}, empty) == read(project, {})
    assert read(project, {"stack": ""}).stack == "main"


def test_an_unknown_name_says_where_it_was_said_and_the_nearest(project: Home) -> None:
    with pytest.raises(UsageError, match="'stak'") as caught:
        read(project, {"stak": "main"})
    assert (caught.value.where, caught.value.fix) == ("command line", "Did you mean 'stack'?")
    with pytest.raises(UsageError, match="'STRIXFORGE_VLM'") as caught:
        read(project, {}, {"STRIXFORGE_VLM": "1"})
    assert (caught.value.where, caught.value.fix) == ("environment", "Did you mean 'vllm'?")
    with pytest.raises(UsageError, match="no stack 'mian'"):
        read(project, {"stack": "mian"})


def test_the_installers_own_variables_are_not_ours(project: Home) -> None:
    read(project, {}, {"STRIXFORGE_PREFIX": "/x", "STRIXFORGE_PYTHON": "python3"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("jobs", value)
            for value in ("0", "-1", "two", "1.5", "\N{FULLWIDTH DIGIT NINE}", "9" * 5000)
        ),
        *(("arch", value) for value in ("gfx", "sm_90", "gfx1151; rm -rf", "gfx115g")),
        *((name, "~nobody-of-that-name/x") for name in ("store", "cache")),
    ],
)
def test_a_bad_value_names_the_variable_and_a_good_one(
    project: Home, name: str, value: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(project, {name: value})
    assert caught.value.where == name
    assert caught.value.fix.startswith(f"{name}=")


def test_a_command_that_is_shown_repeats_what_was_given_quoted_for_a_shell(project: Home) -> None:
    chosen = read(project, {"store": "/my disk/s", "vllm": "0.10"}, {"STRIXFORGE_JOBS": "2"})
    assert chosen.words() == "stack=main 'store=/my disk/s' vllm=0.10 "


@given(st.dictionaries(st.sampled_from([*VARIABLES, "vllm", "x"]), st.text(max_size=8)))
def test_any_values_are_settings_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, given: dict[str, str]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.pin("vllm")
    error = refusal(lambda: read(home, given), UsageError)
    assert error is None or error.fix
