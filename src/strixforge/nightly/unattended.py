"""What runs nights by itself, as text: systemd's units of a user, or a workflow of GitHub."""

import datetime as dt
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import jinja2

from strixforge.model.errors import UsageError

LABEL = "strixforge"
"""The label of the runner that the workflow waits for."""
_TEMPLATES = Path(__file__).with_name("templates")
# Each ends a line for one reader or another, steers a terminal, or is no text.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Night:
    """What is run each night, and when."""

    stack: str
    home: Path
    """The checkout: the folder of ./doit."""
    words: tuple[str, ...]
    """The variables of the run, each as name=value."""
    at: dt.time

    @property
    def name(self) -> str:
        """What units and workflow are called, without their suffixes."""
        return f"strixforge-nightly-{self.stack}"


def timer(night: Night) -> str:
    """Return the unit that starts the service once a day."""
    return _render("unattended.timer.j2", name=night.name, stack=night.stack, at=night.at)


def service(night: Night) -> str:
    """Return the unit that runs one night. Raises UsageError for what a unit cannot hold."""
    words = (str(night.home / "doit"), *night.words, "nightly")
    return _render(
        "unattended.service.j2",
        name=night.name,
        stack=night.stack,
        # A path is not quoted. Its slash keeps a backslash or a space at the end what it is.
        folder=_specifiers(f"{_writable(str(night.home))}/"),
        words=" ".join(_in_unit(word) for word in words),
    )


def workflow(night: Night) -> str:
    """Return the workflow. Raises UsageError for what it cannot hold."""
    words = shlex.join(_writable(word) for word in (*night.words, "nightly"))
    return _render(
        "unattended.yml.j2",
        name=night.name,
        at=night.at,
        label=LABEL,
        # GitHub fills in expressions before any shell sees them; this one gives its own beginning.
        words=words.replace("${{", "${{ '${{' }}"),
    )


def _in_unit(word: str) -> str:
    """Quote a word of a command line: systemd.syntax(7), and "Command lines" of systemd.service(5).

    systemd takes away quotes and backslashes, then fills in specifiers, then variables.
    """
    escaped = _specifiers(_writable(word)).replace("$", "$$")
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _writable(text: str) -> str:
    """Return the text. Raises UsageError for a character that no line of a file can hold."""
    if found := _UNWRITABLE.search(text):
        raise UsageError(
            f"the character {found[0]!a} cannot be in what starts the nights.",
            where=ascii(text),
            cause="It would end the line, or is no text in UTF-8.",
            fix="Rename the folder; write a long command of then= in a script of its own.",
        )
    return text


def _render(template: str, **values: object) -> str:
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    rendered: str = jinja2.Template(
        text, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    ).render(values)
    return rendered
