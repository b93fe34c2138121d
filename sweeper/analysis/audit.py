"""`sweeper audit-labels`: which labels of a study's pictures are wrong, by models that did not learn them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.analysis.arrays import FloatArray, IntArray
from sweeper.analysis.audit_tables import (
    curve_rows,
    method_rows,
    pair_rows,
    score_suspects,
    suspect_rows,
    threshold_rows,
)
from sweeper.analysis.choices import Between, PruneMethod, Ranking
from sweeper.analysis.confident import Suspects, find_suspects
from sweeper.analysis.folds import DROPPED
from sweeper.analysis.out_of_fold import Audited, CrossValidation, open_audited
from sweeper.analysis.pictures import Tile, draw_sheet
from sweeper.errors import InputError, NotFoundError
from sweeper.launch.launcher import WorkerSlot
from sweeper.tracking.analyses import Kept, connect, keep_result
from sweeper.tracking.reading import open_reader
from sweeper.tracking.records import StudyRecord
from sweeper.tracking.runs import best_of
from sweeper.tracking.subject import OnProgress
from sweeper.tracking.workspace import Workspace

__all__ = ["Audit", "AuditOptions", "audit_labels", "suspects_csv"]

VARIANT = "labels"
PICTURES = "suspects.png"
SUSPECTS = "suspects.csv"
_COLUMNS = 8


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """How an audit is made."""

    top: int = 3
    """The best so many configurations of the study are used, or fewer if fewer are complete."""
    n_folds: int = 5
    n_seeds: int = 1
    """How often each configuration is cross-validated."""
    n_rounds: int = 1
    """From the second round on, models are trained without the suspects of the round before."""
    between: Between = "relabel"
    prune: PruneMethod = "mixture"
    ranking: Ranking = "probability"
    min_probability: float = 0.5
    """With `mixture`: the least probability of a suspect to be mislabelled, above 0, at most 1."""
    n_pictures: int = 40
    """Suspects that are shown."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What came of it."""

    result: dict[str, Any]
    """As plain data."""
    csv: str
    """The suspects, see `suspects_csv`."""
    kept: Kept


def audit_labels(
    workspace: Workspace,
    name: str,
    options: AuditOptions,
    *,
    slots: Sequence[WorkerSlot],
    out: Path | None = None,
    on_progress: OnProgress = lambda what, done, total: None,
) -> Audit:
    """Audit the labels of a study's training and validation pictures, and keep what comes of it with the study's run.

    Every picture is predicted by models that were not trained on it; confident learning says whose labels are wrong.
    From the second round on, the models are trained with the suspects of the round before relabelled or dropped. That
    a picture is suspect was said by a model that had not seen it, so the label of a held out picture still takes no
    part in its own prediction, but for what it did, held in by other models of the round before, to the labels of
    others.

    Predictions are kept in the workspace: an audit that was interrupted goes on, and one with other options for what
    comes after them trains nothing.

    Args:
        workspace: Where the study is tracked.
        name: Its name.
        options: How.
        slots: Places for processes that train.
        out: CSV file for the suspects, written before MLflow is asked for anything; see `suspects_csv`.
        on_progress: Told of epochs done.

    Raises:
        NotFoundError: No such study, or none of its trials is complete.
        InputError: Its trials are no classifiers, or see different pictures.
        DataError: The pictures are missing, have changed, or are too few of a class for the folds.
        TrialError: A fold diverged or did not fit into memory.
        TrackingError: MLflow cannot be reached.
    """
    if out is not None and not out.resolve().parent.is_dir():
        raise InputError(f"--out: given {out}, in a folder that is not there; allowed: a file in a folder that is")
    reader = open_reader(workspace.tracking_uri)
    study = reader.read_study(name)
    runs = best_of(study, options.top)
    if not runs or study.parent_run_id is None:
        raise NotFoundError(f"no trial of {name} is complete yet; an audit uses the configurations of the best")
    audited = open_audited(workspace, study, runs, reader)
    files = workspace.study_files(name, study.tags["sweeper.study_uuid"])
    validation = CrossValidation(
        audited,
        n_folds=options.n_folds,
        n_seeds=options.n_seeds,
        folder=files.folder / files.uuid / "audit",
        slots=slots,
        places=workspace.places,
        on_progress=on_progress,
    )
    labels_M = audited.labels_M
    probabilities_MK, suspects, rounds = _rounds(validation, audited, options)
    rows = suspect_rows(
        suspects,
        probabilities_MK,
        labels_M,
        true_M=audited.true_M,
        pictures=_picture_names(audited),
        parts=_parts(audited),
        class_names=audited.dataset.class_names,
    )
    result = _result(study, audited, options, probabilities_MK, suspects, rows, rounds)
    text = suspects_csv(rows)
    if out is not None:
        _write(out, text)
    sheet = _draw(audited, suspects, rows[: options.n_pictures])
    kept = keep_result(
        connect(workspace),
        study.parent_run_id,
        kind="label_audit",
        variant=VARIANT,
        result=result,
        files={SUSPECTS: text.encode(), **({} if sheet is None else {PICTURES: sheet})},
        tags=study.tags,
    )
    return Audit(result=result, csv=text, kept=kept)


def _rounds(
    validation: CrossValidation, audited: Audited, options: AuditOptions
) -> tuple[FloatArray, Suspects, list[dict[str, Any]]]:
    """Predictions and suspects of the last round, and how each round went."""
    labels_M, true_M = audited.labels_M, audited.true_M
    trained_M: IntArray | None = None
    told: list[dict[str, Any]] = []
    for number in range(1, options.n_rounds + 1):
        what = "folds" if options.n_rounds == 1 else f"round {number} of {options.n_rounds}"
        probabilities_MK = validation.predict(trained_M, what=what)
        suspects = find_suspects(
            probabilities_MK,
            labels_M,
            prune=options.prune,
            ranking=options.ranking,
            min_probability=options.min_probability,
        )
        row: dict[str, Any] = {"round": number, "suspects": len(suspects.order_S)}
        if true_M is not None:
            row |= score_suspects(suspects, labels_M, true_M)
        told.append(row)
        trained_M = labels_M.copy()
        chosen = suspects.order_S
        trained_M[chosen] = suspects.suggested_N[chosen] if options.between == "relabel" else DROPPED
    return probabilities_MK, suspects, told


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out: {path} cannot be written: {error.strerror or error}") from error


def suspects_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The suspects as a CSV file that can be corrected and given back as `data.relabel`: `picture`, `label` (the
    suggested one; empty leaves the picture out; a line that is removed leaves the given label), then what helps to
    judge. True labels are not in it, even where they are known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["picture", "label", "given", "rank", "confidence", "given_confidence", "probability", "part"])
    for row in rows:
        writer.writerow(
            [
                row["picture"],
                row["suggested"],
                *(row[key] for key in ("given", "rank", "confidence", "given_confidence", "probability", "part")),
            ]
        )
    return out.getvalue()


def _picture_names(audited: Audited) -> list[str]:
    """What each picture is called in `data.relabel`."""
    ids = audited.dataset.picture_ids
    return [ids[index] for index in audited.indices_M.tolist()]


def _parts(audited: Audited) -> list[str]:
    in_train = set(audited.dataset.train.indices_M.tolist())
    return ["train" if index in in_train else "val" for index in audited.indices_M.tolist()]


def _draw(audited: Audited, suspects: Suspects, rows: Sequence[dict[str, Any]]) -> bytes | None:
    images_NCHW = audited.dataset.train.images_NCHW
    tiles = []
    for m, row in zip(suspects.order_S.tolist(), rows, strict=False):
        colour = "#3d444d"
        if "true" in row:
            colour = "#1a7f37" if row["true"] == row["suggested"] else "#c1121f"
        tiles.append(
            Tile(
                image_CHW=images_NCHW[int(audited.indices_M[m])],
                caption=(f"{row['rank']}. {row['given']}", f"{row['suggested']}? {100 * row['confidence']:.1f} %"),
                colour=colour,
            )
        )
    if not tiles:
        return None
    return draw_sheet([tiles[i : i + _COLUMNS] for i in range(0, len(tiles), _COLUMNS)])


def _result(
    study: StudyRecord,
    audited: Audited,
    options: AuditOptions,
    probabilities_MK: FloatArray,
    suspects: Suspects,
    rows: list[dict[str, Any]],
    rounds: list[dict[str, Any]],
) -> dict[str, Any]:
    labels_M, true_M, names = audited.labels_M, audited.true_M, audited.dataset.class_names
    n = len(labels_M)
    truth: dict[str, Any] | None = None
    if true_M is not None:
        curve, average_precision = curve_rows(suspects, labels_M, true_M)
        counts_KK = np.bincount(labels_M * len(names) + true_M, minlength=len(names) ** 2)
        truth = {
            **score_suspects(suspects, labels_M, true_M),
            "average_precision": average_precision,
            "curve": curve,
            "joint": counts_KK.reshape(len(names), len(names)).tolist(),
        }
    return {
        "analysis": "label_audit",
        "study": study.name,
        "trials": [run.number for run in audited.runs],
        "epochs": list(audited.epochs),
        "n_folds": options.n_folds,
        "n_seeds": options.n_seeds,
        "n_rounds": options.n_rounds,
        "between": options.between,
        "prune": options.prune,
        "ranking": options.ranking,
        "min_probability": options.min_probability,
        "class_names": list(names),
        "n_pictures": n,
        "per_class": np.bincount(labels_M, minlength=len(names)).tolist(),
        "thresholds": [round(float(t), 5) if np.isfinite(t) else None for t in suspects.thresholds_K],
        "confident_joint": suspects.counts_KK.tolist(),
        "estimated_joint": np.round(suspects.joint_KK * n, 1).tolist(),
        "estimated_wrong": np.round(
            suspects.shares_KK * np.bincount(labels_M, minlength=len(names))[:, None], 1
        ).tolist(),
        "methods": method_rows(
            probabilities_MK,
            labels_M,
            true_M=true_M,
            ranking=options.ranking,
            min_probability=options.min_probability,
        ),
        "rounds": rounds,
        "pairs": pair_rows(probabilities_MK, labels_M, true_M=true_M, class_names=names),
        "threshold_table": threshold_rows(probabilities_MK, labels_M, true_M=true_M, class_names=names),
        "truth": truth,
        "n_shown": min(len(rows), options.n_pictures),
        "suspects": rows,
    }
