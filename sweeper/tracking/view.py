"""How MLflow's UI shows the runs of a study: best first, with the columns that matter.

MLflow keeps a shared view as a tag of the experiment, and opens it where its key stands in the address. Without one it
shows the parent run alone, its trials folded away, and leaves it to the reader to find the metrics and parameters among
some ninety columns.

Whether MLflow 3.17 shows the training of models or the traces of language models is decided by the address
(`workflowType`), else by what the browser showed last, at first traces. The experiment's tag `mlflow.experimentKind`
matters only to releases without that switch. So the experiment's description, which all pages of it show, has the
address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sweeper.tracking.tracker import EXPERIMENT_ID, MAX_TAG_LENGTH

__all__ = ["VIEW_TAG", "described", "runs_path", "runs_view"]

_KEY = "sweeper"
VIEW_TAG = f"mlflow.sharedViewState.{_KEY}"
"""The experiment's tag."""
_METRICS = ("objective", "val/accuracy", "val/loss", "train/accuracy", "train/loss")
_MAX_PARAMS = 20
_MAX_ID_LENGTH = 32
"""Of an experiment's id; servers may have longer ones than MLflow's own."""


def runs_view(*, maximize: bool, params: Sequence[str]) -> str:
    """The view, as MLflow 3 stores it.

    Args:
        maximize: Whether a higher objective is better.
        params: Parameters that vary; the first 20 get columns.
    """
    columns = [f"metrics.`{name}`" for name in _METRICS] + [f"params.`{name}`" for name in params[:_MAX_PARAMS]]
    return json.dumps(
        {
            "orderByKey": "metrics.`objective`",
            "orderByAsc": not maximize,
            "searchFilter": "",
            "selectedColumns": columns,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
        }
    )


def runs_path(experiment_id: str) -> str:
    """The path of a study's runs below the address of MLflow's UI."""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={_KEY}"


def described(text: str) -> str:
    """The description of an experiment, in Markdown, with a link to its runs. What is longer than MLflow takes is cut
    before the link."""
    link = f" [Trials, best first]({runs_path(EXPERIMENT_ID)})"
    room = MAX_TAG_LENGTH - len(link.replace(EXPERIMENT_ID, "")) - _MAX_ID_LENGTH
    return (text if len(text) <= room else f"{text[: room - 1].rstrip()}…") + link
