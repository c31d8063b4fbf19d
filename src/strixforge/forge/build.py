"""One component from its key document to a published artifact."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from uv import find_uv_bin

from strixforge.forge import runner, sandbox
from strixforge.forge.configured import check_configured
from strixforge.forge.environment import setup_steps
from strixforge.forge.failure import explain_failure
from strixforge.forge.jobs import grant_jobs
from strixforge.forge.output import check_output
from strixforge.forge.prepare import prepare, remove_tree
from strixforge.forge.roots import Root, check_tree
from strixforge.forge.source_checks import check_source
from strixforge.forge.terminal import run_in_terminal
from strixforge.forge.toolchains import Toolchain
from strixforge.model.errors import GateError
from strixforge.model.recipe import Recipe
from strixforge.plan import layout
from strixforge.plan.evaluate import evaluate, prepare_steps
from strixforge.plan.graph import Component, Plan
from strixforge.sources import Site
from strixforge.sources.index import wheel

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and with what a component is built."""

    site: Site
    root: Root
    """The file system that the steps see."""
    work: Path
    """Folder of this component's build: src, build, out, env."""
    log: Path
    sandbox: str
    """auto, bwrap or unshare."""
    jobs: int | None
    """Upper bound asked for by the user."""
    needs: dict[str, Path]
    """Verified output of each needed component that is no toolchain."""
    toolchains: dict[str, Toolchain]
    compiler_cache: Path | None = None
    """Folder of the compiler cache that this component's builds share, with one toolchain."""
    words: str = ""
    """The variables of this run, to repeat in commands that are shown."""

    def facts(self) -> dict[str, dict[str, str]]:
        """Return what recipes can name of the toolchains."""
        return {name: one.facts.texts() for name, one in self.toolchains.items()}


@dataclass(frozen=True, slots=True)
class Built:
    """What a build left behind."""

    out: Path
    folder: str
    """Name of the top folder that a source archive had; it may name a release."""
    notes: dict[str, object]
    """seconds, jobs, sandbox: how it came about."""


def build(
    component: Component, plan: Plan, bench: Bench, say: Say, on_line: Callable[[str], None]
) -> Built:
    """Prepare, build and check one component; its output is then in `Built.out`.

    Raises the errors of the sources, PatchError, SandboxError, StepError, NetworkError, GateError.
    """
    recipe = evaluate(component, plan, bench.facts())
    if not component.is_built:
        return _as_it_is(component, recipe, plan.arch, bench)
    folder = lay_out(component, bench)
    if component.patches:
        say(f"{len(component.patches)} patch(es) applied")
    bench.log.unlink(missing_ok=True)
    forge = _Forge(component, recipe, bench, on_line)
    say(f"building in {forge.kind}, {forge.jobs} job(s)")
    if recipe.prepare:
        forge.run(recipe.prepare, needs=False)
    check_source(component.name, recipe.check.source, bench.work / "src")
    if recipe.configure:
        forge.run(recipe.configure)
        say(check_configured(component.name, recipe, plan.arch, bench.work, bench.log))
    forge.run(recipe.steps)
    out = bench.work / "out"
    check_output(component.name, recipe, plan.arch, out, bench.needs, shell=forge.shell)
    return Built(
        out=out,
        folder=folder,
        notes={"seconds": round(forge.seconds, 1), "jobs": forge.jobs, "sandbox": forge.kind},
    )


def make_ready(
    component: Component, plan: Plan, bench: Bench, on_line: Callable[[str], None]
) -> None:
    """Run the steps that make a source ready, on the one that is laid out in the bench.

    Raises the errors of the sandbox and of the steps.
    """
    bench.log.unlink(missing_ok=True)
    recipe = Recipe.empty(component.recipe.output)
    _Forge(component, recipe, bench, on_line).run(prepare_steps(component, plan), needs=False)


class _Forge:
    """Runs the phases of one build, each in a sandbox of its own, over the same folders."""

    def __init__(
        self, component: Component, recipe: Recipe, bench: Bench, on_line: Callable[[str], None]
    ) -> None:
        self.kind = sandbox.choose_kind(bench.sandbox)
        self.jobs = grant_jobs(component.recipe.jobs.memory_bytes, bench.jobs)
        self.shell = f"./doit {bench.words}shell_{component.name}"
        self.seconds = 0.0
        self._component = component
        self._recipe = recipe
        self._bench = bench
        self._on_line = on_line

    def run(self, texts: tuple[str, ...], *, needs: bool = True) -> None:
        """Run steps; before the first ones, make the Python environment. Raises StepError."""
        bench, component = self._bench, self._component
        bench = bench if needs else replace(bench, needs={}, toolchains={})
        setup = _setup_steps(component, bench)
        commands = [*["make the Python environment"] * len(setup), *texts]
        steps = [*setup, *map(_bash, texts)]
        view = make_view(component, bench, self._recipe, steps, self.jobs, names=commands)
        outcome = runner.run(
            lambda events: sandbox.command(self.kind, view, bench.work, events),
            bench.log,
            self._on_line,
        )
        self.seconds += outcome.seconds
        if outcome.code:
            raise explain_failure(
                component.name, commands, outcome, bench.log, work=bench.work, shell=self.shell
            )


def _as_it_is(component: Component, recipe: Recipe, arch: str, bench: Bench) -> Built:
    """Take the prepared source as the output: a toolchain or a root that came in archives."""
    began = time.monotonic()
    out = bench.work / "out"
    folder = prepare(component, bench.site, out)
    _make_links(component, recipe, out)
    if recipe.output == "root":
        check_tree(out, component.name, component.recipe_path)
    prepare_one = f"./doit {bench.words}prepare_{component.name}"
    check_output(component.name, recipe, arch, out, {}, shell=prepare_one)
    return Built(out=out, folder=folder, notes={"seconds": round(time.monotonic() - began, 1)})


def _make_links(component: Component, recipe: Recipe, out: Path) -> None:
    """Make the links of a root. Raises GateError for one that cannot be, or leads nowhere."""
    for place, target in recipe.links.items():
        link = out / place
        why = f"{component.name} has {place} already." if os.path.lexists(link) else ""
        if not why:
            try:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(target)
            except (FileExistsError, NotADirectoryError):
                why = f"{place} lies below something that is no folder."
            else:
                dead = f"{place} would lead to {target}, which is not there."
                why = "" if link.exists() else dead
        if why:
            raise GateError(
                f"a link of the recipe cannot be made: {why}",
                where=f"{component.recipe_path}: links",
                fix="Mend or remove that line of `links`.",
            )


def lay_out(component: Component, bench: Bench) -> str:
    """Make the folders of a build anew: prepared source, wheels of the requirements, empty rest.

    Returns the name of the top folder that the source's archive had, or an empty text.
    """
    lay_out_folders(component, bench)
    return prepare(component, bench.site, bench.work / "src")


def lay_out_folders(component: Component, bench: Bench) -> None:
    """Make the folders of a build anew, with the wheels of the requirements; no source yet."""
    remove_tree(bench.work)
    for name in ("build", "out", "env", "wheels", "etc"):
        (bench.work / name).mkdir(parents=True)
        (bench.work / name).chmod(0o755)  # whatever the user's umask: steps see these modes
    lines = []
    for locked in component.requirements.locked:
        name, path = wheel(locked, component.python, bench.site.cache)
        link_or_copy(path, bench.work / "wheels" / name)
        hashes = " ".join(f"--hash=sha256:{one}" for one in sorted(locked.hashes))
        lines.append(f"{locked.name}=={locked.version} {hashes}\n")
    (bench.work / "wheels" / "requirements.txt").write_text("".join(lines))
    sandbox.etc_files(bench.work / "etc")


def make_view(
    component: Component,
    bench: Bench,
    recipe: Recipe,
    steps: list[list[str]],
    jobs: int,
    *,
    names: list[str] | None = None,
) -> sandbox.View:
    """Return what the sandbox of one component shows, and write its plan of steps.

    `names` are the steps as the log shows them; without them, the last step is a person's shell.
    """
    interactive = names is None
    description = {"cwd": layout.SRC, "steps": steps, "names": names, "interactive": interactive}
    (bench.work / "plan.json").write_text(json.dumps(description))
    needs = {layout.prefix(name): path for name, path in bench.needs.items()}
    needs |= {one.mount: one.folder for one in bench.toolchains.values() if one.mount is not None}
    cache = {} if bench.compiler_cache is None else {layout.CCACHE: bench.compiler_cache}
    for folder in cache.values():
        folder.mkdir(parents=True, exist_ok=True)
    return sandbox.View(
        root=bench.root,
        writable={
            layout.SRC: bench.work / "src",
            layout.BUILD: bench.work / "build",
            layout.OUT: bench.work / "out",
            layout.ENV: bench.work / "env",
            **cache,
        },
        readonly={
            **needs,
            "/strixforge/wheels": bench.work / "wheels",
            "/strixforge/plan.json": bench.work / "plan.json",
            "/strixforge/uv": Path(find_uv_bin()),
        },
        etc=bench.work / "etc",
        environment={**sandbox.base_environment(component.pin.epoch, jobs), **recipe.env},
        interactive=interactive,
    )


def shell(component: Component, plan: Plan, bench: Bench) -> int:
    """Open an interactive shell in the sandbox of a build, where it stopped. Returns its code."""
    recipe = evaluate(component, plan, bench.facts())
    kind = sandbox.choose_kind(bench.sandbox)
    jobs = grant_jobs(component.recipe.jobs.memory_bytes, bench.jobs)
    if not (bench.work / "src").is_dir():
        lay_out(component, bench)
    steps = [*_setup_steps(component, bench), ["bash", "--norc", "-i"]]
    view = make_view(component, bench, recipe, steps, jobs)
    view.environment["TERM"] = os.environ.get("TERM", "dumb")
    view.environment["PS1"] = f"[{component.name}] \\w $ "
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        return run_in_terminal(sandbox.command(kind, view, bench.work, writing), writing)
    finally:
        os.close(reading)
        os.close(writing)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where that cannot be done."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _setup_steps(component: Component, bench: Bench) -> list[list[str]]:
    return setup_steps(component, bench.work / "env", bench.needs, bench.root.python)


def _bash(step: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", step]
