"""channels.toml: which indexes there are, and faults that name their channel and key."""

from pathlib import Path

import pytest

from strixforge.model.channels import Channel, load_channels
from strixforge.model.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]
GOOD = {"name": '"nightly"', "index": '"https://index.test/"', "source": '"a page"'}
FORM = "does not have the form of this key"


def channels(path: Path, *several: dict[str, str]) -> Path:
    """Write channels.toml; a key without a value is left out."""
    file = path / "channels.toml"
    file.write_text(
        "".join(
            "[[channel]]\n" + "".join(f"{key} = {text}\n" for key, text in one.items() if text)
            for one in several
        )
    )
    return file


def test_the_shipped_one_loads_and_each_says_where_it_was_read() -> None:
    found = load_channels(ROOT / "channels.toml").channels
    assert {"stable", "rc", "nightly"} <= found.keys()
    assert found["nightly"].fresh_days is not None
    assert found["stable"].fresh_days is None
    assert all(name == one.name and one.source.strip() for name, one in found.items())
    assert len({one.index for one in found.values()}) == len(found)


def test_channels_are_read_as_written(tmp_path: Path) -> None:
    file = channels(tmp_path, GOOD | {"fresh_days": "7"}, GOOD | {"name": '"other"'})
    assert load_channels(file).channels == {
        "nightly": Channel("nightly", "https://index.test/", "a page", 7),
        "other": Channel("other", "https://index.test/", "a page"),
    }


@pytest.mark.parametrize(
    ("change", "key", "word"),
    [
        ({"idnex": '"x"'}, "channel (nightly)", "idnex"),
        ({"index": ""}, "channel (nightly)", "index"),
        ({"source": ""}, "channel (nightly)", "source"),
        ({"name": ""}, "channel (number 1)", "name"),
        ({"name": '"A Night"'}, "channel (A Night).name", FORM),
        ({"name": "5"}, "channel (5).name", "str"),
        ({"index": '"index.test/tarball"'}, "channel (nightly).index", FORM),
        ({"index": '"ftp://index.test/"'}, "channel (nightly).index", FORM),
        ({"index": '"https://index.test/a b"'}, "channel (nightly).index", FORM),
        ({"index": '"https://index.test/\\n"'}, "channel (nightly).index", FORM),
        ({"fresh_days": "0"}, "channel (nightly).fresh_days", "1"),
        ({"fresh_days": '"7"'}, "channel (nightly).fresh_days", "int"),
    ],
)
def test_a_fault_names_its_channel_and_key(
    tmp_path: Path, change: dict[str, str], key: str, word: str
) -> None:
    file = channels(tmp_path, GOOD | change)
    with pytest.raises(DataError) as caught:
        load_channels(file)
    assert caught.value.where == f"{file}: {key}"
    assert word in caught.value.what


def test_a_key_that_is_almost_one_is_told_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_channels(channels(tmp_path, GOOD | {"fresh_day": "7"}))
    assert caught.value.fix == "Did you mean 'fresh_days'?"


def test_an_address_of_another_form_is_told_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_channels(channels(tmp_path, GOOD | {"index": '"index.test"'}))
    assert caught.value.fix == "Write an https, http or file address."


def test_an_address_that_cannot_be_taken_apart_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the address is not valid"):
        load_channels(channels(tmp_path, GOOD | {"index": '"http://[::1/t/"'}))


def test_two_of_the_same_name_are_refused(tmp_path: Path) -> None:
    file = channels(tmp_path, GOOD, GOOD | {"name": '"b"'}, GOOD)
    with pytest.raises(DataError) as caught:
        load_channels(file)
    assert caught.value.what == "two channels are named 'nightly'."
    assert caught.value.where == f"{file}: channel (nightly)"
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "missing key 'channel'."),
        ("channel = 1\n", "Expected"),
        ("channel = [1]\n", "Expected"),
        ("channel = []\nother = 1\n", "unknown key 'other'."),
        ("[[channel]\n", "is not TOML"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "channels.toml"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        load_channels(file)
    assert what in caught.value.what
    assert str(file) in caught.value.where


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_channels(tmp_path / "channels.toml")


def test_a_channel_is_found_by_name_and_another_is_told_the_nearest(tmp_path: Path) -> None:
    found = load_channels(channels(tmp_path, GOOD, GOOD | {"name": '"stable"'}))
    assert found.named("stable", where="channel=stable").name == "stable"
    with pytest.raises(UsageError) as caught:
        found.named("nigthly", where="channel=nigthly")
    assert caught.value.what == "there is no channel 'nigthly'."
    assert caught.value.where == "channel=nigthly"
    assert caught.value.fix == "Did you mean 'nightly'?"
