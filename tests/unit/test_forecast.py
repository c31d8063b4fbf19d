"""What recipes say that a build costs, and what that is too much for."""

import pytest

from strixforge.model.errors import DataError
from strixforge.plan.forecast import Cost, costs, too_large
from tests.unit.home import RECIPE, Home

GIB = 1 << 30


def found(home: Home) -> list[Cost]:
    return costs(home.plan().components.values())


def forecast(home: Home, name: str, text: str) -> None:
    home.component(name, rest=f"[forecast]\nsource = 'an issue'\n{text}")


def test_it_is_told_in_bytes(home: Home) -> None:
    forecast(home, "tool", 'memory = "64 GiB"\ndisk = "1.5 GiB"\ntime = "2 h on 16 cores"')
    assert found(home) == [Cost("tool", 64 * GIB, 3 * GIB // 2, "2 h on 16 cores", "an issue")]


def test_what_nobody_says_is_nothing(home: Home) -> None:
    forecast(home, "tool", "")
    assert found(home) == [Cost("tool", 0, 0, "", "an issue")]


def test_a_recipe_without_a_forecast_is_left_out(home: Home) -> None:
    home.component("tool")
    assert found(home) == []


def test_what_is_only_unpacked_costs_nothing(home: Home) -> None:
    home.pin("tool")
    text = RECIPE.replace('"prefix"', '"source"')
    home.write("recipes/tool.toml", f"{text}[forecast]\nsource = 's'\nmemory = '64 GiB'\n")
    assert found(home) == []


@pytest.mark.parametrize(("memory", "names"), [(63, ["a", "b"]), (64, ["a", "b"]), (65, ["b"])])
def test_as_much_as_there_is_is_too_much(memory: int, names: list[str]) -> None:
    costly = [
        Cost("a", 64 * GIB, 0, "", "s"),
        Cost("b", 65 * GIB, 0, "", "s"),
        Cost("c", 0, 999 * GIB, "", "s"),
    ]
    assert [one.name for one in too_large(costly, memory * GIB)] == names


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('memory = "64 GB"', "forecast.memory"),
        ("memory = 64", "forecast.memory"),
        ('disk = "0 GiB"', "forecast.disk"),
        ("cores = 3", "forecast"),
    ],
)
def test_a_bad_forecast_names_its_key(home: Home, text: str, key: str) -> None:
    forecast(home, "tool", text)
    with pytest.raises(DataError) as caught:
        home.plan()
    assert caught.value.where == f"{home.root / 'recipes/tool.toml'}: {key}"


def test_a_forecast_without_a_source_is_refused(home: Home) -> None:
    home.component("tool", rest="[forecast]\nmemory = '1 GiB'")
    with pytest.raises(DataError, match="missing key 'source'"):
        home.plan()
