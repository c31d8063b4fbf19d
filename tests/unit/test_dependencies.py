"""Whether wheels are all that they ask for: wheels made here, with real metadata."""

import zipfile
from pathlib import Path

import pytest

from strixforge.gates.dependencies import Dependencies, follow
from strixforge.model.errors import GateError
from strixforge.plan.python import running

PYTHON = running()


class Wheels:
    """A folder that wheels are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, version: str, *requires: str) -> None:
        """Write a wheel that holds its metadata alone."""
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
        path = self.folder / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            text = "\n".join(["Metadata-Version: 2.1", *lines]) + "\n"
            archive.writestr(f"{name}-{version}.dist-info/METADATA", text)

    def check(self, **without: list[str]) -> Dependencies:
        """Check them all."""
        return follow(sorted(self.folder.iterdir()), PYTHON, without)

    def missing(self, **without: list[str]) -> list[str]:
        """Return what is not there."""
        return list(self.check(**without).missing)


@pytest.fixture
def wheels(tmp_path: Path) -> Wheels:
    """Return an empty folder of wheels."""
    return Wheels(tmp_path)


def test_what_is_there_at_its_version_is_counted(wheels: Wheels) -> None:
    wheels.add("app", "1", "lib>=2,<3", "other.name")
    wheels.add("lib", "2.5")
    wheels.add("other_name", "0.1")
    assert wheels.check() == Dependencies(
        held=2, unused=(), met=frozenset({("app", "lib"), ("app", "other-name")})
    )


def test_what_is_missing_and_what_is_of_another_version_is_told_together(wheels: Wheels) -> None:
    wheels.add("app", "1", "lib>=2", "gone")
    wheels.add("lib", "1.9")
    assert wheels.missing() == [
        "app 1 asks for gone: it is not there",
        "app 1 asks for lib>=2: 1.9 is",
    ]


def test_an_extra_counts_once_somebody_asks_for_it(wheels: Wheels) -> None:
    wheels.add("lib", "1", 'gone; extra == "fast"')
    assert wheels.check().held == 0
    wheels.add("app", "1", "lib[fast]")
    assert wheels.missing() == ['lib 1 asks for gone; extra == "fast": it is not there']


def test_a_marker_of_another_python_asks_for_nothing(wheels: Wheels) -> None:
    wheels.add("app", "1", 'gone; python_version < "3"', 'gone2; sys_platform == "win32"')
    assert wheels.check().held == 0


def test_what_a_recipe_leaves_out_is_not_missing(wheels: Wheels) -> None:
    wheels.add("app", "1", "gone", "lib[fast,safe]")
    wheels.add("lib", "1", 'far; extra == "fast"', 'near; extra == "safe"')
    wheels.add("near", "1")
    assert wheels.check(app=["gone", "lib[fast]"]) == Dependencies(
        held=2, unused=(), met=frozenset({("app", "lib"), ("lib", "near")})
    )


def test_leaving_out_for_one_wheel_leaves_it_in_for_another(wheels: Wheels) -> None:
    wheels.add("app", "1", "gone")
    wheels.add("lib", "1", "gone")
    assert wheels.missing(app=["gone"]) == ["lib 1 asks for gone: it is not there"]


@pytest.mark.parametrize(
    ("left_out", "unused"),
    [
        ("other", ("other of app",)),
        ("lib[safe]", ("lib[safe] of app",)),
        ("lib[fast]", ()),
        ("elsewhere", ()),
    ],
)
def test_what_is_left_out_though_nothing_asks_for_it_is_told(
    wheels: Wheels, left_out: str, unused: tuple[str, ...]
) -> None:
    wheels.add("app", "1", "lib[fast]", 'elsewhere; sys_platform == "win32"')
    wheels.add("lib", "1")
    assert wheels.check(app=[left_out]).unused == unused


def test_a_wheel_that_is_not_there_uses_nothing_of_what_is_left_out_of_it(wheels: Wheels) -> None:
    wheels.add("lib", "1")
    assert wheels.check(app=["gone"]).unused == ("gone of app",)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), b"no zip at all"])
def test_what_is_no_wheel_is_told(wheels: Wheels, data: bytes) -> None:
    (wheels.folder / "app-1-py3-none-any.whl").write_bytes(data)
    with pytest.raises(GateError, match=r"app-1-py3-none-any\.whl cannot be read"):
        wheels.check()
