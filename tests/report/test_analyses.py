"""The sections of analyses, from results as they are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.report.blocks import Block, Figure, Note, Picture, Row, Table
from sweeper.report.sections.adversarial import build_adversarial
from sweeper.report.sections.embedding import build_embedding
from sweeper.report.sections.label_audit import build_label_audit
from sweeper.report.study_data import StudyData
from sweeper.report.write import write_report
from sweeper.tracking.records import StudyRecord

from .synthetic import MemoryReader, make_record, make_run

PNG = b"\x89PNG\r\n\x1a\n not looked into"
NAMES = ["car", "truck", "cat"]

ATTACK: dict[str, Any] = {
    "analysis": "attack",
    "method": "fgsm",
    "target": None,
    "n_steps": 1,
    "part": "val",
    "labels": "given",
    "n_pictures": 30,
    "class_names": NAMES,
    "accuracy": [
        {"epsilon": epsilon, "class": name, "n": 10, "right": right}
        for epsilon, rights in ((0.0, (10, 9, 8)), (0.1, (4, 3, 2)))
        for name, right in zip(NAMES, rights, strict=True)
    ],
    "examples": [
        {
            "label": "car",
            "epsilon": 0.1,
            "noise_scale": 5.0,
            "before": "car",
            "before_confidence": 0.91,
            "after": "cat",
            "after_confidence": 0.6,
        }
    ],
}
TARGETED = ATTACK | {
    "method": "pgd",
    "n_steps": 10,
    "target": "truck",
    "labels": "true",
    "n_pictures": 10,
    "accuracy": [
        {"epsilon": 0.0, "class": "cat", "n": 10, "right": 8, "as_target": 1},
        {"epsilon": 0.1, "class": "cat", "n": 10, "right": 1, "as_target": 9},
    ],
}
EMBEDDING: dict[str, Any] = {
    "analysis": "embedding",
    "part": "val",
    "features": "bottleneck",
    "n_neighbours": 10,
    "n_pictures": 3,
    "labels": "given",
    "class_names": NAMES,
    "classes": [2, 0, 2],
    "pictures": [5, 6, 9],
    "spaces": {
        "features": {
            "n_dimensions": 2,
            "plane": {"knn_accuracy": 0.9, "silhouette": 0.5},
            "all": {"knn_accuracy": 0.9, "silhouette": 0.5},
            "points": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        },
        "pixels": {
            "n_dimensions": 64,
            "plane": {"knn_accuracy": 0.6, "silhouette": 0.1},
            "all": {"knn_accuracy": 0.8, "silhouette": 0.2},
            "points": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        },
    },
}
AUDIT: dict[str, Any] = {
    "analysis": "label_audit",
    "trials": [0],
    "n_folds": 5,
    "n_seeds": 1,
    "n_rounds": 1,
    "between": "relabel",
    "prune": "mixture",
    "class_names": NAMES,
    "n_pictures": 100,
    "per_class": [80, 10, 10],
    "estimated_joint": [[70.0, 4.0, 6.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]],
    "estimated_wrong": [[73.0, 0.0, 7.0], [0.0, 10.0, 0.0], [0.0, 0.0, 10.0]],
    "methods": [
        {"prune": "mixture", "suspects": 2, "found": 2, "precision": 1.0, "recall": 0.25, "f1": 0.4, "wrong_after": 6},
        {
            "prune": "confident",
            "suspects": 4,
            "found": 2,
            "precision": 0.5,
            "recall": 0.25,
            "f1": 0.3,
            "wrong_after": 8,
        },
    ],
    "pairs": [
        {
            "given": "car",
            "predicted": "cat",
            "n": 9,
            "confidence": 0.903,
            "n_agreed": 8,
            "agreed_confidence": 0.948,
            "truly_predicted": 7,
        }
    ],
    "threshold_table": [
        {"given": "car", "predicted": "cat", "threshold": 0.999, "relabelled": 3, "rightly": 2, "wrongly": 1}
    ],
    "truth": {
        "wrong": 8,
        "suspects": 2,
        "found": 2,
        "relabelled": 2,
        "precision": 1.0,
        "recall": 0.25,
        "f1": 0.4,
        "wrong_after": 6,
        "average_precision": 0.7,
        "curve": [{"n": 1, "precision": 1.0, "recall": 0.125}, {"n": 2, "precision": 1.0, "recall": 0.25}],
        "joint": [[72, 0, 8], [0, 10, 0], [0, 0, 10]],
    },
    "n_shown": 1,
    "suspects": [
        {
            "rank": rank,
            "picture": picture,
            "part": "train",
            "given": "car",
            "suggested": "cat",
            "confidence": 0.98,
            "given_confidence": 0.01,
            "probability": 1.0,
            "true": "cat",
        }
        for rank, picture in ((1, "17"), (2, "4"))
    ],
}


def without_truth(audit: dict[str, Any]) -> dict[str, Any]:
    known = ("found", "precision", "recall", "f1", "wrong_after", "truly_predicted", "rightly", "wrongly", "true")
    cut = {
        key: [{k: v for k, v in row.items() if k not in known} for row in audit[key]]
        for key in ("methods", "pairs", "threshold_table", "suspects")
    }
    return audit | cut | {"truth": None}


def analysed(
    *results: tuple[str, str, dict[str, Any]], audit: dict[str, Any] | None = None
) -> tuple[StudyRecord, MemoryReader]:
    """A study whose trial 0 has results (kind, variant, result), and an audit of its labels."""
    reader = MemoryReader()
    tags = {f"sweeper.analysis.{kind}.{variant}": f"analysis/{kind}/{variant}" for kind, variant, _ in results}
    record = make_record([make_run(0, tags=tags), make_run(1, value=0.4)])
    for kind, variant, result in results:
        reader.artifacts["s-000", f"analysis/{kind}/{variant}/result.json"] = json.dumps(result).encode()
        reader.artifacts["s-000", f"analysis/{kind}/{variant}/pictures.png"] = PNG
    if audit is not None:
        tags = {"sweeper.analysis.label_audit.labels": "analysis/label_audit/labels"}
        record = replace(record, tags=tags, parent_run_id="parent", artifact_uri="memory:/")
        reader.artifacts["parent", "analysis/label_audit/labels/result.json"] = json.dumps(audit).encode()
        reader.artifacts["parent", "analysis/label_audit/labels/suspects.png"] = PNG
    reader.records = {record.name: record}
    return record, reader


def items(blocks: Sequence[Block], kind: type) -> list[Any]:
    flat = [item for block in blocks for item in (block.items if isinstance(block, Row) else (block,))]
    return [item for item in flat if isinstance(item, kind)]


def test_nothing_is_shown_where_nothing_was_analysed() -> None:
    data = StudyData(*analysed())
    assert [build(data) for build in (build_adversarial, build_embedding, build_label_audit)] == [[], [], []]


def test_an_attack_is_told_drawn_and_shown() -> None:
    blocks = build_adversarial(StudyData(*analysed(("attack", "fgsm", ATTACK))))
    (note,) = items(blocks, Note)
    assert "90.0 % are right without a change, 30.0 % at ε = 0.1000" in note.text
    (figure,) = items(blocks, Figure)
    assert [trace.name for trace in figure.figure.data] == NAMES
    assert list(figure.figure.data[0].y) == [1.0, 0.4]
    assert figure.data["accuracy"].tolist() == [1.0, 0.9, 0.8, 0.4, 0.3, 0.2]
    (picture,) = items(blocks, Picture)
    assert picture.content == PNG
    assert "a car predicted as car (91.0 %) and then as cat (60.0 %) at ε = 0.1000" in picture.description


def test_a_targeted_attack_shows_how_many_it_leads_there() -> None:
    blocks = build_adversarial(StudyData(*analysed(("attack", "fgsm", ATTACK), ("attack", "pgd-targeted", TARGETED))))
    notes, figures = items(blocks, Note), items(blocks, Figure)
    assert len(notes) == 2
    assert "PGD in 10 steps so that 10 validation pictures are taken for truck" in notes[1].text
    assert "90.0 % are taken for truck. Classes are the true ones." in notes[1].text
    assert [figure.key for figure in figures] == [
        "t0-fgsm-accuracy",
        "t0-pgd-targeted-accuracy",
        "t0-pgd-targeted-target",
    ]
    assert list(figures[2].figure.data[0].y) == [0.1, 0.9]


def test_features_stand_beside_pixels() -> None:
    blocks = build_embedding(StudyData(*analysed(("embedding", "val", EMBEDDING))))
    features, pixels = items(blocks, Figure)
    assert features.title == "Bottleneck, trial 0"
    assert pixels.title == "Pixels, first two principal components, trial 0"
    assert [(trace.name, list(trace.x)) for trace in features.figure.data] == [("car", [3.0]), ("cat", [1.0, 5.0])]
    assert features.data["picture"].tolist() == [6, 5, 9]
    (table,) = items(blocks, Table)
    assert table.frame.to_numpy().tolist() == [
        ["bottleneck", 2, 0.9, 0.5],
        ["pixels", 2, 0.6, 0.1],
        ["pixels", 64, 0.8, 0.2],
    ]


def test_an_audit_with_true_labels() -> None:
    blocks = build_label_audit(StudyData(*analysed(audit=AUDIT)))
    (note,) = items(blocks, Note)
    assert "2 labels are suspect. Against the true labels: precision 100.0 % (95 % interval 34.2–100.0)" in note.text
    assert "recall 25.0 % (95 % interval 7.1–59.1); 2 of 8 wrong labels are found" in note.text
    tables = {table.key: table.frame for table in items(blocks, Table)}
    assert sorted(tables) == ["methods", "noise", "pairs", "suspects", "thresholds"]
    assert tables["methods"]["precision"].tolist() == [1.0, 0.5]
    assert tables["noise"].to_numpy().tolist() == [["car", "cat", 80, 7.0, 6.0, 8], ["car", "truck", 80, 0.0, 4.0, 0]]
    assert tables["thresholds"][["relabelled", "rightly", "wrongly"]].to_numpy().tolist() == [[3, 2, 1]]
    assert tables["suspects"]["picture"].tolist() == ["17", "4"]
    suspects = next(table for table in items(blocks, Table) if table.key == "suspects")
    assert next(c for c in suspects.columns if c.key == "part").show("train") == "training"
    (figure,) = items(blocks, Figure)
    assert list(figure.figure.data[0].x) == [0.125, 0.25]
    (picture,) = items(blocks, Picture)
    assert picture.description.endswith("The first 1 suspect in rows: car → cat.")


def test_an_audit_without_true_labels() -> None:
    blocks = build_label_audit(StudyData(*analysed(audit=without_truth(AUDIT))))
    assert items(blocks, Figure) == []
    tables = {table.key: list(table.frame.columns) for table in items(blocks, Table)}
    assert tables["methods"] == ["prune", "suspects"]
    assert "known" not in tables["noise"]
    assert "true" not in tables["suspects"]
    assert "rightly" not in tables["thresholds"]


@pytest.mark.parametrize("audit", [AUDIT, without_truth(AUDIT)])
def test_a_report_with_analyses_is_the_same_twice(tmp_path: Path, audit: dict[str, Any]) -> None:
    record, reader = analysed(
        ("attack", "fgsm", ATTACK), ("attack", "pgd-targeted", TARGETED), ("embedding", "val", EMBEDDING), audit=audit
    )
    pages = []
    for folder in ("a", "b"):
        files = write_report([record], reader, tmp_path / folder)
        pages.append(
            {path.relative_to(tmp_path / folder): path.read_bytes() for path in (tmp_path / folder).rglob("*.*")}
        )
        assert files.page.exists()
    assert pages[0] == pages[1]
    names = {str(path) for path in pages[0]}
    assert {
        "data/audit-suspects.csv",
        "data/adversarial-t0-fgsm-pictures.png",
        "data/embedding-t0-val-features.csv",
    } <= names
    page = pages[0][Path("index.html")].decode()
    assert page.count('<img src="data:image/png;base64,') == 3
