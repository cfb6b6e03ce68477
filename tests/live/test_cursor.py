from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ErrorCode, InvalidInput
from app.live.cursor import DatabaseIdentity, decode_cursor, encode_cursor
from db.queries.events import Position

DATABASE = DatabaseIdentity(7_711_083_527_731_272_236, 16_384)
NOW = datetime(2026, 11, 22, 20, 15, 30, 123_456, tzinfo=UTC)

times = st.datetimes(datetime(1970, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  (made aware)
positions = st.builds(Position, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), times)


@given(positions)
def test_a_cursor_says_its_database_and_place(position: Position) -> None:
    cursor = encode_cursor(DATABASE, position)
    assert decode_cursor(cursor) == (DATABASE, position)
    assert len(cursor) == 56
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(positions, positions)
def test_cursors_sort_like_their_events(one: Position, other: Position) -> None:
    assert (encode_cursor(DATABASE, one) < encode_cursor(DATABASE, other)) == (
        one.key < other.key or (one.key == other.key and one.created_at < other.created_at)
    )


GOOD = encode_cursor(DATABASE, Position(1493, 20_000, NOW))


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "x",
        "null",
        GOOD[:-1],
        GOOD + "-",
        GOOD[:-1] + "=",
        " " + GOOD[1:],
        "é" + GOOD[1:],
        "\x00" * 56,
        "-" * 56,
        "z" * 56,
        GOOD[:30] + ("A" if GOOD[30] != "A" else "B") + GOOD[31:],
        GOOD[1:] + GOOD[0],
        "\ud800" * 56,
        "A" * 1_000_000,
    ],
)
def test_what_is_no_cursor_is_refused(malformed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_cursor(malformed)
    assert caught.value.code is ErrorCode.INVALID_INPUT
    assert caught.value.field == "after"
    assert "leave `after` out" in caught.value.message


def test_every_changed_character_is_noticed() -> None:
    for place in range(len(GOOD)):
        changed = GOOD[:place] + ("k" if GOOD[place] != "k" else "m") + GOOD[place + 1 :]
        with pytest.raises(InvalidInput):
            decode_cursor(changed)


def test_a_time_beyond_all_calendars_is_refused() -> None:
    late = encode_cursor(DATABASE, Position(1, 1, datetime.max.replace(tzinfo=UTC) - timedelta(days=1)))
    assert decode_cursor(late)[1].created_at.year == 9999
