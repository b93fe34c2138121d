"""What is measured, and learnt, beside plain classification: true labels, balance, numbers, pictures; and any part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError
from sweeper.models.layers import layer_table
from sweeper.study.config import TrialConfig
from sweeper.training.loop import Training

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrialConfig]


def labels_of(split: Split) -> torch.Tensor:
    return split.labels_N[split.indices_M]


@pytest.fixture(scope="module")
def noisy(digits: Dataset) -> Dataset:
    """Digits, of whose eights two thirds carry the label 3."""
    true_labels_N = digits.train.labels_N
    given_N = true_labels_N.clone()
    eights = (true_labels_N == 8).nonzero().flatten()
    given_N[eights[torch.arange(len(eights)) % 3 > 0]] = 3
    parts = {
        part: replace(split, labels_N=given_N, true_labels_N=true_labels_N)
        for part, split in (("train", digits.train), ("validation", digits.validation), ("test", digits.test))
    }
    return replace(digits, **parts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def numbers() -> Dataset:
    """Two functions of 4×4 numbers, one linear, one not."""
    generator = torch.Generator().manual_seed(0)
    images_NCHW = torch.randint(0, 256, (1200, 1, 4, 4), dtype=torch.uint8, generator=generator)
    x_ND = images_NCHW.flatten(1) / 127.5 - 1
    targets_NT = torch.stack((x_ND[:, :8].sum(1), x_ND.abs().amax(1) * 10 - 9), dim=1)
    train, validation, test = (
        Split(
            images_NCHW=images_NCHW,
            labels_N=torch.zeros(1200, dtype=torch.int64),
            indices_M=torch.arange(begin, end),
            targets_NT=targets_NT,
        )
        for begin, end in ((0, 800), (800, 1000), (1000, 1200))
    )
    return Dataset(
        name="functions",
        class_names=(),
        train=train,
        validation=validation,
        test=test,
        mean_C=torch.tensor([0.5]),
        deviation_C=torch.tensor([0.29]),
        fingerprint="numbers",
        output_names=("sum", "largest"),
    )


def test_true_labels_have_metrics_of_their_own(noisy: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=8), dataset=noisy, device=CPU)
    values = list(training.epochs())[-1].values
    for part, split in (("train", noisy.train), ("val", noisy.validation)):
        given_KK, true_KK = training.confusion[part], training.confusion[f"true_{part}"]
        assert split.true_labels_N is not None
        assert given_KK.sum(1).tolist() == torch.bincount(labels_of(split), minlength=10).tolist()
        true_counts = torch.bincount(split.true_labels_N[split.indices_M], minlength=10)
        assert true_KK.sum(1).tolist() == true_counts.tolist()
        assert torch.equal(given_KK.sum(0), true_KK.sum(0))  # the same predictions
        rates_K = true_KK.diagonal() / true_KK.sum(1)
        assert values[f"{part}/true_accuracy/8"] == pytest.approx(float(rates_K[8]))
        assert values[f"{part}/true_balanced_accuracy"] == pytest.approx(float(rates_K.mean()))
        assert values[f"{part}/true_accuracy"] == pytest.approx(float(true_KK.diagonal().sum() / true_KK.sum()))
    assert values["val/true_accuracy/8"] < 0.5 < values["val/accuracy/3"]
    assert list(training.confusion) == ["train", "true_train", "val", "true_val"]


def test_true_labels_of_training_pictures_follow_the_sampler(noisy: Dataset, make_config: MakeConfig) -> None:
    """Each picture drawn is held against its own true label."""
    config = make_config(epochs=1, balance="sampler")
    training = Training(config=config, dataset=noisy, device=CPU)
    list(training.epochs())
    order_M = training.feed.order(1)
    assert noisy.train.true_labels_N is not None
    true_M = noisy.train.true_labels_N[noisy.train.indices_M][order_M]
    assert training.confusion["true_train"].sum(1).tolist() == torch.bincount(true_M, minlength=10).tolist()
    given_M = labels_of(noisy.train)[order_M]
    assert training.confusion["train"].sum(1).tolist() == torch.bincount(given_M, minlength=10).tolist()
    assert not torch.equal(training.confusion["train"], training.confusion["true_train"])


def test_without_wrong_labels_there_are_no_true_ones(digits: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=1), dataset=digits, device=CPU)
    (metrics,) = training.epochs()
    assert not any("true" in name for name in (*metrics.values, *training.confusion))


@pytest.fixture(scope="module")
def unequal(digits: Dataset) -> Dataset:
    """Digits with a twentieth of the nines."""
    labels_M, indices_M = labels_of(digits.train), digits.train.indices_M
    kept_M = (labels_M != 9) | (torch.arange(len(labels_M)) % 20 == 0)
    return replace(digits, train=replace(digits.train, indices_M=indices_M[kept_M]))


def test_balance_learns_the_rare_class(unequal: Dataset, make_config: MakeConfig) -> None:
    found = {}
    for balance in ("none", "loss", "sampler", "both"):
        config = make_config(model={"name": "logistic"}, epochs=4, balance=balance)
        training = Training(config=config, dataset=unequal, device=CPU)
        found[balance] = list(training.epochs())[-1].values["val/accuracy/9"]
        assert training.confusion["train"].sum() == len(unequal.train)
    assert found["none"] < 0.2
    assert all(found[balance] > found["none"] + 0.3 for balance in ("loss", "sampler", "both"))


def test_a_balanced_loss_is_that_of_balanced_class_weights(unequal: Dataset, make_config: MakeConfig) -> None:
    weighted = {"name": "cross_entropy", "class_weights": "balanced"}
    runs = [
        Training(config=make_config(epochs=2, **parts), dataset=unequal, device=CPU)
        for parts in ({"balance": "loss"}, {"loss": weighted})
    ]
    by_balance, by_loss = (list(training.epochs())[-1].values["val/loss"] for training in runs)
    assert by_balance == by_loss


def test_balance_needs_every_class(digits: Dataset, make_config: MakeConfig) -> None:
    indices_M = digits.train.indices_M[labels_of(digits.train) != 4]
    without = replace(digits, train=replace(digits.train, indices_M=indices_M))
    for balance in ("loss", "sampler", "both"):
        with pytest.raises(DataError, match=r"balance.* there are none of 4"):
            Training(config=make_config(balance=balance), dataset=without, device=CPU)


REGRESSORS: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear"},
    "mlp": {"name": "mlp", "hidden": [64, 64]},
    "cnn": {"name": "cnn", "blocks": [{"channels": 16, "padding": 1, "pool": 2}], "hidden": [64], "batch_norm": False},
}


def regression(make_config: MakeConfig, model: dict[str, Any], **training: Any) -> TrialConfig:
    return make_config(data={"name": "functions"}, model=model, **({"loss": "mse", "epochs": 30} | training))


@pytest.mark.parametrize("model", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_it_learns_numbers(numbers: Dataset, make_config: MakeConfig, model: dict[str, Any]) -> None:
    config = regression(make_config, model, early_stopping={"patience": 30, "metric": "val/loss/sum"})
    training = Training(config=config, dataset=numbers, device=CPU)
    history = list(training.epochs())
    parts = [f"{part}/{name}" for part in ("train", "val") for name in ("loss", "loss/sum", "loss/largest")]
    assert list(history[-1].values) == [*parts, "lr", "seconds", "pictures_per_second"]
    assert training.confusion == {}
    values = history[-1].values
    assert values["val/loss"] == pytest.approx((values["val/loss/sum"] + values["val/loss/largest"]) / 2)
    assert values["val/loss/sum"] < 0.2 * history[0].values["val/loss/sum"]
    targets_MT = numbers.validation.targets_NT
    assert targets_MT is not None
    if model["name"] == "linear":  # no better than the mean at what is not linear
        assert values["val/loss/largest"] > 0.9 * float(targets_MT[800:1000, 1].var())


def test_a_loss_of_numbers_is_their_mean_squared_error(numbers: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=regression(make_config, REGRESSORS["mlp"], epochs=1), dataset=numbers, device=CPU)
    list(training.epochs())
    measured = training.evaluate(numbers.test)
    assert measured.confusion_KK is None
    assert measured.log_probabilities_NK is None
    (inputs_NX, targets_NT), *rest = training.feed.evaluation(numbers.test)
    assert not rest
    with torch.inference_mode():
        outputs_NT = training.model(inputs_NX)
    assert measured.values["loss"] == pytest.approx(float(functional.mse_loss(outputs_NT, targets_NT)), rel=1e-5)
    of_sum = float(functional.mse_loss(outputs_NT[:, 0], targets_NT[:, 0]))
    assert measured.values["loss/sum"] == pytest.approx(of_sum, rel=1e-5)


@pytest.mark.parametrize("relu", [False, True])
def test_an_autoencoder_gives_pictures_back(digits: Dataset, make_config: MakeConfig, relu: bool) -> None:
    model = {"name": "autoencoder", "hidden": [64, 32], "bottleneck": 8, "bottleneck_relu": relu}
    config = make_config(model=model, loss="mse", epochs=12)
    training = Training(config=config, dataset=digits, device=CPU)
    history = list(training.epochs())
    assert list(history[0].values) == ["train/loss", "val/loss", "lr", "seconds", "pictures_per_second"]
    # On a scale of 0 to 1, whatever the model sees: the mean picture is off by the variance of the pixels.
    seen_NCHW = digits.validation.images_NCHW[digits.validation.indices_M] / 255
    assert history[-1].values["val/loss"] < 0.6 * float(seen_NCHW.var(0, correction=0).mean())
    (inputs_NCHW, _), *_ = training.feed.evaluation(digits.validation)
    with torch.inference_mode():
        given_back_NCHW = training.model(inputs_NCHW)
    error = float(functional.mse_loss(given_back_NCHW, seen_NCHW[: len(inputs_NCHW)]))
    assert error == pytest.approx(history[-1].values["val/loss"], rel=0.1)
    rows = layer_table(training.model, (1, 8, 8))
    assert [row.output_shape for row in rows if row.kind == "Linear"] == [(64,), (32,), (8,), (32,), (64,), (64,)]
    assert rows[-1].output_shape == (1, 8, 8)


TASKS: dict[str, dict[str, Any]] = {
    "true labels, sampler": {"balance": "both"},
    "numbers": {"data": {"name": "functions"}, "loss": "mse", "model": {"name": "mlp", "hidden": [8]}},
    "pictures": {"loss": "mse", "model": {"name": "autoencoder", "hidden": [8], "bottleneck": 2}},
    "numpy": {"backend": "numpy", "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
}


@pytest.mark.parametrize("task", TASKS)
def test_a_resumed_training_gives_the_same_bits(
    request: pytest.FixtureRequest, make_config: MakeConfig, task: str
) -> None:
    fixture = {"true labels, sampler": "noisy", "numbers": "numbers"}.get(task, "digits")
    dataset, config = request.getfixturevalue(fixture), make_config(epochs=4, **TASKS[task])
    trainings = [Training(config=config, dataset=dataset, device=CPU) for _ in range(3)]
    expected = [metrics.values["val/loss"] for metrics in trainings[0].epochs()]
    epochs = trainings[1].epochs()
    values = [next(epochs).values["val/loss"], next(epochs).values["val/loss"]]
    trainings[2].load_state_dict(trainings[1].state_dict())
    assert trainings[2].confusion.keys() == trainings[1].confusion.keys()
    values += [metrics.values["val/loss"] for metrics in trainings[2].epochs()]
    assert values == expected
    for name, tensor in trainings[0].model_state_dict().items():
        assert torch.equal(tensor, trainings[2].model_state_dict()[name]), name


def test_any_part_can_be_measured(noisy: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=2), dataset=noisy, device=CPU)
    values = list(training.epochs())[-1].values
    on_validation = training.evaluate(noisy.validation)
    assert {f"val/{name}": value for name, value in on_validation.values.items()} == {
        name: value for name, value in values.items() if name.startswith("val/")
    }
    on_train = training.evaluate(noisy.train)
    assert on_train.log_probabilities_NK is not None
    assert on_train.log_probabilities_NK.shape == (1200, 10)
    torch.testing.assert_close(on_train.log_probabilities_NK.exp().sum(1), torch.ones(1200))
    predicted_N = on_train.log_probabilities_NK.argmax(1)
    right_N = predicted_N == labels_of(noisy.train)
    assert on_train.values["accuracy"] == pytest.approx(float(right_N.float().mean()))
    some = replace(noisy.train, indices_M=noisy.train.indices_M[:7])
    few = training.evaluate(some).log_probabilities_NK
    torch.testing.assert_close(few, on_train.log_probabilities_NK[:7])


def test_the_test_part_is_measured_on_request_alone(noisy: Dataset, make_config: MakeConfig) -> None:
    training = Training(config=make_config(epochs=2), dataset=noisy, device=CPU, measure_test=True)
    plain = Training(config=make_config(epochs=2), dataset=noisy, device=CPU)
    with_test, without = list(training.epochs())[-1].values, list(plain.epochs())[-1].values
    assert {name for name in with_test if name.startswith("test/")} == {
        name.replace("val/", "test/") for name in without if name.startswith("val/")
    }
    assert with_test["val/loss"] == without["val/loss"]
    assert with_test["test/loss"] == training.evaluate(noisy.test).values["loss"]
    assert list(training.confusion) == ["train", "true_train", "val", "true_val", "test", "true_test"]
    empty = replace(noisy, test=replace(noisy.test, indices_M=noisy.test.indices_M[:0]))
    Training(config=make_config(), dataset=empty, device=CPU)
    with pytest.raises(DataError, match="the test part of digits has no pictures"):
        Training(config=make_config(), dataset=empty, device=CPU, measure_test=True)
