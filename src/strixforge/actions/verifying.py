"""What is kept, and what is handed over, against what it says of itself."""

from pathlib import Path

from strixforge.actions.bundling import bundle_place
from strixforge.actions.collecting import wheelhouse_lock, wheelhouse_place
from strixforge.model.errors import IntegrityError, StrixforgeError
from strixforge.store.lock import exclusive
from strixforge.ui.board import BOARD
from strixforge.workspace import Workspace


def verify(ws: Workspace) -> None:
    """Check a wheelhouse or bundle at `path=`; without it the store, and the stack's own of both.

    Raises IntegrityError for what was changed, UsageError for a `path=` or key that is none.
    """
    if ws.settings.path is not None:
        _prove(ws, ws.settings.path)
        return
    _verify_store(ws)

    def wait() -> None:
        BOARD.say("verify", "another run collects or bundles; waiting")

    with exclusive(wheelhouse_lock(ws), wait):
        for place, task in ((wheelhouse_place(ws), "wheelhouse"), (bundle_place(ws), "bundle")):
            again = f"./doit {ws.settings.words()}{task}"
            if not place.exists():
                BOARD.say(task, f"not made yet: {again}")
                continue
            try:
                _prove(ws, place)
            except IntegrityError as error:
                if ws.settings.signed_by is None:
                    error.fix = f"Remove {place}, and make it again:\n{again}"
                raise


def _prove(ws: Workspace, place: Path) -> None:
    from strixforge.attest.signing import public_key
    from strixforge.release.carried import carried
    from strixforge.release.proof import Proof, prove

    trusted = public_key(ws.settings.signed_by) if ws.settings.signed_by else None

    def signature(proof: Proof) -> str:
        if not proof.signed_by:
            return "none: nobody vouches for it. Whoever can change it can change all of it"
        keys = ", ".join(proof.signed_by)
        if proof.trusted:
            return f"good, by the key that you trust:\n{keys}"
        return f"by key {keys}\nnot checked: signed_by=FILE names the public key that you trust"

    with BOARD.activity("verify"), carried(place) as house:
        proof = prove(house, trusted)
    BOARD.say("verify", f"{place}\nstack {proof.stack} for {proof.arch}")
    BOARD.say("bytes", f"{proof.files} files are as SHA256SUMS and manifest.json say")
    BOARD.say(
        "sbom", f"{proof.components} components, and {proof.bills} wheels with a bill inside: agree"
    )
    BOARD.say(
        "provenance", f"about these files; made from {proof.materials} sources, patches and tools"
    )
    BOARD.say("signature", signature(proof))


def _verify_store(ws: Workspace) -> None:
    """Hash everything in the store; set damaged artifacts aside so that they are made again."""
    names: dict[str, str] = {}
    bad = 0
    for path in sorted((ws.store.root / "records").glob("*.json")):
        try:
            record = ws.store.record(path.stem)
        except IntegrityError as error:
            bad += 1
            path.unlink()
            BOARD.say("verify", f"{error.what}\nremoved: {path}")
        else:
            if record is not None:
                names[record.output] = record.document["component"]
    for output in ws.store.objects():
        name = names.get(output, output[:12])
        try:
            ws.store.verified(output, what=name)
        except StrixforgeError as error:
            bad += 1
            BOARD.say("verify", f"{error.what}\nset aside: {ws.store.set_aside(output)}")
    ws.forget()
    BOARD.say("verify", f"{len(ws.store.objects())} artifacts are whole")
    if bad:
        raise IntegrityError(
            f"{bad} artifacts or records of the store were damaged; they are out of the way now.",
            where=str(ws.store.root),
            cause="Something wrote into the store, or the disk is failing.",
            fix="Give your build command again: it makes anew what is missing.",
        )
