"""A recipe: how a component is built. Raw as written, then evaluated.

Raw text keeps its templates; plan/evaluate.py makes a Recipe of it for one plan.
model/recipe_files.py finds and reads the files.
"""

from typing import Annotated, Literal

import msgspec
from packaging.utils import canonicalize_name

from strixforge.model import conditions
from strixforge.model.checks import Check
from strixforge.model.pins import Name
from strixforge.model.sizes import Size, size_bytes

Output = Literal["prefix", "wheel", "toolchain", "root", "source"]
Verified = Literal["source", "configure", "compile", "hardware"]

_Variable = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z",
        description="Name a variable with letters, digits and underscores.",
    ),
]
_Place = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(?!(.*/)?\.\.?(/|\Z))[^/\x00-\x1f][^\x00-\x1f]*\Z",
        description="Write it as it is below the root: usr/bin/c++.",
    ),
]
_Program = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z",
        description="Write a program's name, such as git.",
    ),
]


class Jobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one compiler job costs."""

    memory: Size = "1 GiB"

    @property
    def memory_bytes(self) -> int:
        """Memory of one job, bytes."""
        return size_bytes(self.memory)


class Forecast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a whole build costs, as far as a source says it."""

    source: str
    memory: Size | None = None
    """Needed at the worst moment, whatever the number of jobs."""
    disk: Size | None = None
    time: str = ""
    """In words, with the machine that it was measured on."""


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [build] table: Python requirements, environment, options and steps."""

    python: tuple[str, ...] = ()
    imports: tuple[Name, ...] = ()
    """Needed components whose wheels are installed into the build's Python environment."""
    env: dict[_Variable, str] = {}
    cmake: dict[_Variable, str] = {}
    """CMake options; templates write them all as {{ cmake }}."""
    prepare: tuple[str, ...] = ()
    """Run after patching, with none of the needs in sight; the source is checked after them."""
    configure: tuple[str, ...] = ()
    """Run before the steps; what CMake made of the options is checked after them."""
    steps: tuple[str, ...] = ()

    def joined(self, other: "Build") -> "Build":
        """Return this table with another's entries added; its steps stand instead of these."""
        return Build(
            python=(*self.python, *other.python),
            imports=(*self.imports, *other.imports),
            env={**self.env, **other.env},
            cmake={**self.cmake, **other.cmake},
            prepare=other.prepare or self.prepare,
            configure=other.configure or self.configure,
            steps=other.steps or self.steps,
        )


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [device] table: how all device code is compiled without the rest of a build."""

    build: Build
    """Joined to the recipe's own [build]: requirements and options are the same, and the rest is
    this table's."""
    needs: tuple[Name, ...]
    """What this sees, instead of the recipe's needs."""
    check: Check = Check()
    """Instead of the recipe's, but for the checks of the source."""


class Activate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The [activate] table: variables that an installed environment sets."""

    env: dict[_Variable, str] = {}


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One [[when]]: what a recipe has beside the rest, for some pins of the stack."""

    pins: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """Conditions such as vllm>=0.22, all of which must hold."""
    needs: tuple[Name, ...] = ()
    runtime: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    host: tuple[_Program, ...] = ()
    build: Build = Build()
    check: Check = Check()


class RawRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipe as it is written, templates and all."""

    summary: str
    license: str
    output: Output
    verified: Verified
    stands_for: Name | None = None
    """A component that this source is used instead of, as long as that one is not built."""
    distribution: str = ""
    """Name of the wheel's distribution, where it is not the component's."""
    build: Build = Build()
    """Without steps the output is the source as it is unpacked: a toolchain, a root, a source."""
    homepage: str = ""
    needs: tuple[Name, ...] = ()
    """Components that the build sees, and that the installed output is used with."""
    runtime: tuple[str, ...] = ()
    """Python requirements of the installed output that come from the index."""
    without: tuple[str, ...] = ()
    """Requirements of the wheel that the stack leaves out: a name, or one extra of it."""
    host: tuple[_Program, ...] = ()
    """Programs of the root that the build calls."""
    jobs: Jobs = Jobs()
    forecast: Forecast | None = None
    check: Check = Check()
    device: Device | None = None
    activate: Activate = Activate()
    links: dict[_Place, _Place] = {}
    """Symlinks of a root, place to target: what maintainer scripts would make, which never run."""
    when: tuple[When, ...] = ()
    """What is added for some pins."""

    def for_pins(self, versions: dict[str, str]) -> "RawRecipe":
        """Return the recipe with every [[when]] joined in whose conditions hold.

        `versions` maps the stack's components to their pinned versions.
        """
        recipe = self
        for one in self.when:
            if conditions.holds(one.pins, versions):
                recipe = msgspec.structs.replace(
                    recipe,
                    needs=(*recipe.needs, *one.needs),
                    runtime=(*recipe.runtime, *one.runtime),
                    without=(*recipe.without, *one.without),
                    host=(*recipe.host, *one.host),
                    build=recipe.build.joined(one.build),
                    check=recipe.check.joined(one.check),
                )
        return msgspec.structs.replace(recipe, when=())

    def distribution_of(self, component: str) -> str:
        """Return the name of the wheel's distribution, as pip normalises it; empty for no wheel."""
        if self.output != "wheel":
            return ""
        return canonicalize_name(self.distribution or component)


class Recipe(msgspec.Struct, frozen=True):
    """A recipe evaluated for one plan: everything here can change the output."""

    output: Output
    distribution: str
    imports: tuple[str, ...]
    prepare: tuple[str, ...]
    configure: tuple[str, ...]
    steps: tuple[str, ...]
    env: dict[str, str]
    cmake: dict[str, str]
    check: Check
    links: dict[str, str]

    @classmethod
    def empty(cls, output: Output) -> "Recipe":
        """Return a recipe that does nothing."""
        return cls(output, "", (), (), (), (), {}, {}, Check(), {})
