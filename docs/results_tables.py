"""Tables of the results page: of configurations, and of the analyses of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from results_tracked import SEED, Tried

from sweeper.report.augmentations import fold_augmentations
from sweeper.report.format import number, param_text, percent, plural, short_names
from sweeper.report.parameters import run_params, varied_params
from sweeper.report.statistics import Sample, accuracy_interval

_N_NAMES = 6
"""With more parameters than this a study is a search, of which the report has the table."""
_N_ROWS = 12


def _is_share(measure: str) -> bool:
    return "accuracy" in measure or measure.rpartition("/")[2] in ("auc", "precision", "recall")


def _figure(sample: Sample | None, measure: str, decimals: int) -> str:
    """A mean, and its 95 % interval."""
    if sample is None:
        return "–"

    def show(value: float) -> str:
        if measure.endswith("auc"):
            return f"{value:.4f}"
        return percent(value, decimals) if _is_share(measure) else number(value, 3)

    interval = "" if sample.interval is None else f" ({show(sample.interval.low)}–{show(sample.interval.high)})"
    return show(sample.mean) + interval


_WORDS = {
    "accuracy": "overall",
    "true_accuracy": "overall, true",
    "balanced_accuracy": "mean of classes",
    "true_balanced_accuracy": "mean of classes, true",
    "auc": "macro AUC",
    "train/accuracy": "training",
    "val/accuracy": "validation",
}


def heading_of(measure: str) -> str:
    """What a column of this metric is headed: the class of an accuracy per class."""
    base, _, name = measure.partition("/")
    if base == "true_accuracy" and name:
        return f"{name}, true"
    if base in ("accuracy", "loss") and name:
        return name if base == "accuracy" else f"loss of {name}"
    return _WORDS.get(measure, measure)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table in Markdown."""
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def results_table(tried: Tried, measures: Sequence[str]) -> Iterator[str]:
    """Configurations against measures: the best by validation first; of a search the chosen one alone."""
    labels = tried.labels()
    names = list(dict.fromkeys(name for label in labels for name in label))
    searched = _searched(tried)
    is_search = len(names) > _N_NAMES or (len(tried.groups) == 1 and bool(searched))
    shown = [] if is_search else names
    rows = []
    for runs, label in list(zip(tried.groups, labels, strict=True))[: 1 if is_search else _N_ROWS]:
        cells = [_figure(tried.sample(runs, measure), measure, tried.decimals) for measure in measures]
        rows.append([*(label.get(name, "") for name in shown), str(len(runs)), *cells])
    yield from table([*shown, "seeds", *map(heading_of, measures)], rows)
    yield ""
    part = "the test part" if tried.part == "test" else "validation pictures, since the study was not tested"
    chosen = ""
    if is_search and tried.chosen:
        params = fold_augmentations(run_params(tried.chosen[0]))
        short = short_names(own := [path for path in searched if path in params])
        values = ", ".join(f"{short[path]} {param_text(params[path])}" for path in own)
        chosen = f" Chosen of {plural(len(tried.record.runs), 'trial')}: {values}."
    yield f"Ours, on {part}; the best by validation first, with 95 % intervals where there are seeds.{chosen}"


def _searched(tried: Tried) -> list[str]:
    """Paths of the parameters that varied between the trials of the study."""
    params = [fold_augmentations(run_params(run)) for run in tried.record.runs]
    return [path for path in varied_params(params) if path != SEED and not path.endswith(".repeat")]


def _audit(result: Mapping[str, Any]) -> Iterator[str]:
    truth = result["truth"]
    rows = [
        [what, _share(truth["found"], truth[of]), f"{truth['found']} of {truth[of]}"]
        for what, of in (("precision", "suspects"), ("recall", "wrong"))
    ]
    yield from table(["", "% (95 % interval)", "labels"], rows)
    yield ""
    yield (
        f"{plural(result['n_pictures'], 'picture')} for training and validation, {result['n_folds']} folds, "
        f"{plural(result['n_seeds'], 'seed')}; pruned by `{result['prune']}`, which see in "
        "[Analyse a run](how-to/analysis.md). "
        f"{truth['wrong_after']} labels of {truth['wrong']} are wrong after relabelling."
    )


def _share(n: int, of: int) -> str:
    interval = accuracy_interval(n / of, of) if of else None
    return "–" if interval is None else f"{percent(n / of)} ({percent(interval.low)}–{percent(interval.high)})"


def _attack(result: Mapping[str, Any]) -> Iterator[str]:
    by_epsilon: dict[float, list[Mapping[str, Any]]] = {}
    for row in result["accuracy"]:
        by_epsilon.setdefault(row["epsilon"], []).append(row)
    target = result["target"]
    names = [str(row["class"]) for row in next(iter(by_epsilon.values()))]
    rows = []
    for epsilon, classes in by_epsilon.items():
        led = [] if target is None else [percent(_total(classes, "as_target") / _total(classes, "n"))]
        rows.append([number(epsilon, 2), *(percent(row["right"] / row["n"]) for row in classes), *led])
    yield from table(["ε", *names, *([] if target is None else [f"taken for {target}"])], rows)
    yield ""
    yield (
        f"Accuracy of each class in percent after `{result['method']}`"
        f"{'' if target is None else f' towards {target}'}, "
        f"{plural(result['n_pictures'], 'validation picture')}, trial {result['trial']}."
    )


def _total(rows: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(int(row[key]) for row in rows)


_SPACES = {"features": "features of the model", "pixels": "principal components of the pixels"}


def _embedding(result: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [_SPACES.get(name, name), percent(space["plane"]["knn_accuracy"]), number(space["plane"]["silhouette"], 3)]
        for name, space in result["spaces"].items()
    ]
    yield from table(["plane", "nearest neighbours of the same class, %", "silhouette"], rows)
    yield ""
    yield f"{plural(result['n_pictures'], 'validation picture')}, trial {result['trial']}."


ANALYSES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    "audit": ("label_audit", _audit),
    "attack": ("attack", _attack),
    "embedding": ("embedding", _embedding),
}
