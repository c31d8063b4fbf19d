"""Bills of materials and provenance follow from what they describe, and others can read them."""

import json
from dataclasses import replace

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import ComponentScope

from strixforge.attest.bill import Part, bill_of_all, bill_of_part
from strixforge.attest.provenance import statement
from tests.unit.tiny import MADE_FROM, STUFF, TINY


def test_the_bill_of_a_wheel_names_source_patch_and_tools() -> None:
    text = bill_of_part(TINY)
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined] # made by serializable
    top = bom.metadata.component
    assert (top.name, top.version, str(top.purl)) == ("tiny", "1.0", "pkg:pypi/tiny@1.0")
    (source,) = top.pedigree.ancestors
    assert next(iter(source.external_references)).comment == "ab" * 20
    assert len(top.pedigree.patches) == 1
    assert {one.name: one.scope for one in bom.components} == {
        "setuptools": ComponentScope.EXCLUDED
    }
    assert "timestamp" not in json.loads(text)["metadata"]


def test_a_bill_is_the_same_text_for_the_same_content_in_any_order() -> None:
    parts = [replace(TINY, requires=(STUFF.ref,)), STUFF, Part("pip", "25", "pypi", file="tools/p")]
    text = bill_of_all("house", "1", parts)
    assert text == bill_of_all("house", "1", reversed(parts))
    other = bill_of_all("house", "2", parts)
    assert json.loads(text)["serialNumber"] != json.loads(other)["serialNumber"]
    needs = {one["ref"]: one.get("dependsOn", []) for one in json.loads(text)["dependencies"]}
    assert needs[TINY.ref] == sorted([STUFF.ref, "pkg:pypi/setuptools@80.0"])
    assert needs["house"] == sorted(part.ref for part in parts)


def test_a_statement_has_the_kinds_of_in_toto_and_slsa() -> None:
    text = statement({"b": "2", "a": "1"}, {"stack": "x"}, {}, MADE_FROM)
    read = json.loads(text)
    assert read["_type"] == "https://in-toto.io/Statement/v1"
    assert read["predicateType"] == "https://slsa.dev/provenance/v1"
    assert read["subject"] == [
        {"name": "a", "digest": {"sha256": "1"}},
        {"name": "b", "digest": {"sha256": "2"}},
    ]
    made_from = read["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [one["annotations"]["kind"] for one in made_from] == ["source", "patch", "tool"]
    assert made_from[0]["digest"] == {"gitCommit": "ab" * 20}
    assert read["predicate"]["runDetails"].keys() == {"builder"}
