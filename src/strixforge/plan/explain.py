"""The difference of two key documents, in words."""

import re
from collections import Counter
from typing import Any

from strixforge.plan.keys import KeyDocument

_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28,52}\b")
_WORDS = {
    "contract": "the sandbox contract",
    "version": "the pinned version",
    "arch": "the target architecture",
    "source": "the source",
    "epoch": "SOURCE_DATE_EPOCH",
    "patches": "the patches",
    "python requirements": "the locked Python build requirements",
    "root": "the root that builds see",
    "needs": "what it needs",
    "recipe": "the recipe",
}


def differences(old: KeyDocument, new: KeyDocument) -> list[str]:
    """Return one sentence for each thing that differs; empty when the two are equal."""
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        name = _WORDS.get(key, key)
        if isinstance(before, dict) and isinstance(after, dict):
            found.extend(_in_table(name, before, after))
        elif isinstance(before, list) and isinstance(after, list):
            found.extend(_in_list(name, before, after))
        else:
            found.append(f"{name} changed: {_short(before)} -> {_short(after)}")
    return found


def _in_table(name: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            found.extend(_in_list(f"{name}: {key}", one, other))
        elif isinstance(one, dict) and isinstance(other, dict):
            found.extend(_in_table(f"{name}: {key}", one, other))
        elif one is None:
            found.append(f"{name}: {key} is new: {_short(other)}")
        elif other is None:
            found.append(f"{name}: {key} is gone: {_short(one)}")
        else:
            found.append(f"{name}: {key} changed: {_short(one)} -> {_short(other)}")
    return found


def _in_list(name: str, before: list[Any], after: list[Any]) -> list[str]:
    old, now = Counter(map(str, before)), Counter(map(str, after))  # a check is a table
    gone, new = (old - now).elements(), (now - old).elements()
    found = [f"{name}: - {_short(one)}" for one in gone] + [
        f"{name}: + {_short(one)}" for one in new
    ]
    return found or [f"{name}: the order changed"]


def _short(value: Any) -> str:
    """Shorten digests and long texts for reading."""
    text = _DIGEST.sub(lambda match: match[1] + "…", str(value))
    return text if len(text) <= 160 else text[:157] + "…"
