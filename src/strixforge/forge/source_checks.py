"""What must be in a prepared source, and what must not: an architecture is dropped in silence."""

import re
from collections.abc import Iterable
from pathlib import Path

from strixforge.forge.reading import read_text
from strixforge.model.checks import SourceCheck
from strixforge.model.errors import SourceError


def check_source(name: str, checks: Iterable[SourceCheck], source: Path) -> int:
    """Check a component's source, prepared in `source`. Returns how many checks held.

    Raises SourceError naming every check that does not hold.
    """
    count, failed = 0, []
    for one in checks:
        count += 1
        if reason := _failed(one, source):
            failed.append(f"{one.file}: {reason}\n  because {one.why}")
    if failed:
        raise SourceError(
            f"the source of {name} is not what its recipe expects.",
            where="\n".join([*failed, f"source: {source}"]),
            cause="A patch is missing or changes something else now, or upstream moved it.",
            fix=f"Look at patches/{name} and the file; mend the patch, or check.source.",
        )
    return count


def _failed(check: SourceCheck, source: Path) -> str:
    """Return why a check does not hold, or nothing."""
    real = source.resolve()
    files = [
        path
        for path in sorted(source.glob(check.file))
        if path.is_file() and path.resolve().is_relative_to(real)
    ]
    if not files:
        return "no such file in the source."
    texts = []
    for path in files:
        try:
            texts.append(read_text(path, source))
        except (OSError, ValueError) as error:
            return f"{path.relative_to(source)} {error}."
    found = any(re.search(check.has or check.lacks, text, re.MULTILINE) for text in texts)
    if check.has and not found:
        return f"'{check.has}' is not in it."
    if check.lacks and found:
        return f"'{check.lacks}' is in it."
    return ""
