"""What an output must be before it may be published: whole, for the right GPU, linked inside."""

import contextlib
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from strixforge.audit.codeobjects import scan
from strixforge.audit.gate import architecture_findings
from strixforge.audit.hollow import hollow_findings
from strixforge.model.digests import file_sha256
from strixforge.model.errors import GateError
from strixforge.model.recipe import Recipe
from strixforge.plan import layout


def check_output(
    name: str, recipe: Recipe, arch: str, out: Path, needs: Mapping[str, Path], *, shell: str
) -> None:
    """Check what the recipe promises of its output. Raises GateError naming what is missing.

    `needs` are the outputs of what it needs, by component.
    """
    for path in out.rglob("*"):
        if not (path.is_symlink() or path.is_file() or path.is_dir()):
            raise GateError(
                f"the output of {name} holds {path.relative_to(out)}, which is neither a file, "
                "a link nor a folder.",
                where=str(path),
                fix=shell,
            )
    _check_links(name, out, shell)
    wheels = sorted(out.glob("*.whl"))
    if recipe.output == "wheel":
        if len(wheels) != 1 or any(path not in wheels for path in out.iterdir()):
            found = ", ".join(path.name for path in sorted(out.iterdir())) or "nothing"
            raise GateError(
                f"{name} must leave exactly one wheel in {layout.OUT}, and left: {found}.",
                where=str(out),
                fix=shell,
            )
        try:
            distribution, *_ = parse_wheel_filename(wheels[0].name)
            with zipfile.ZipFile(wheels[0]) as zipped:
                names = zipped.namelist()
        except (zipfile.BadZipFile, InvalidWheelFilename) as error:
            raise GateError(
                f"the wheel of {name} cannot be read: {error}.", where=str(wheels[0]), fix=shell
            ) from None
        if distribution != recipe.distribution:
            raise GateError(
                f"{name} made a wheel of {distribution}, not of {recipe.distribution}.",
                where=str(wheels[0]),
                cause="Another wheel was left in the out folder, perhaps a prebuilt one.",
                fix=f'{shell}    (or say so: distribution = "{distribution}" in the recipe)',
            )
    else:
        names = [path.relative_to(out).as_posix() for path in out.rglob("*")]
    missing = [p for p in recipe.check.paths if not any(fnmatch(one, p) for one in names)]
    if missing or not names:
        raise GateError(
            f"the output of {name} lacks {', '.join(missing) or 'everything: it is empty'}.",
            where=str(out),
            cause="The build ended well but did not make what its recipe promises.",
            fix=f"{shell}    (or mend check.paths in the recipe)",
        )
    _check_same(name, recipe, out, needs, shell)
    if recipe.steps:  # else a release is taken as it came: what it has for other GPUs is its own
        _check_device_code(name, recipe, arch, out, shell)


def _check_device_code(name: str, recipe: Recipe, arch: str, out: Path, shell: str) -> None:
    """Raise GateError for code objects of other targets, and for kernels that do nothing."""
    objects = list(scan(out))
    findings = architecture_findings(objects, arch, required=recipe.check.code_objects)
    if findings:
        raise GateError(
            f"the code objects of {name} are not right for {arch}.",
            where="\n".join(findings[:12]),
            cause="An architecture list of the source may lack it, or a prebuilt file got in.",
            fix=shell,
        )
    hollow = hollow_findings(objects, arch, [one.kernels for one in recipe.check.hollow])
    if hollow:
        more = [f"and in {len(hollow) - 12} more files"] if len(hollow) > 12 else []
        raise GateError(
            f"{name} has kernels for {arch} with nothing in them.",
            where="\n".join([*hollow[:12], *more]),
            cause=f"A macro or a condition of the source does not know {arch}; the name stays, and "
            "what calls it gets no result.",
            fix=f"Mend the source with a patch; if upstream means it so, check.hollow of the recipe"
            f" names the kernels, and why.\n{shell}",
        )


def _check_same(
    name: str, recipe: Recipe, out: Path, needs: Mapping[str, Path], shell: str
) -> None:
    """Raise GateError for a file that is not the one that a needed component built."""
    for path, origin in recipe.check.same.items():
        need, _, inner = origin.partition("/")
        theirs = needs[need] / inner if need in needs else None
        if theirs is None or not theirs.is_file():
            raise GateError(
                f"{name} is to hold {origin}, which is not there.",
                where=str(theirs or need),
                fix="Mend check.same of the recipe: a component among its needs, and a file of it.",
            )
        if _content(out, path) != file_sha256(theirs):
            raise GateError(
                f"{path} of {name} is not the one that {need} built.",
                where=f"{out}\n{theirs}",
                cause="A prebuilt one got in, or the build made one of its own.",
                fix=shell,
            )


def _content(out: Path, path: str) -> str:
    """Return the sha256 of a file of an output, or of the wheel in it; empty where it is not."""
    for wheel in out.glob("*.whl"):
        broken = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, KeyError)
        with (
            contextlib.suppress(*broken),
            zipfile.ZipFile(wheel) as zipped,
            zipped.open(path) as file,
        ):
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            return digest.hexdigest()
        return ""
    return file_sha256(out / path) if (out / path).is_file() else ""


def _check_links(name: str, out: Path, shell: str) -> None:
    """Raise GateError for a link that would lead elsewhere once the output is installed."""
    root = os.path.realpath(out)
    for path in out.rglob("*"):
        if path.is_symlink():
            target = os.path.realpath(path)
            if path.readlink().is_absolute() or os.path.commonpath((root, target)) != root:
                raise GateError(
                    f"the output of {name} holds a link that leads out of it: "
                    f"{path.relative_to(out)} -> {path.readlink()}.",
                    where=str(out),
                    cause="An installed prefix lies in another folder, where that link is dead.",
                    fix=f"Make it relative in the recipe's steps.\n{shell}",
                )
