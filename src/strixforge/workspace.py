"""One run's view of everything: settings, plan, policy, cache and store, and what is built."""

import json
import os
import threading
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from strixforge.forge.hostroot import host_root
from strixforge.forge.toolchains import Toolchain, open_toolchain
from strixforge.model.digests import document_digest, file_sha256
from strixforge.model.errors import GateError, IntegrityError, PolicyError, UnpinnedError
from strixforge.model.lock import Lock
from strixforge.model.patch import require_locked
from strixforge.model.pins import SystemPin, require_pinned
from strixforge.plan.graph import Component, Plan
from strixforge.plan.keys import KeyDocument, key_document
from strixforge.policy import Policy, in_location
from strixforge.settings import Settings
from strixforge.sources import Site, kind_of
from strixforge.sources.cache import Cache
from strixforge.store.store import Record, Store
from strixforge.toolchain.claim import check_claim, check_targets


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one component before anything runs."""

    key: str | None
    """None while the output of a needed component is not known."""
    document: KeyDocument | None
    record: Record | None
    waits_for: tuple[str, ...]
    """Needed components whose outputs are not known."""
    unpinned: UnpinnedError | None = None
    """Why nothing can be made of it yet: a commit or a hash is not known."""


class Workspace:
    """Everything a task needs; made once a run, lazily."""

    def __init__(
        self, settings: Settings, lock: Lock, policy: Policy, plan: Plan, warnings: list[str]
    ) -> None:
        """Use `open_workspace`."""
        self.warnings = warnings
        """What this run must be told: of the policy, and of what the stack allows."""
        self.settings = settings
        self.lock = lock
        self.policy = policy
        self.plan = plan
        self.store = Store(settings.store)
        self.cache = Cache(settings.cache, self.store.mirror)
        self.site = Site(
            home=settings.home,
            cache=self.cache,
            repositories=lock.repositories,
            mirrors=settings.mirrors,
        )
        self.forge_lock = threading.Lock()
        """Held while a component builds: one at a time, with all jobs."""
        self._refusal: PolicyError | None = None
        self._sources: dict[str, str] = {}
        self._built: dict[str, Status] = {}

    @cached_property
    def _host_root(self) -> dict[str, str]:
        return host_root(self.settings.cache)

    def root_key(self, component: Component) -> dict[str, str]:
        """Return the root's part of a component's key document: nothing where no step runs."""
        if not component.is_built:
            return {"kind": "none"}
        if self.plan.root is None:
            return self._host_root
        record = self.status(self.plan.root).record
        if record is None:  # pragma: no cover - _status has looked
            raise GateError(f"the root {self.plan.root} is not unpacked.")
        return {"kind": "packages", "tree": record.output, "python": self.plan.python.version}

    def site_of(self, component: Component) -> Site:
        """Return what the component's source is taken from; a system's lies in the root."""
        if self.plan.root is None or not isinstance(component.pin, SystemPin):
            return self.site
        record = self.status(self.plan.root).record
        if record is None:  # pragma: no cover - _status has looked
            raise GateError(f"the root {self.plan.root} is not unpacked.")
        return replace(self.site, root=self.store.tree(record.output))

    def status(self, name: str) -> Status:
        """Follow the records from the leaves to `name`."""
        if name in self._built:
            return self._built[name]
        found = self._status(name)
        if found.record is not None:
            self._built[name] = found  # it stays built for the rest of the run
        return found

    def need(self, name: str) -> Status:
        """Return the status of what a build sees under the name of a need.

        That is the component which the need stands for, where that one is built.
        """
        stands_for = self.plan.component(name).recipe.stands_for
        if stands_for in self.plan.components:
            real = self.status(str(stands_for))
            if real.record is not None:
                return real
        return self.status(name)

    def forget(self) -> None:
        """Look at the store anew: artifacts were set aside."""
        self._built.clear()

    def refuse(self, refusal: PolicyError) -> None:
        """Keep a reason not to fetch or build anything; locking and looking go on."""
        self._refusal = self._refusal or refusal
        self.warnings.append(f"{refusal.what} Nothing is built before that is mended.")

    def require_allowed(self) -> None:
        """Raise PolicyError where something was refused, before anything long begins."""
        if self._refusal is not None:
            raise self._refusal

    def require_pinned(self, component: Component) -> None:
        """Check that source, patches and Python requirements are known by hash.

        Raises UnpinnedError, or IntegrityError for what was changed.
        """
        require_pinned(
            component.pin, where=f"{self.lock.file}: stack.{self.plan.stack}, {component.name}"
        )
        self.require_patches(component)
        component.requirements  # noqa: B018 - it is read from the lock

    def require_patches(self, component: Component) -> None:
        """Check the component's patches against the lock, and that none of the lock's is gone.

        Raises UnpinnedError or IntegrityError.
        """
        here = {one.path.name for one in (*component.patches, *(p for p, _ in component.skipped))}
        for name in self.lock.patches:
            folder, _, file = name.partition("/")
            if folder == component.pin.component and file not in here:
                raise IntegrityError(
                    f"the patch {name} is gone; the lock names it.",
                    where=f"{self.lock.file}: patches",
                    fix=f"git checkout 'patches/{name}'\nIf that is meant: ./doit lock",
                )
        for patch in component.patches:
            require_locked(patch, component.pin.component, self.lock.patches, lock=self.lock.file)

    def require_unchanged(self, component: Component) -> None:
        """Raise IntegrityError when source or patches changed since this run computed the key."""
        kind = kind_of(component.pin)
        now = kind.digest(component.pin, self.site_of(component))
        same = now == self._sources[component.name]
        for patch in component.patches:
            same = same and file_sha256(patch.path) == patch.sha256
        for need in component.recipe.needs:  # what is installed on the host can change too
            if isinstance(self.plan.component(need).pin, SystemPin):
                self.require_unchanged(self.plan.component(need))
        if not same:
            raise IntegrityError(
                f"the source or a patch of {component.name} changed while it was built.",
                where=getattr(component.pin, "path", str(self.lock.file)),
                cause="What came out may be made of the old or the new one, so it is not kept.",
                fix="Give the same command again.",
            )

    def _status(self, name: str) -> Status:
        component = self.plan.component(name)
        try:
            self.require_pinned(component)
            if not isinstance(component.pin, SystemPin):
                self._source(component)
        except UnpinnedError as error:
            return Status(None, None, None, (), error)
        needs: dict[str, str] = {}
        waits = []
        for need in self.plan.needs(name):
            record = self.need(need).record
            if record is None:
                waits.append(need)
            elif need != self.plan.root:
                needs[need] = record.output
        if waits:
            return Status(None, None, None, tuple(waits))
        document = key_document(
            component,
            self.plan,
            {need: self.toolchain(need).facts.texts() for need in self._toolchains(component)},
            source=self._source(component),
            root=self.root_key(component),
            needs=needs,
        )
        key = document_digest(document)
        record = self.store.record(key)
        if record is not None and not self.store.holds(record.output):
            record = None
        return Status(key, document, record, ())

    def _source(self, component: Component) -> str:
        """Return the source's digest; a local folder is read once a run."""
        if component.name not in self._sources:
            kind = kind_of(component.pin)
            self._sources[component.name] = kind.digest(component.pin, self.site_of(component))
        return self._sources[component.name]

    def state_file(self, name: str) -> Path:
        """Return the file that says what a component was last built to; doit's target."""
        return self.settings.build / "state" / self.plan.stack / f"{name}.json"

    def last_key(self, name: str) -> str | None:
        """Return the key that a component was last built to in this clone, if any."""
        try:
            return str(json.loads(self.state_file(name).read_text())["key"])
        except (OSError, json.JSONDecodeError, KeyError, TypeError):
            return None

    def write_state(self, name: str, record: Record) -> None:
        """Remember the record that a component was last built or restored to."""
        path = self.state_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(f".{os.getpid()}")
        staged.write_text(json.dumps({"key": record.key, "output": record.output}, indent=1))
        staged.replace(path)

    def up_to_date(self, name: str) -> bool:
        """Say whether the component's current key is built and remembered here."""
        status = self.status(name)
        if status.record is None or self.last_key(name) != status.key:
            return False
        self.check_toolchain(name, self.store.tree(status.record.output))
        return True

    def _toolchains(self, component: Component) -> list[str]:
        needs = component.recipe.needs
        return [one for one in needs if self.plan.component(one).recipe.output == "toolchain"]

    def toolchain(self, name: str) -> Toolchain:
        """Return a toolchain that is in the store, or on the system. Raises GateError."""
        record = self.status(name).record
        if record is None:
            raise GateError(f"the toolchain {name} is not there.", fix=f"./doit build_{name}")
        return self._open(name, self.store.tree(record.output))

    def _open(self, name: str, tree: Path) -> Toolchain:
        component = self.plan.component(name)
        return open_toolchain(component.pin, tree, self.site_of(component).root)

    def check_toolchain(self, name: str, tree: Path) -> None:
        """Ask the policy about a toolchain each time it is used: rules may be younger than it.

        Raises PolicyError, or GateError for one that is another release than its pin says.
        """
        component = self.plan.component(name)
        if component.recipe.output == "toolchain":
            toolchain = self._open(name, tree)
            if isinstance(component.pin, SystemPin) and self.plan.root is None:
                # The host's /opt/rocm may be a link to rocm-7.0.1.
                real = str(toolchain.folder.resolve())
                self.warnings += self.policy.check(in_location(real, real))
            self.warnings += self.policy.check_toolchain(toolchain.folder)
            self.warnings += check_claim(toolchain.folder, name, component.pin.version)
            check_targets(toolchain.facts, name, self.plan.arch)
