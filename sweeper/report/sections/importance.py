"""What the parameters did: how much each matters, its marginal effect, pairs that act together, all trials at once."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from sweeper.report.blocks import Block, Column, Figure, Note, Row, Table
from sweeper.report.determined import describe_determined
from sweeper.report.drawn import Drawn
from sweeper.report.effect import gather_explained
from sweeper.report.format import as_float, count, percent, plural
from sweeper.report.sections.marginal import build_marginals
from sweeper.report.sections.pairs import build_pairs
from sweeper.report.sections.parallel import build_parallel
from sweeper.report.study_data import StudyData
from sweeper.report.surrogate import N_NEEDED, USEFUL, Surrogate
from sweeper.report.theme import blank_figure, plain, plotted, series_style

__all__ = ["build_importance", "draw_importance", "gather_importance", "tabulate_importance"]

_METHODS = {"fanova": "fANOVA", "ped_anova": "PED-ANOVA"}


def gather_importance(data: StudyData, drawn: Drawn) -> pd.DataFrame:
    """How much each parameter matters, most first: columns parameter, label, fanova, ped_anova (shares of 1), explained
    (see `gather_explained`), n_trials (complete ones that have it).

    A measure is missing where it is not defined: fANOVA of a parameter that only some trials have.
    """
    # Imported here: Optuna takes longer to import than a small report to write.
    from sweeper.search.importance import evaluate_importances

    importances = evaluate_importances(
        drawn.rows,
        drawn.values,
        maximize=data.objective.maximize,
        is_log={parameter.path: parameter.is_log for parameter in drawn.parameters},
    )
    explained = gather_explained(data).set_index("parameter")["explained"]
    rows = [
        {
            "parameter": p.path,
            "label": p.label,
            "fanova": importances.fanova.get(p.path),
            "ped_anova": importances.ped_anova.get(p.path),
            "explained": as_float(float(explained.get(p.path, float("nan")))),
            "n_trials": sum(p.path in row for row in drawn.rows),
        }
        for p in drawn.parameters
    ]
    rows.sort(key=lambda row: -max(_known(row["fanova"]), _known(row["ped_anova"])))
    columns = ["parameter", "label", "fanova", "ped_anova", "explained", "n_trials"]
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    frame.attrs["n_top"] = importances.n_top
    return frame.where(frame.notna(), None)


def _known(value: object) -> float:
    return as_float(value) or 0.0


def tabulate_importance(frame: pd.DataFrame, n: int) -> Table:
    """The measures side by side; of a single parameter only what it explains, since shares among all are 100 %."""
    shares = [
        Column(key="fanova", label="fANOVA (%)", show=lambda v: percent(v, 0), numeric=True),
        Column(key="ped_anova", label="PED-ANOVA (%)", show=lambda v: percent(v, 0), numeric=True),
    ]
    columns = [
        Column(key="label", label="parameter", header=True),
        *(shares if len(frame) > 1 else []),
        Column(key="explained", label="order explained (%)", show=lambda v: percent(v, 0), numeric=True),
        Column(key="n_trials", label="trials", show=count, numeric=True),
    ]
    explained = (
        "Order explained: share of the order of the trials that lies between groups of equal values, less what chance "
        "gives (epsilon squared of Kruskal and Wallis)."
    )
    note = (
        "fANOVA: share of the variance of the values that the parameter explains by itself, over its whole range; of "
        "parameters that all trials have. PED-ANOVA: how much it matters for being among the best "
        f"{frame.attrs['n_top']} of {n}. {explained} The first two add up to 100, even where nothing matters."
    )
    if len(frame) == 1:
        note = explained
    return Table(key="importance", title="How much each parameter matters", frame=frame, columns=columns, note=note)


def draw_importance(frame: pd.DataFrame) -> Figure:
    """Bars for fANOVA and PED-ANOVA, the most important parameter on top."""
    figure = blank_figure(x="share of importance", y="", legend=True)
    labels = [plain(label) for label in frame["label"]]
    for index, (key, name) in enumerate(_METHODS.items()):
        figure.add_trace(
            go.Bar(
                x=plotted(frame[key]),
                y=labels,
                name=name,
                orientation="h",
                marker={"color": series_style(index)[0], "pattern": {"shape": "/" if index else ""}},
                hovertemplate="%{y}: %{x:.0%}",
            )
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    top = frame.iloc[0]
    words = [f"{name} {percent(top[key], 0)} %" for key, name in _METHODS.items() if top[key] is not None]
    return Figure(
        key="bars",
        title="Importance of the parameters",
        description=f"Bars for {plural(len(frame), 'parameter')}; first is {top['label']}, {', '.join(words)}.",
        figure=figure,
        data=frame,
        height=max(200, 90 + 34 * len(frame)),
    )


def _describe_model(surrogate: Surrogate, n: int) -> Note:
    """How far the model that effects are read from can be trusted."""
    explained = surrogate.explained
    words = (
        f"Effects are read from a model of the {n} complete trials (extremely randomized trees on bootstrap samples). "
        "Of trials that it has not seen it explains "
    )
    bands = " Bands and bars of the effects are 95 % intervals of its mean."
    if explained >= USEFUL:
        return Note(text=f"{words}{percent(explained, 0)} % of the variance.{bands}")
    share = "nothing" if explained <= 0.0 else f"only {percent(explained, 0)} % of the variance"
    return Note(
        text=f"{words}{share}: with so few or such similar values, what follows may be chance alone.{bands}",
        level="warning",
    )


def build_importance(data: StudyData) -> Sequence[Block]:
    """Importance, marginal effects, interactions with contours, parallel coordinates; nothing where nothing varied."""
    drawn = Drawn(data)
    if not data.factors or data.best is None or not drawn.parameters:
        return []
    blocks: list[Block] = []
    n = len(drawn.runs)
    others = {state: len(runs) for state, runs in data.by_state.items() if state != "COMPLETE"}
    if n < N_NEEDED:
        words = (
            f"Importance and effects need at least {N_NEEDED} complete trials; there {'is' if n == 1 else 'are'} {n}."
        )
        blocks.append(Note(text=words))
    elif len(set(drawn.values)) == 1:
        blocks.append(Note(text=f"All {n} complete trials have the same value: no parameter mattered."))
    else:
        frame = gather_importance(data, drawn)
        if others.get("PRUNED", 0) > n:
            words = (
                f"Only the {n} complete trials count here; {plural(others['PRUNED'], 'pruned trial')} were cut short."
            )
            blocks.append(Note(text=words))
        if drawn.determined:
            blocks.append(Note(text=describe_determined(drawn.determined, drawn.labels)))
        blocks.append(tabulate_importance(frame, n))
        if len(frame) > 1:
            blocks.append(Row(items=[draw_importance(frame)]))
        is_wide = not data.value_is_percent and min(drawn.values) > 0 and max(drawn.values) > 30 * min(drawn.values)
        surrogate = Surrogate(drawn, log=is_wide)
        blocks.append(_describe_model(surrogate, n))
        ranked = [next(p for p in drawn.parameters if p.path == path) for path in frame["parameter"]]
        blocks += build_marginals(data, surrogate, ranked)
        blocks += build_pairs(data, surrogate, ranked)
    if len(drawn.parameters) > 1 and n > 1:
        blocks.append(Row(items=[build_parallel(data, drawn)]))
    return blocks
