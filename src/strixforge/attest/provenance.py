"""Provenance: an in-toto statement on the files of a wheelhouse, with a SLSA v1 predicate.

Sources: in-toto/attestation, spec/v1/statement.md and spec/v1/resource_descriptor.md; SLSA's
provenance v1. Its times are left out, which it allows: the same build makes the same statement.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from strixforge.attest.materials import Material

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:strixforge:wheelhouse:1"
"""What its parameters mean is in docs/reference/proof.md."""
BUILDER = "urn:strixforge:builder:local"


def statement(
    files: Mapping[str, str],
    external: Mapping[str, Any],
    internal: Mapping[str, Any],
    materials: Iterable[Material],
) -> str:
    """Return the statement, as JSON, on files: their sha256 by path."""
    document = {
        "_type": STATEMENT,
        "subject": [
            {"name": path, "digest": {"sha256": digest}} for path, digest in sorted(files.items())
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(external),
                "internalParameters": dict(internal),
                "resolvedDependencies": [_descriptor(one) for one in materials],
            },
            "runDetails": {"builder": {"id": BUILDER, "version": {"strixforge": _version()}}},
        },
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _version() -> str:
    return version("strixforge")


def _descriptor(one: Material) -> dict[str, Any]:
    told = {"kind": one.kind, "version": one.version}
    return {
        "name": one.name,
        "uri": one.uri,
        **({"digest": dict(one.digests)} if one.digests else {}),
        "annotations": {name: text for name, text in told.items() if text},
    }
