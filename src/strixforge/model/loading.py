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

_AT = re.compile(r" - at (`key` in )?`\$(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_CHOICE = re.compile(r"Invalid (?:enum )?value '?(?P<name>.*?)'?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[\w-]+)|\[(?P<index>\d+|\.\.\.)\]")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the closest of `known`, or all of them, or nothing."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def read_toml(path: Path) -> dict[str, Any]:
    """Parse one TOML file. Raises DataError naming line and column, or that it is missing."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise DataError(
            f"{path.name} does not exist.",
            where=str(path),
            fix=f"Restore it: git checkout '{path}'",
        ) from None
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {error.strerror}.",
            where=str(path),
            fix="It must be a file that you may read.",
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} is not UTF-8: {error.reason} at byte {error.start}.",
            where=str(path),
            fix="Save it as UTF-8.",
        ) from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and numbers of 4300 digits
        last = f"at line {max(1, len(text.splitlines()))}, the last"
        reason = str(error).replace("at end of document", last)
        raise DataError(
            f"{path.name} is not TOML: {reason}.",
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
        what, path, fix = _explain(str(error), kind)
        place = f"{key}{path}".lstrip(".")
        raise DataError(what, where=f"{file}: {place or 'top level'}", fix=fix) from None


def _explain(message: str, kind: Any) -> tuple[str, str, str]:
    """Return what msgspec's message says, the path in it, and what could stand there instead."""
    at = _AT.search(message)
    path = at["path"] if at else ""
    message = _AT.sub("", message)
    parents, nodes, named = _follow(msgspec.inspect.type_info(kind), path)
    if unknown := _UNKNOWN.match(message):
        known = {name for node in nodes for name in _keys(node)}
        return f"unknown key '{unknown['name']}'.", path, nearest(unknown["name"], known)
    if choice := _CHOICE.match(message):
        values = [value for node in nodes for value in getattr(node, "values", ())]
        values += [node.tag for node in parents if getattr(node, "tag_field", None) == named]
        what = f"'{choice['name']}' is not a value of this key."
        return what, path, nearest(choice["name"], map(str, values))
    if "matching regex" in message:
        forms = dict.fromkeys(form for node in nodes for form in _forms(node))
        return "the value does not have the form of this key.", path, " ".join(forms)
    message = message.replace("Object missing required field", "missing key").replace("`", "'")
    return f"{message}.", path, ""


def _follow(root: Any, path: str) -> tuple[list[Any], list[Any], str]:
    """Walk down `path`: the types one step above its end, those at its end, and its last key."""
    parents: list[Any] = []
    nodes = _alternatives(root)
    named = ""
    for step in _STEP.finditer(path):
        parents, below = nodes, list[Any]()
        named = step["field"] or ""
        for node in parents:
            below += [f.type for f in getattr(node, "fields", ()) if f.encode_name == named]
            if step["index"]:
                inner = (getattr(node, name, None) for name in ("item_type", "value_type"))
                below += [one for one in inner if one is not None]
        nodes = [one for node in below for one in _alternatives(node)]
    return parents, nodes, named


def _alternatives(node: Any) -> list[Any]:
    """Return the members of a union, else the type alone."""
    return list(getattr(node, "types", (node,)))


def _keys(node: Any) -> list[str]:
    """Return the keys of a struct."""
    keys = [field.encode_name for field in getattr(node, "fields", ())]
    return [*keys, node.tag_field] if getattr(node, "tag_field", None) else keys


def _forms(node: Any) -> list[str]:
    """Return the description that a pattern carries; for the keys and values of a table, both."""
    inner = [getattr(node, name, None) for name in ("key_type", "value_type")]
    schemas = [getattr(one, "extra_json_schema", None) or {} for one in (node, *inner)]
    return [str(schema["description"]) for schema in schemas if "description" in schema]
