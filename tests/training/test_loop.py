"""Training: it learns, is reproducible to the bit, goes on where it stopped, and ends when it must."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from sweeper.data.dataset import Dataset
from sweeper.errors import DataError, DivergedError, InputError
from sweeper.study.config import TrialConfig
from sweeper.training.loop import EpochMetrics, Interrupted, Training

CPU = torch.device("cpu")
TIMES = ("seconds", "pictures_per_second")
MakeConfig = Callable[..., TrialConfig]


def without_times(history: list[EpochMetrics]) -> list[tuple[int, dict[str, float]]]:
    return [(m.epoch, {name: value for name, value in m.values.items() if name not in TIMES}) for m in history]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def assert_same_weights(one: Training, other: Training) -> None:
    assert one.model_state_dict().keys() == other.model_state_dict().keys()
    for name, tensor in one.model_state_dict().items():
        assert torch.equal(tensor, other.model_state_dict()[name]), name


@pytest.mark.parametrize(
    ("model", "epochs", "accuracy"),
    [
        ({"name": "mlp", "hidden": [64], "batch_norm": True, "dropout": 0.1}, 12, 0.95),
        ({"name": "logistic"}, 12, 0.9),
        ({"name": "cnn", "blocks": [{"channels": 8, "padding": 1}, {"channels": 16, "padding": 1}]}, 6, 0.95),
    ],
    ids=["mlp", "logistic", "cnn"],
)
def test_it_learns_digits(
    digits: Dataset, make_config: MakeConfig, model: dict[str, Any], epochs: int, accuracy: float
) -> None:
    history = list(Training(config=make_config(model=model, epochs=epochs), dataset=digits, device=CPU).epochs())
    assert [metrics.epoch for metrics in history] == list(range(1, epochs + 1))
    assert history[-1].values["val/accuracy"] > accuracy
    assert history[-1].values["train/loss"] < history[0].values["train/loss"]


def test_every_metric_is_there_in_its_range(digits: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=1), dataset=digits, device=CPU)
    assert training.confusion == {}
    (metrics,) = training.epochs()
    names = ["loss", "accuracy", *(f"accuracy/{digit}" for digit in range(10)), "balanced_accuracy", "auc"]
    assert list(metrics.values) == [
        *(f"{part}/{name}" for part in ("train", "val") for name in names),
        "lr",
        "seconds",
        "pictures_per_second",
    ]
    fractions = [value for name, value in metrics.values.items() if "accuracy" in name or "auc" in name]
    assert all(type(value) is float for value in metrics.values.values())
    assert all(0.0 <= value <= 1.0 for value in fractions)
    assert list(training.confusion) == ["train", "val"]
    for matrix, split in zip(training.confusion.values(), (digits.train, digits.validation), strict=True):
        assert matrix.dtype == torch.int64
        assert matrix.sum(1).tolist() == split.class_counts(10)
    assert training.n_parameters == 64 * 32 + 32 + 32 * 10 + 10


def test_classes_without_pictures_have_no_accuracy(digits: Dataset, make_config: MakeConfig) -> None:
    validation = digits.validation
    labels_M = validation.labels_N[validation.indices_M]
    some = replace(digits, validation=replace(validation, indices_M=validation.indices_M[labels_M < 8]))
    (metrics,) = Training(config=make_config(epochs=1), dataset=some, device=CPU).epochs()
    assert "train/accuracy/8" in metrics.values
    assert "val/accuracy/7" in metrics.values
    assert "val/accuracy/8" not in metrics.values
    one = replace(digits, validation=replace(validation, indices_M=validation.indices_M[labels_M == 3]))
    (metrics,) = Training(config=make_config(epochs=1), dataset=one, device=CPU).epochs()
    assert "val/auc" not in metrics.values
    assert metrics.values["val/balanced_accuracy"] == metrics.values["val/accuracy"]


RESUMED = {
    "adam": {},
    "adamw, nll": {"optimizer": "adamw", "loss": "nll"},
    "sgd, nesterov": {"optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True}},
    "rmsprop": {"optimizer": {"name": "rmsprop", "lr": 1e-3, "momentum": 0.5}},
    "cosine": {"schedule": {"name": "cosine", "warmup_epochs": 1}},
    "one cycle": {"schedule": "one_cycle"},
    "step": {"schedule": {"name": "step", "every": 2}},
    "dropout, batch norm": {"model": {"name": "mlp", "hidden": [32, 16], "dropout": 0.3, "batch_norm": True}},
    "cnn": {"model": {"name": "cnn", "blocks": [{"channels": 4}]}},
    "half of the bits": {"precision": "bfloat16"},
    "early stopping": {"early_stopping": {"patience": 2, "min_delta": 0.25}},
    "augmentation": {"data": {"augment": ["horizontal_flip", {"name": "rotation", "degrees": 8.0}]}},
}


@pytest.mark.parametrize("parts", RESUMED.values(), ids=RESUMED.keys())
def test_a_resumed_training_gives_the_same_bits(
    digits: Dataset, make_config: MakeConfig, parts: dict[str, Any]
) -> None:
    config = make_config(epochs=5, **parts)
    whole = Training(config=config, dataset=digits, device=CPU)
    expected = list(whole.epochs())

    first = Training(config=config, dataset=digits, device=CPU)
    epochs = first.epochs()
    history = [next(epochs), next(epochs)]
    state = through_a_file(first.state_dict())
    torch.manual_seed(999)  # a new process has other random numbers
    second = Training(config=config, dataset=digits, device=CPU)
    second.load_state_dict(state)
    assert second.epoch == 2
    history += second.epochs()

    assert without_times(history) == without_times(expected)
    assert_same_weights(second, whole)
    assert second.stopped_early == whole.stopped_early
    assert whole.stopped_early == ("early_stopping" in parts)
    assert second.confusion.keys() == whole.confusion.keys()
    assert all(torch.equal(second.confusion[part], matrix_KK) for part, matrix_KK in whole.confusion.items())


def test_a_finished_training_resumes_to_nothing(digits: Dataset, make_config: MakeConfig) -> None:
    config = make_config(epochs=5, early_stopping={"patience": 1, "min_delta": 10.0})
    first = Training(config=config, dataset=digits, device=CPU)
    assert len(list(first.epochs())) == 2
    second = Training(config=config, dataset=digits, device=CPU)
    second.load_state_dict(through_a_file(first.state_dict()))
    assert second.stopped_early
    assert list(second.epochs()) == []
    assert list(second.confusion) == ["train", "val"]


def test_the_seed_decides_every_bit(digits: Dataset, make_config: MakeConfig) -> None:
    model = {"name": "mlp", "hidden": [32], "dropout": 0.2}
    runs = []
    for seed, callers_seed in ((1, 10), (1, 20), (2, 10)):
        torch.manual_seed(callers_seed)
        training = Training(config=make_config(model=model, seed=seed), dataset=digits, device=CPU)
        runs.append((without_times(list(training.epochs())), training))
    assert runs[0][0] == runs[1][0]
    assert_same_weights(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_the_callers_random_state_is_left_alone(digits: Dataset, make_config: MakeConfig) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    epochs = Training(config=make_config(), dataset=digits, device=CPU).epochs()
    next(epochs)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("batch_size", [32, 512])
def test_a_learning_rate_too_high_diverges(digits: Dataset, make_config: MakeConfig, batch_size: int) -> None:
    config = make_config(
        model={"name": "mlp", "hidden": [64, 64, 64]},
        epochs=50,
        batch_size=batch_size,
        optimizer={"name": "sgd", "lr": 1e3, "momentum": 0.9},
    )
    training = Training(config=config, dataset=digits, device=CPU)
    history = []
    with pytest.raises(DivergedError, match=r"(train|val)/loss is (nan|inf) in epoch \d+"):
        history.extend(training.epochs())
    assert all(math.isfinite(value) for metrics in history for value in metrics.values.values())


def test_epochs_before_the_divergence_are_yielded(digits: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(), dataset=digits, device=CPU)
    epochs = training.epochs()
    assert next(epochs).epoch == 1
    with torch.no_grad():
        training.model.get_parameter("head.linear.bias")[3] = math.inf
    with pytest.raises(DivergedError, match="train/loss is nan in epoch 2"):
        next(epochs)
    assert training.epoch == 1


def test_a_validation_loss_that_is_not_finite_diverges(digits: Dataset, make_config: MakeConfig) -> None:
    config = make_config(model={"name": "mlp", "hidden": [8], "batch_norm": True}, epochs=1)
    training = Training(config=config, dataset=digits, device=CPU)
    # Running statistics are read in evaluation only.
    training.model.get_submodule("hidden1.batch_norm").register_buffer("running_mean", torch.full((8,), math.nan))
    with pytest.raises(DivergedError, match="val/loss is nan in epoch 1"):
        list(training.epochs())


def test_should_stop_ends_an_epoch_in_its_middle(digits: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=3), dataset=digits, device=CPU, should_stop=lambda: False)
    epochs = training.epochs()
    next(epochs)
    before = training.model_state_dict()
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1

    training.model.register_forward_hook(count)
    training.seconds_between_stop_checks = 0.0
    training.should_stop = lambda: steps >= 3
    with pytest.raises(Interrupted):
        next(epochs)
    assert steps == 3
    assert training.epoch == 1
    assert not torch.equal(before["head.linear.bias"], training.model_state_dict()["head.linear.bias"])
    with pytest.raises(AssertionError, match="cannot be continued"):
        training.state_dict()


def test_model_state_dict_is_a_copy(digits: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=2), dataset=digits, device=CPU)
    epochs = training.epochs()
    next(epochs)
    kept = training.model_state_dict()
    values = {name: tensor.clone() for name, tensor in kept.items()}
    next(epochs)
    assert all(torch.equal(kept[name], values[name]) for name in kept)
    assert not any(tensor.requires_grad for tensor in kept.values())


def test_a_last_batch_of_one_picture_does_not_break_batch_norm(digits: Dataset, make_config: MakeConfig) -> None:
    train = replace(digits.train, indices_M=digits.train.indices_M[:65])
    config = make_config(model={"name": "mlp", "hidden": [8], "batch_norm": True}, epochs=1, batch_size=16)
    training = Training(config=config, dataset=replace(digits, train=train), device=CPU)
    list(training.epochs())
    assert training.confusion["train"].sum() == 65


def test_what_cannot_be_trained_is_refused(digits: Dataset, make_config: MakeConfig) -> None:
    def refuse(match: str, **parts: Any) -> None:
        with pytest.raises(InputError, match=match):
            Training(config=make_config(**parts), dataset=digits, device=CPU)

    refuse("block 1: a picture of 8×8", model={"name": "cnn", "blocks": [{"channels": 2, "kernel": 9}]})
    refuse("batch size of 1", model={"name": "mlp", "hidden": [8], "batch_norm": True}, batch_size=1)
    empty = replace(digits, validation=replace(digits.validation, indices_M=digits.validation.indices_M[:0]))
    with pytest.raises(DataError, match="the validation part of digits has no pictures"):
        Training(config=make_config(), dataset=empty, device=CPU)
    refuse("3 values for 10 classes", loss={"name": "cross_entropy", "class_weights": [1.0, 2.0, 3.0]})


def test_the_rate_logged_is_that_of_the_last_step(digits: Dataset, make_config: MakeConfig) -> None:
    config = make_config(schedule={"name": "cosine"}, epochs=2, batch_size=600)
    history = list(Training(config=config, dataset=digits, device=CPU).epochs())
    lr = config.training.optimizer.lr
    expected = [lr * (1 + math.cos(math.pi * step / 4)) / 2 for step in (1, 3)]
    assert [metrics.values["lr"] for metrics in history] == pytest.approx(expected)
