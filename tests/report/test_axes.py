"""Ticks of axes: whole numbers, values that have room, names in lines."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from sweeper.report.axes import category_axis, place_axis, spread_axis, tick_room
from sweeper.report.theme import epoch_figure, whole_ticks


@pytest.mark.parametrize(("n_epochs", "step"), [(1, 1), (3, 1), (8, 1), (9, None), (50, None)])
def test_few_epochs_have_a_tick_each(n_epochs: int, step: int | None) -> None:
    """Plotly would write 1, 2, 2, 3, 3 for halves between 1 and 3."""
    assert epoch_figure(range(1, n_epochs + 1), y="loss").layout.xaxis.dtick == step


def test_no_epochs_no_ticks_of_their_own() -> None:
    figure = go.Figure()
    whole_ticks(figure, [])
    assert figure.layout.xaxis.dtick is None


def test_ticks_have_room_in_one_of_three_figures() -> None:
    """83 and 101 would touch each other."""
    values = [16.0, 34.0, 43.0, 57.0, 83.0, 101.0]
    wide, narrow = go.Figure(), go.Figure()
    spread_axis(wide, values, log=True)
    spread_axis(narrow, values, log=True, narrow=True)
    assert list(wide.layout.xaxis.tickvals) == values
    assert 83.0 not in narrow.layout.xaxis.tickvals


def test_names_of_few_categories_stand_in_lines() -> None:
    figure = go.Figure()
    place_axis(figure, ["augment none, normalize false", "rotation 15°, normalize true"])
    assert figure.layout.xaxis.ticktext == ("augment none,<br>normalize false", "rotation 15°,<br>normalize true")


def test_names_of_many_categories_are_cut_in_the_middle() -> None:
    names = [f"{kind} of the long names of values" for kind in ("first", "second", "third", "fourth", "fifth", "sixth")]
    figure = go.Figure()
    category_axis(figure, names)
    assert all("…" in text and "<br>" not in text for text in figure.layout.xaxis.ticktext)


def test_an_isolated_name_is_not_broken() -> None:
    names = ["\u2068קטן מאוד וגם ארוך ארוך\u2069", "second name that is long"]
    figure = go.Figure()
    place_axis(figure, names)
    assert not any("<br>" in text for text in figure.layout.xaxis.ticktext)


def test_long_names_take_no_height_from_the_plot() -> None:
    rooms = []
    for names in (
        ["adam", "sgd"],
        ["augment none, normalize false", "rotation 15°, normalize true"],
        ["a name " * 4] * 9,
    ):
        figure = go.Figure()
        place_axis(figure, names)
        rooms.append(tick_room(figure))
    assert rooms[0] == 0
    assert 0 < rooms[1] < rooms[2]


def test_ticks_of_numbers_need_no_room() -> None:
    figure = go.Figure()
    spread_axis(figure, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], log=True)
    assert tick_room(figure) == 0
