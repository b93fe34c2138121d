"""Text from right to left within English: names are isolated, numbers stay where they are."""

from __future__ import annotations

import pytest

from sweeper.report.direction import Piece, isolate, order_names, split_directions

SMALL, BIG, SHIP = "קטן", "גדול 2", "سفينة"


def pieces(text: str, *names: str) -> list[Piece]:
    return list(split_directions(text, order_names(names)))


def test_english_is_one_piece() -> None:
    assert pieces("cat, 12.5 %") == [Piece("cat, 12.5 %", right_to_left=False)]
    assert pieces("") == []


def test_a_number_beside_a_name_is_not_taken_along() -> None:
    assert pieces(f"{SMALL} 12.5 %", SMALL) == [
        Piece(SMALL, right_to_left=True),
        Piece(" 12.5 %", right_to_left=False),
    ]


def test_names_are_isolated_each_for_itself() -> None:
    text = f"{SMALL} taken for {BIG} (3 of 4)"
    assert [p.text for p in pieces(text, SMALL, BIG) if p.right_to_left] == [SMALL, BIG]
    assert [p.text for p in pieces(f"{SMALL}, {SHIP}", SMALL, SHIP) if p.right_to_left] == [SMALL, SHIP]


def test_a_name_keeps_its_digits_and_latin_letters() -> None:
    assert pieces(f"of {BIG}", BIG)[-1] == Piece(BIG, right_to_left=True)
    assert pieces("v2 קטן b", "v2 קטן b") == [Piece("v2 קטן b", right_to_left=True)]


def test_what_is_no_name_is_isolated_from_first_to_last_letter() -> None:
    text = "reason: שגיאה 3 בקובץ."
    assert [p.text for p in pieces(text) if p.right_to_left] == ["שגיאה 3 בקובץ"]


@pytest.mark.parametrize("control", ["\u202e", "\u2067", "\u200f", "\u2069"])
def test_controls_that_turn_text_are_dropped(control: str) -> None:
    assert isolate(f"cat{control} 12") == "cat 12"
    assert isolate(f"{SMALL}{control} 12", [SMALL]) == f"\u2068{SMALL}\u2069 12"


def test_the_longest_name_wins() -> None:
    long = f"{SMALL} מאוד"
    assert order_names([SMALL, long, "cat", SMALL]) == (long, SMALL)
    assert [p.text for p in pieces(f"a {long}", SMALL, long) if p.right_to_left] == [long]
