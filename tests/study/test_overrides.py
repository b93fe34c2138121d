"""`--set field=value`: typed and checked as if the file said it, faults named by the option."""

from __future__ import annotations

from typing import Any

import pytest

from tests.study.conftest import check, faults, plain

CHOICE = plain(("optimizer: adam", "optimizer: {choice: [adam, {name: sgd, lr: 0.5}]}"))


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("trial.training.epochs=5", ("training", "epochs"), 5),
        ("trial.training.optimizer={name: sgd, lr: 1e-2}", ("training", "optimizer"), {"name": "sgd", "lr": 0.01}),
        ("trial.training.optimizer.lr=1e-4", ("training", "optimizer"), {"name": "adam", "lr": 1e-4}),
        ("trial.model.hidden.0=8", ("model", "hidden"), [8]),
        ("trial.model.hidden=[8, 4]", ("model", "hidden"), [8, 4]),
        ("trial.training.early_stopping.patience=2", ("training", "early_stopping"), {"patience": 2}),
        ("trial.training.batch_size={choice: [8, 16]}", ("training", "batch_size"), {"choice": [8, 16]}),
        ("trial.data.normalize=false", ("data", "normalize"), False),
        (" trial.seed =7", ("seed",), 7),
    ],
)
def test_a_field_is_replaced_or_made(override: str, path: tuple[str, ...], value: Any) -> None:
    raw: Any = check(plain(), [override]).study.trial.to_raw()
    for key in path:
        raw = raw[key]
    assert raw == value


@pytest.mark.parametrize("place", ["choice.0", "[adam]"])
def test_a_branch_of_a_choice_is_named_by_index_or_by_name(place: str) -> None:
    separator = "" if place.startswith("[") else "."
    study = check(CHOICE, [f"trial.training.optimizer{separator}{place}.lr={{float: [0.1, 1.0]}}"]).study
    assert "training.optimizer[adam].lr" in study.trial.distributions


def test_an_optional_branch_that_is_null_can_be_filled() -> None:
    text = plain(("optimizer: adam", "optimizer: adam\n    early_stopping: null"))
    check(text, ["trial.training.early_stopping.patience=2"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trial.training.epochs=0", "trial.training.epochs: given 0; allowed: at least 1"),
        ("trial.training.epochs=five", "trial.training.epochs: given 'five'; allowed: an integer"),
        ("trial.training.epochs=", "trial.training.epochs: given ''; allowed: an integer"),
        ("trial.training.epoch=5", "trial.training.epoch: unknown field; did you mean 'epochs'? allowed: "),
        ("bogus.field=5", "bogus: unknown field; allowed: "),
        ("trial.training.optimizer.lr=-1", "trial.training.optimizer.lr: given -1; allowed: above 0"),
        ("trial.training.batch_size={int: [8, 4]}", "trial.training.batch_size.int: given low 8 above high 4; "),
        ("trial.training.early_stopping.min_delta=0.1", "trial.training.early_stopping.patience: is missing"),
        ("trial.model.hidden.1=8", "trial.model.hidden.1: trial.model.hidden has no '1'; allowed there: 0 to 0"),
        ("trial.training.epochs.x=8", "trial.training.epochs.x: trial.training.epochs is 3, a value without fields"),
        ("trial.training[sgd].lr=8", "trial.training[sgd].lr: trial.training is no choice; allowed: "),
        ("objective.metric=val/accuracy/cat", "objective.metric: given 'val/accuracy/cat'; allowed classes: 0, "),
        ("trial.training.epochs", "trial.training.epochs: allowed: field=value, such as trial.training.epochs=3"),
        ("=3", "allowed: field=value"),
        ("trial..epochs=3", "trial..epochs: allowed: field=value"),
        (".=3", ".: allowed: field=value"),
    ],
)
def test_a_fault_names_the_option(override: str, message: str) -> None:
    (fault,) = faults(plain(), [override])
    assert fault.startswith(f"--set {override}: {message}")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("trial.training.optimizer.lr", "has no 'lr'; allowed there: choice, [adam], [sgd]"),
        ("trial.training.optimizer.choice.2.lr", "trial.training.optimizer.choice has no '2'; allowed there: 0 to 1"),
        ("trial.training.optimizer[sdg].lr", "has no option 'sdg'; did you mean 'sgd'? allowed there: adam, sgd"),
    ],
)
def test_a_wrong_place_in_a_choice_says_which_there_are(field: str, message: str) -> None:
    (fault,) = faults(CHOICE, [f"{field}=0.1"])
    assert fault.endswith(message)


def test_several_apply_in_order_and_all_faults_are_reported() -> None:
    study = check(plain(), ["trial.training.optimizer=sgd", "trial.training.optimizer.momentum=0.5"]).study
    assert study.trial.to_raw()["training"]["optimizer"] == {"name": "sgd", "momentum": 0.5}
    bad = ["trial.training.epochs=0", "nonsense", "trial.training.batch_size=x"]
    messages = faults(plain(("name: plain", "name: a b")), bad)
    assert messages[0].startswith("s.yaml:1: name: ")
    assert sorted(message.split(": ")[0] for message in messages[1:]) == sorted(f"--set {each}" for each in bad)
