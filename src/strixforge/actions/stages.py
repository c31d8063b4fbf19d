"""The stages of a candidate, from its lock to its mirror; the cheap ones come first."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from strixforge import pinning
from strixforge.host.gpu import find_gpus
from strixforge.model.errors import GateError
from strixforge.model.pins import ArchivePin, GitPin
from strixforge.nightly import trial
from strixforge.nightly.candidate import (
    Candidate,
    lay_out,
    moved_pins,
    named_files,
    write_lock,
)
from strixforge.nightly.feed import Kernels, Smoke, Toolchain
from strixforge.nightly.trial import Failed
from strixforge.opening import open_workspace
from strixforge.plan.device import DEVICE
from strixforge.toolchain.identity import manifest_commit
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace

_SHOWN = 10


class TrialError(Exception):
    """A run of doit in the candidate's folder ended badly."""

    def __init__(self, failed: Failed) -> None:
        """Take how it ended."""
        super().__init__(failed.block)
        self.failed = failed


@dataclass(slots=True)
class Trial:
    """What is known of the candidate so far."""

    ws: Workspace
    candidate: Candidate
    pin: ArchivePin
    """The pin of this checkout that is moved."""
    archive: Toolchain
    channel: str
    against: Candidate | None
    """What is promoted; None where nothing is yet."""
    by_hand: bool
    """A person wants it: worse kernels are told, and do not stop it."""
    stage: str = "policy"
    pins: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    kernels: Kernels | None = None
    smoke: Smoke | None = None
    bytes: int = 0

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables of every run in the candidate's folder."""
        settings = self.ws.settings
        chosen = settings.carried(settings.store, settings.cache)
        chosen["sandbox"] = settings.sandbox
        if settings.jobs is not None:
            chosen["jobs"] = str(settings.jobs)
        if settings.sign_with is not None:
            chosen["sign_with"] = str(settings.sign_with)
        if settings.mirrors:
            chosen["mirror"] = " ".join(settings.mirrors)
        return chosen

    def inner(self) -> Workspace:
        """Return the candidate's own workspace, as it stands now."""
        return open_workspace(self.candidate.project, self.variables, here=self.candidate.project)

    def run(self, *tasks: str) -> None:
        """Run tasks in the candidate's folder. Raises TrialError."""
        names = {*self.pins, *(f"{DEVICE}{name}" for name in self.pins), "gates"}

        def show(line: str) -> None:
            name, _, text = line.partition(" ")
            if name in names and not text.strip().startswith(("log: ", "up to date")):
                BOARD.say(f"  {name}", text.strip())
            activity.line(line)

        log = self.candidate.folder / "log"
        with BOARD.activity(self.stage) as activity:
            failed = trial.run(self.candidate.project, self.variables, tasks, log, show)
        if failed is not None:
            raise TrialError(failed)


def _policy(now: Trial) -> None:
    """Make the candidate's lock, and ask the policy about all of it, before anything is loaded."""
    ws, candidate = now.ws, now.candidate
    stack = ws.lock.stack(ws.plan.stack)
    now.pins = ws.plan.versions() | {now.pin.component: candidate.release}
    now.pins = moved_pins(ws.lock, stack, now.pin.component, candidate.release)
    lay_out(candidate, ws.settings.home, ws.plan)
    write_lock(candidate, ws.plan.stack, now.pin, now.pins, now.archive)
    inner = now.inner()
    inner.require_allowed()
    for name in inner.plan.closure(inner.plan.shipped()):
        # What ends a night after its download is told before it.
        if name != now.pin.component and (error := inner.status(name).unpinned) is not None:
            raise error
    moved = [n for n, v in now.pins.items() if v != ws.plan.versions().get(n)]
    BOARD.say("candidate", f"{candidate.name}: moves {', '.join(moved) or 'nothing'}")


def _download(now: Trial) -> None:
    """Take the archive once, and pin it. Later nights ask for the same bytes."""
    from strixforge.sources.http import first_download

    known = now.candidate.archive()
    if known is not None and known.url == now.archive.url:
        now.archive = known
    is_new = not now.archive.sha256
    if is_new:
        what = f"{now.pin.component} {now.candidate.release}"
        with BOARD.activity("download") as activity:
            sha256 = first_download(now.archive.url, now.ws.cache, activity.progress, what=what)
        now.archive = msgspec.structs.replace(now.archive, sha256=sha256)
    found = now.ws.cache.find(now.archive.sha256)
    size = found.stat().st_size if found is not None else now.archive.bytes
    now.archive = msgspec.structs.replace(now.archive, bytes=size)
    now.candidate.keep(now.archive)
    inner = now.inner()
    moved = inner.plan.component(now.pin.component).pin
    if isinstance(moved, ArchivePin):
        pinning.set_field(inner, moved, "sha256", now.archive.sha256)
    size_told = f"{size / 1e6:.1f} MB, " if is_new else "pinned already: "
    BOARD.say("download", f"{size_told}sha256 {now.archive.sha256}")


def _toolchain(now: Trial) -> None:
    """Unpack the release; what it says of itself must fit, and must not be refused."""
    now.run(f"build_{now.pin.component}")


def _identity(now: Trial) -> None:
    """Take its commit from the manifest: numbers alone do not tell one build from another."""
    inner = now.inner()
    record = inner.status(now.pin.component).record
    if record is None:  # pragma: no cover - it was built just now
        raise GateError(f"{now.pin.component} is not there.")
    tree = inner.store.tree(record.output)
    commit = manifest_commit(tree)
    if not commit:
        raise GateError(
            f"{now.pin.component} {now.candidate.release} does not say which build it is.",
            where=f"{tree}/share/therock/therock_manifest.json: the_rock_commit",
            cause="It was taken apart, or is no release of TheRock.",
        )
    now.archive = msgspec.structs.replace(now.archive, commit=commit)
    BOARD.say("identity", f"made from commit {commit} of TheRock")


def _devices(now: Trial) -> None:
    """Compile device code alone, where the stack has such a check: minutes before hours."""
    inner = now.inner()
    for name in inner.plan.devices:
        now.run(name)
        record = now.inner().status(name).record
        if record is None:  # pragma: no cover - it was built just now
            raise GateError(f"{name} is not there.")
        _compare(now, inner.store.tree(record.output), name)


def _build(now: Trial) -> None:
    """Build what changed, and collect it through all gates."""
    now.run("wheelhouse")
    made = now.candidate.project / "build" / "wheelhouse" / now.ws.plan.stack
    made.rename(now.candidate.wheelhouse)
    files = [path for path in now.candidate.wheelhouse.rglob("*") if path.is_file()]
    now.bytes = sum(path.stat().st_size for path in files)


def _kernels(now: Trial) -> None:
    """Hold the kernels against those of what is promoted; the gates have seen the rest."""
    now.kernels = _compare(now, now.candidate.wheelhouse, "kernels")


def _install(now: Trial) -> None:
    """Install it beside the wheelhouse, where this machine can: what is promoted can be used."""
    from strixforge.actions.smoking import install_beside

    candidate = now.candidate
    if now.ws.settings.elsewhere:
        BOARD.say("install", "not here: it is for other machines (target=elsewhere)")
        return
    with BOARD.activity("install") as activity:
        missing = install_beside(
            candidate.wheelhouse, candidate.prefix, candidate.folder / "log", activity.line
        )
    BOARD.say("install", f"not here: {missing}" if missing else f"into {candidate.prefix}")


def _smoke(now: Trial) -> None:
    """Run it on the GPU, where the GPU is here."""
    from strixforge.actions.smoking import run_on_gpu, smoke_lock
    from strixforge.smoke.running import has_gpu

    ws, candidate = now.ws, now.candidate
    if not candidate.prefix.is_dir():
        BOARD.say("smoke", "nothing ran on a GPU: it is not installed here")
    elif not has_gpu(find_gpus(), ws.plan.arch):
        BOARD.say("smoke", f"nothing ran on a GPU: there is no {ws.plan.arch} here")
    else:
        plan = now.inner().plan
        names = plan.closure(plan.shipped())
        log = candidate.folder / "smoke.log"
        lock = smoke_lock(ws)
        now.smoke = run_on_gpu(
            candidate.project, names, candidate.prefix, ws.plan.arch, log=log, lock=lock
        )


def _mirror(now: Trial) -> None:
    """Keep every download and commit that the candidate's locks name: hosts prune what they had."""
    for sha256 in sorted(named_files(now.candidate.project)):
        now.ws.cache.keep(sha256)
    inner = now.inner()
    for component in inner.plan.components.values():
        if isinstance(component.pin, GitPin):
            from strixforge.sources import git

            git.keep(component.pin, now.ws.cache)


def _compare(now: Trial, place: Path, name: str) -> Kernels:
    """Record the kernels at a place, and hold them against those that were promoted by that name.

    Raises GateError where they are worse than they may be.
    """
    from strixforge.audit.compare import compare
    from strixforge.audit.files import collect, without_kpack
    from strixforge.audit.limits import Limits, findings
    from strixforge.audit.page import page
    from strixforge.audit.snapshot import RecordError, snapshot, take, write_record

    arch = now.ws.plan.arch
    with BOARD.activity("kernels"):
        found, skipped = without_kpack(collect([place], [arch]))
        taken = snapshot(found, arch)
    if skipped:
        BOARD.say("warning", f"{skipped} kpack archives cannot be read: their kernels may differ")
    if not taken.files or taken.unreadable:
        raise GateError(
            f"{now.candidate.release} has device code that is unreadable."
            if taken.unreadable
            else f"{now.candidate.release} has no kernel for {arch}.",
            where="\n".join([str(place), *taken.unreadable[:_SHOWN]]),
        )
    write_record(taken, now.candidate.folder / f"{name}.zst")
    count = len(taken.kernels)
    old = now.against.folder / f"{name}.zst" if now.against is not None else None
    if old is None or not old.is_file():
        BOARD.say(name, f"{count} for {arch}; nothing is promoted to compare with")
        return Kernels(count)
    try:
        compared = compare(take(old, arch), taken)
    except RecordError as error:
        raise GateError(f"the kernels of what is promoted cannot be read: {error}.") from None
    rules = now.ws.policy.rules
    mine, release = (
        Limits(**msgspec.structs.asdict(one)) for one in (rules.kernels, rules.release_kernels)
    )
    worse = findings(compared, mine, {now.pin.component: release})
    html = now.candidate.folder / f"{name}.html"
    html.write_text(page(compared, tuple(worse)), encoding="utf-8")
    counts = Kernels(count, len(compared.gone), len(compared.added), len(compared.changed()))
    BOARD.say(
        name,
        f"{count} for {arch}; {counts.gone} gone, {counts.added} new, {counts.changed} changed: "
        f"{html}",
    )
    now.kernels = counts
    if worse and now.by_hand:
        BOARD.say("warning", "\n".join(["promoted by hand, although:", *worse[:_SHOWN]]))
    elif worse:
        raise GateError(
            f"the kernels of {now.candidate.release} are worse than they may be.",
            where="\n".join(worse[:_SHOWN]),
            cause=f"Limits: [kernels] of policy.toml. All of it: {html}",
        )
    return counts


STAGES = (
    *(_policy, _download, _toolchain, _identity, _devices, _build),
    *(_kernels, _install, _smoke, _mirror),
)
"""In their order. Each raises what ends the trial."""
