"""Whether a kernel does anything, told from its instructions.

A kernel whose source has no branch for the target compiles to a stub under the right name: it
asserts, or ends at once. It is known by what it lacks: no path of it writes memory that others see.
"""

from enum import Enum

from strixforge.audit.bounds import MalformedError
from strixforge.audit.instructions import Effect, is_read, walk
from strixforge.audit.targets import base

LONGEST_STUB = 1024
"""Bytes. Stubs of vLLM 0.11.0 that assert have up to 256; longer bodies are taken to do something,
so that the time of an audit does not go by the size of its kernels."""


class Body(Enum):
    """What is known of a kernel's machine code."""

    WORKS = "works"
    """It writes something, or calls something and comes back; or it is too long for a stub."""
    ENDS = "ends"
    """It comes to its end without having written or called anything."""
    FAILS = "fails"
    """It writes nothing and never comes to an end: it asserts or traps."""
    UNREAD = "unread"
    """The target's instructions are not known, or the code is not found."""


def classify(code: memoryview, target: str) -> Body:
    """Return what is known of one kernel's code, for a target such as gfx1151."""
    if len(code) > LONGEST_STUB:
        return Body.WORKS
    if not code or not is_read(base(target)):
        return Body.UNREAD
    try:
        effects = {effect for _, effect in walk(code)}
    except MalformedError:
        return Body.UNREAD
    if Effect.WRITE in effects:
        return Body.WORKS
    if Effect.END not in effects and Effect.JUMP not in effects:
        return Body.FAILS
    return Body.WORKS if effects & {Effect.CALL, Effect.JUMP} else Body.ENDS
