"""Figures as files: what is drawn, the same bytes each time, and what only the page can show."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import plotly.graph_objects as go
import pytest

from sweeper.report.axes import mark_diverged
from sweeper.report.blocks import Figure
from sweeper.report.document import build_document
from sweeper.report.drawing import draw_figure
from sweeper.report.theme import blank_figure, plain
from sweeper.tracking.records import StudyRecord

from .synthetic import MemoryReader


def block(figure: go.Figure, **fields: Any) -> Figure:
    return Figure(key="f", title="A title & more", description="", figure=figure, data=pd.DataFrame(), **fields)


def scatter(**options: Any) -> go.Figure:
    figure = blank_figure(x="epoch", y="accuracy", percent_y=True, legend=True)
    figure.add_trace(go.Scatter(x=[1, 2, 3], y=[0.1, None, 0.3], name="a", **options))
    return figure


def svg(figure: go.Figure, **fields: Any) -> str:
    return draw_figure(block(figure, **fields), ["svg"])["svg"].decode()


def texts(content: str) -> list[str]:
    """All texts of an SVG file."""
    return [e.text or "" for e in ElementTree.fromstring(content).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.filterwarnings("error::UserWarning")
def test_every_figure_of_a_report_is_drawn(sweep: tuple[StudyRecord, MemoryReader]) -> None:
    """Without matplotlib's warning that there is no room for the axes: something is then far outside of them."""
    items = [item for item in build_document([sweep[0]], sweep[1], top=2).items() if isinstance(item.block, Figure)]
    assert len(items) > 15
    for item in items:
        assert isinstance(item.block, Figure)
        content = draw_figure(item.block, ["svg"], narrow=item.narrow)["svg"].decode()
        for axis in (item.block.figure.layout.xaxis, item.block.figure.layout.yaxis):
            assert not axis.title.text or axis.title.text in texts(content)
        for trace in item.block.figure.data:
            if item.block.figure.layout.showlegend and trace.showlegend is not False and trace.name:
                assert trace.name in texts(content)


@pytest.mark.parametrize("file_format", ["svg", "pdf"])
def test_same_figure_same_bytes_whatever_was_set(file_format: Any) -> None:
    figure = block(scatter(mode="lines+markers"))
    first = draw_figure(figure, [file_format])[file_format]
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert draw_figure(figure, [file_format])[file_format] == first
        assert mpl.rcParams["font.size"] == 20
    assert not re.search(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}T|CreationDate", first)
    assert mpl.__version__.encode() not in first


def test_text_stays_text_in_its_own_direction() -> None:
    figure = scatter()
    figure.add_trace(go.Scatter(x=[1], y=[0.2], name=plain("קטן <b>&$x$")))
    found = texts(svg(figure))
    assert "\u2068קטן <b>&$x$\u2069" in found
    assert "20%" in found
    assert "<title>A title &amp; more</title>" in svg(figure)


def test_bands_can_be_seen_through() -> None:
    band = svg(scatter(fill="toself", fillcolor="#1F7FC4", opacity=0.15, mode="lines", line={"width": 0}))
    assert "fill: #1f7fc4; fill-opacity: 0.15" in band or "fill: #1f7fc4; opacity: 0.15" in band
    band = svg(scatter(fill="toself", fillcolor="rgba(31,127,196,0.5)", opacity=0.5, mode="lines"))
    assert re.search(r"fill: #1f7fc4; (fill-)?opacity: 0\.25", band)


def test_logarithmic_axes_and_ranges() -> None:
    figure = blank_figure(x="lr", y="loss")
    figure.add_trace(go.Scatter(x=[1e-4, 1e-2], y=[1.0, 5.0]))
    figure.update_xaxes(type="log")
    figure.update_yaxes(range=[0.0, 2.0])
    found = texts(svg(figure))
    assert {"1e-4", "1e-3", "0.01"} <= set(found)
    assert "5.0" not in found


def test_categories_keep_their_order_and_long_ones_are_broken() -> None:
    figure = blank_figure(x="configuration", y="accuracy")
    figure.add_trace(go.Bar(x=["b", "a", "many words that do not fit into one line of it"], y=[1, 2, 3]))
    found = texts(svg(figure))
    assert found.index("b") < found.index("a")
    assert "many words that do not" in " ".join(found)
    figure.update_xaxes(categoryorder="array", categoryarray=["a", "b"])
    found = texts(svg(figure))
    assert found.index("a") < found.index("b")


def test_crosses_of_diverged_trials_do_not_move_the_axis() -> None:
    figure = scatter()
    before = texts(svg(figure))
    mark_diverged(figure, [2.0], ["trial 2 diverged"])
    assert [t for t in texts(svg(figure)) if t.endswith("%")] == [t for t in before if t.endswith("%")]


def test_what_only_the_page_can_show_has_no_file(caplog: pytest.LogCaptureFixture) -> None:
    for figure, words in (
        (go.Figure(go.Scatter3d(x=[1], y=[1], z=[1])), "'scatter3d'"),
        (scatter(fill="tonexty"), "'tonexty'"),
        (scatter(marker={"color": [1, 2, 3]}, mode="markers"), "coloured by a number"),
        (scatter().add_annotation(x=1, y=1, text="here"), "annotations"),
    ):
        assert draw_figure(block(figure), ["svg", "pdf"]) == {}
        assert words in caplog.records[-1].getMessage()


def test_colours_are_explained_beside_a_map_where_the_page_does_so() -> None:
    figure = blank_figure(x="lr", y="weight_decay")
    figure.add_trace(go.Contour(x=[0, 1, 2], y=[0, 1], z=[[0.5, 0.6, 0.7], [0.6, 0.7, 0.8]], coloraxis="coloraxis"))
    figure.update_layout(coloraxis={"cmin": 0.5, "cmax": 0.8, "colorbar": {"tickformat": ".2~%"}})
    assert {"60%", "70%"} <= set(texts(svg(figure)))
    figure.update_layout(coloraxis={"showscale": False})
    assert not any(text.endswith("%") for text in texts(svg(figure)))


def test_the_legend_has_the_page_s_order_and_epochs_begin_with_the_first() -> None:
    figure = blank_figure(x="epoch", y="loss", legend=True)
    figure.add_trace(go.Scatter(x=[1, 15, 30], y=[3, 2, 1], mode="lines", name="worst", legendrank=2))
    figure.add_trace(go.Scatter(x=[1, 15, 30], y=[2, 1, 0.5], mode="lines", name="best", legendrank=1))
    found = texts(svg(figure))
    assert found.index("best") < found.index("worst")
    assert found[0] != "0"


def with_legend(n: int, n_letters: int) -> go.Figure:
    figure = blank_figure(x="epoch", y="loss", legend=True)
    for i in range(n):
        figure.add_trace(go.Scatter(x=[1, 2], y=[i, i], mode="lines", name=f"{i} {'word ' * 20}"[:n_letters]))
    return figure


def height_of(content: str) -> float:
    return float(ElementTree.fromstring(content).attrib["height"].removesuffix("pt"))


@pytest.mark.filterwarnings("error")
def test_a_long_legend_makes_the_figure_higher_and_leaves_the_plot_its_room() -> None:
    """Twelve names of 80 letters once pressed the axes to nothing, which matplotlib warns of."""
    short, long = with_legend(2, 5), with_legend(12, 80)
    for narrow in (False, True):
        files = [draw_figure(block(f, height=200), ["svg"], narrow=narrow)["svg"].decode() for f in (short, long)]
        assert height_of(files[1]) - height_of(files[0]) > 100
    assert block(short).whole_height == block(short).height
    assert block(long).whole_height > block(long).height + 150
