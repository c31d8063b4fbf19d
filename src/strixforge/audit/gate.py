"""The architecture gate: device code for the wanted GPU, and for no other."""

from collections.abc import Iterable

from strixforge.audit.codeobjects import CodeObject, Unreadable
from strixforge.audit.targets import covers


def architecture_findings(
    found: Iterable[CodeObject | Unreadable], arch: str, *, required: bool
) -> list[str]:
    """Return one sentence for each reason to refuse `found`; an empty list means passed.

    Refused are code objects whose target is neither `arch` (such as gfx1151) nor a generic target
    that covers it, and all that could not be read. With `required`, at least one kernel for `arch`
    must be there. That proves presence only: a kernel may still be an empty stub.
    """
    findings = []
    code_objects = kernels = 0
    for item in found:
        if isinstance(item, Unreadable):
            findings.append(f"{item.where} cannot be read: {item.reason}.")
        elif not covers(item.target, arch):
            findings.append(f"{item.where} is built for {item.target}, not for {arch}.")
        else:
            code_objects += 1
            kernels += len(item.kernels)
    if required and not code_objects:
        findings.append(f"There is no code object at all for {arch}.")
    elif required and not kernels:
        findings.append(f"The code objects for {arch} ({code_objects}) hold no kernel.")
    return findings
