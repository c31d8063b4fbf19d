"""TOML into typed data, strictly: each fault names the file, the key and the nearest valid name."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from strixforge.model.errors import DataError

T = TypeVar("T")

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the closest of `known`, or all of them, or nothing."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def read_toml(path: Path) -> dict[str, Any]:
    """Parse one TOML file. Raises DataError naming line and column, or that it is missing."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path.name} does not exist.", where=str(path), fix="Restore it: git checkout it."
        ) from None
    except IsADirectoryError:
        raise DataError(f"{path.name} is a folder, not a TOML file.", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is not UTF-8: {error.reason} at byte {error.start}.", where=str(path)
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"{path.name} is not TOML: {error}.",
            where=str(path),
            fix="Mend that line; `git diff` shows what changed last.",
        ) from None


def convert(raw: Any, kind: type[T], *, file: Path, key: str) -> T:
    """Check `raw` against the struct `kind`.

    `key` is the dotted place of `raw` in `file`; it stands before msgspec's own path in errors.
    Raises DataError for an unknown key, a missing key, or a wrong type.
    """
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        message = str(error)
        at = _AT.search(message)
        path = key + (at["path"] if at else "")
        message = _AT.sub("", message)
        unknown = _UNKNOWN_FIELD.match(message)
        if unknown:
            raise DataError(
                f"unknown key '{unknown['name']}'.",
                where=f"{file}: {path or 'top level'}",
                fix=nearest(unknown["name"], _field_names(kind)),
            ) from None
        raise DataError(
            f"{message.replace('Object missing required field', 'missing key')}.",
            where=f"{file}: {path or 'top level'}",
        ) from None


def _field_names(kind: Any) -> set[str]:
    """Return the keys of a struct, a union of structs, and of all that they hold."""
    found: set[str] = set()
    seen: set[int] = set()

    def visit(node: Any) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            if id(node.cls) in seen:
                return
            seen.add(id(node.cls))
            if isinstance(node.tag_field, str):
                found.add(node.tag_field)
            for field in node.fields:
                found.add(field.encode_name)
                visit(field.type)
        for name in ("types", "item_types"):
            for inner in getattr(node, name, ()):
                visit(inner)
        for name in ("item_type", "value_type"):
            inner = getattr(node, name, None)
            if inner is not None:
                visit(inner)

    visit(msgspec.inspect.type_info(kind))
    return found
