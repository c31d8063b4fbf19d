"""The difference of two documents, in words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strixforge.plan.explain import differences


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"version": "1"}, {"version": "2"}, ["the pinned version changed: 1 -> 2"]),
        ({}, {"later": "x"}, ["later changed: None -> x"]),
        ({"patches": ["a", "b"]}, {"patches": ["b", "a"]}, ["the patches: the order changed"]),
        ({"patches": ["a"]}, {"patches": ["a", "a"]}, ["the patches: + a"]),
        ({"patches": ["a"]}, {"patches": ["b"]}, ["the patches: - a", "the patches: + b"]),
        (
            {"recipe": {"env": {"A": "1"}}},
            {"recipe": {"env": {}}},
            ["the recipe: env: A is gone: 1"],
        ),
    ],
)
def test_each_difference_is_one_sentence(
    old: dict[str, Any], new: dict[str, Any], sentences: list[str]
) -> None:
    assert differences(old, new) == sentences


def test_digests_and_long_texts_are_shortened() -> None:
    (sentence,) = differences({"source": "a" * 64}, {"source": "word " * 100})
    assert sentence.startswith("the source changed: aaaaaaaaaaaa… -> word word")
    assert len(sentence) < 260


words = st.text(max_size=3)
tables = st.dictionaries(words, words | st.lists(words, max_size=3), max_size=3)
documents = st.dictionaries(words, words | st.lists(words, max_size=3) | tables, max_size=4)


@given(documents, documents)
def test_two_documents_differ_in_words_exactly_when_they_differ(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert bool(differences(old, new)) == (old != new)
