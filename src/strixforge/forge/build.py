"""One component from its key document to a published artifact."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from strixforge.forge import runner, sandbox
from strixforge.forge.failure import explain_failure
from strixforge.forge.jobs import grant_jobs
from strixforge.forge.output import check_output
from strixforge.forge.prepare import prepare, remove_tree
from strixforge.forge.roots import Root, check_tree
from strixforge.forge.terminal import run_in_terminal
from strixforge.forge.toolchains import Toolchain
from strixforge.model.errors import GateError
from strixforge.model.recipe import Recipe
from strixforge.plan import layout
from strixforge.plan.evaluate import evaluate
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
    shell = f"./doit {bench.words}shell_{component.name}"
    if not component.is_built:
        return _as_it_is(component, recipe, plan.arch, bench)
    kind = sandbox.choose_kind(bench.sandbox)
    jobs = grant_jobs(component.recipe.jobs.memory_bytes, bench.jobs)
    folder = lay_out(component, bench)
    if component.patches:
        say(f"{len(component.patches)} patch(es) applied")
    steps = _setup_steps(component, bench.root) + [_bash(step) for step in recipe.steps]
    setup = len(steps) - len(recipe.steps)
    commands = [*["make the Python environment"] * setup, *recipe.steps]
    view = make_view(component, bench, recipe, steps, jobs, names=commands)
    bench.log.unlink(missing_ok=True)
    say(f"building in {kind}, {jobs} job(s)")
    outcome = runner.run(
        lambda events: sandbox.command(kind, view, bench.work, events), bench.log, on_line
    )
    if outcome.code:
        raise explain_failure(
            component.name, commands, outcome, bench.log, work=bench.work, shell=shell
        )
    check_output(component.name, recipe, plan.arch, bench.work / "out", shell=shell)
    return Built(
        out=bench.work / "out",
        folder=folder,
        notes={"seconds": round(outcome.seconds, 1), "jobs": jobs, "sandbox": kind},
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
    check_output(component.name, recipe, arch, out, shell=prepare_one)
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
    remove_tree(bench.work)
    for name in ("build", "out", "env", "wheels", "etc"):
        (bench.work / name).mkdir(parents=True)
        (bench.work / name).chmod(0o755)  # whatever the user's umask: steps see these modes
    folder = prepare(component, bench.site, bench.work / "src")
    lines = []
    for locked in component.requirements.locked:
        name, path = wheel(locked, component.python, bench.site.cache)
        link_or_copy(path, bench.work / "wheels" / name)
        hashes = " ".join(f"--hash=sha256:{one}" for one in sorted(locked.hashes))
        lines.append(f"{locked.name}=={locked.version} {hashes}\n")
    (bench.work / "wheels" / "requirements.txt").write_text("".join(lines))
    sandbox.etc_files(bench.work / "etc")
    return folder


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
    return sandbox.View(
        root=bench.root,
        writable={
            layout.SRC: bench.work / "src",
            layout.BUILD: bench.work / "build",
            layout.OUT: bench.work / "out",
            layout.ENV: bench.work / "env",
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
    setup = [] if (bench.work / "env" / "bin").is_dir() else _setup_steps(component, bench.root)
    steps = [*setup, ["bash", "--norc", "-i"]]
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


def _setup_steps(component: Component, root: Root) -> list[list[str]]:
    """Return the steps that make the Python environment of the build requirements."""
    if not component.requirements.locked:
        return []
    make = [root.python, "-I", "-m", "venv", "--without-pip", layout.ENV]
    install = [
        *("/strixforge/uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-cache"),
        *("--no-config", "--no-build", "--no-deps", "--require-hashes", "--link-mode=copy"),
        *("--python", f"{layout.ENV}/bin/python", "--find-links", "/strixforge/wheels"),
        *("--requirement", "/strixforge/wheels/requirements.txt"),
    ]
    return [make, install]


def _bash(step: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", step]
