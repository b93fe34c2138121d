"""Names of W&B sweeps: the usual ones are known in all spellings, others are not guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.study.wandb.names import FIELDS, METRICS, OPTIONS, field_of, metric_of, option_of
from sweeper.study.wandb.place import models_at

PAGE = Path(__file__).resolve().parents[3] / "docs/how-to/wandb.md"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("lr", "training.optimizer.lr"),
        ("learningRate", "training.optimizer.lr"),
        ("Learning-Rate", "training.optimizer.lr"),
        ("optimizer.lr", "training.optimizer.lr"),
        ("optimizer.name", "training.optimizer"),
        ("train.optimizer.learning_rate", "training.optimizer.lr"),
        ("hparams.batch_size", "training.batch_size"),
        ("hyperparams.batch_size", "training.batch_size"),
        ("optimiser", "training.optimizer"),
        ("model.dropout", "model.dropout"),
        ("training.optimizer.lr", "training.optimizer.lr"),
        ("trial.training.epochs", "training.epochs"),
        ("model.hidden.0", "model.hidden.0"),
        ("data.name", "data.name"),
        ("dataset", "data.name"),
        ("lr_scheduler.step_size", "training.schedule.every"),
        ("decoder.dropout", None),
        ("optimizer.dropout", None),
        ("nested_category_1.momentum", None),
        ("layer_1_size", None),
        ("gamma", None),
    ],
)
def test_a_name_stands_for_a_field_or_for_none(name: str, field: str | None) -> None:
    assert field_of(name) == field


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("val_loss", "val/loss"),
        ("validation_loss", "val/loss"),
        ("val/acc", "val/accuracy"),
        ("valAccuracy", "val/accuracy"),
        ("val.loss", "val/loss"),
        ("val_top_1_accuracy", "val/accuracy"),
        ("loss", None),
        ("accuracy", None),
        ("test_accuracy", None),
    ],
)
def test_a_metric_says_of_which_part_it_is(name: str, metric: str | None) -> None:
    assert metric_of(name) == metric


@pytest.mark.parametrize(
    ("field", "name", "option"),
    [
        ("training.optimizer", "AdamW", "adamw"),
        ("training.optimizer", "torch.optim.SGD", "sgd"),
        ("training.optimizer", "nadam", None),
        ("training.loss", "CrossEntropyLoss", "cross_entropy"),
        ("training.schedule", "CosineAnnealingLR", "cosine"),
    ],
)
def test_an_option_is_known_by_the_names_of_its_class(field: str, name: str, option: str | None) -> None:
    assert option_of(field, name) == option


def test_the_table_names_fields_that_there_are() -> None:
    for field in FIELDS:
        parent, _, key = field.partition(",")[0].rpartition(".")
        assert any(key in model.model_fields for model in models_at(parent)), field
    for field, options in OPTIONS.items():
        assert set(options) == {model.model_fields["name"].default for model in models_at(field)}


def test_the_page_has_every_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for names in [*FIELDS.values(), *METRICS.values()]:
        for name in names:
            assert f"`{name}`" in page
