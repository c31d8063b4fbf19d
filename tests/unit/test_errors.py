"""What an error shows."""

from strixforge.model import errors
from strixforge.model.errors import DataError, StrixforgeError


def test_an_error_shows_what_where_cause_and_next_with_further_lines_aligned() -> None:
    error = DataError("it broke.", where="file\nline two", cause="a slip", fix="mend it")
    assert str(error).splitlines() == [
        "Not valid: it broke.",
        "  where: file",
        "         line two",
        "  cause: a slip",
        "  next:  mend it",
    ]


def test_what_a_file_says_cannot_steer_the_terminal() -> None:
    shown = str(DataError("\x1b[2Jgone \x9b31m\r", where="a\x07b"))
    assert not {"\x1b", "\x9b", "\r", "\x07"} & set(shown)


def test_every_error_class_has_its_own_exit_code_and_title() -> None:
    def below(kind: type[StrixforgeError]) -> list[type[StrixforgeError]]:
        return [one for direct in kind.__subclasses__() for one in (direct, *below(direct))]

    kinds = [kind for kind in below(StrixforgeError) if kind.__module__ == errors.__name__]
    codes = [kind.exit_code for kind in kinds]
    assert len(kinds) >= 14
    assert len(set(codes)) == len(codes)
    assert len({kind.title for kind in kinds}) == len(kinds)
    assert not set(codes) & {0, 1, 2, 3}  # doit's own
