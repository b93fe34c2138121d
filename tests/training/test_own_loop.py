"""A loop of a plugin: resumed to the bit, closed when it is pruned, and refused in words."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import SGDClassifier

import sweeper
from sweeper.errors import DivergedError, InputError
from sweeper.study.config import LoopTrialConfig
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from sweeper.training.own_loop import LoopTraining

CPU = torch.device("cpu")


def training(folder: Path, name: str, **parameters: Any) -> LoopTraining:
    return LoopTraining(
        config=LoopTrialConfig.model_validate({"loop": {"name": name, **parameters}, "seed": 3}),
        device=CPU,
        number=0,
        folder=folder / "loop",
        artifacts=folder,
    )


def torch_loop(trial: sweeper.Trial, *, n: int = 6) -> Iterator[dict[str, float]]:
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    trial.keep(model=model, optimizer=optimizer)
    for _ in trial.epochs(n):
        loss = (model(torch.randn(8, 4)) - np.random.rand() - random.random()).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield {"loss": loss}  # type: ignore[dict-item]  # a tensor of one number will do


def sklearn_loop(trial: sweeper.Trial, *, n: int = 6) -> Iterator[dict[str, float]]:
    file = trial.folder / "classifier.pickle"
    trial.keep(classifier=file)
    classifier = pickle.loads(file.read_bytes()) if file.exists() else SGDClassifier(random_state=trial.seed)
    for _ in trial.epochs(n):
        features = np.random.rand(20, 3)
        classifier.partial_fit(features, features[:, 0] > 0.5, classes=[False, True])
        file.write_bytes(pickle.dumps(classifier))
        yield {"weight": classifier.coef_.sum()}


@pytest.mark.parametrize("loop", [torch_loop, sklearn_loop])
def test_a_loop_that_was_interrupted_gives_the_numbers_of_one_that_was_not(
    loop: Callable[..., Any], tmp_path: Path
) -> None:
    sweeper.training_loop("mine")(loop)
    whole = [m.values for m in training(tmp_path / "whole", "mine").epochs()]
    first = training(tmp_path / "parts", "mine")
    numbers = first.epochs()
    parts = [next(numbers).values for _ in range(2)]
    checkpoint = tmp_path / "checkpoint.pt"
    save_checkpoint(checkpoint, tmp_path / "previous.pt", first.state_dict())
    next(numbers)  # trained, but lost: its checkpoint was never made
    numbers.close()
    second = training(tmp_path / "parts", "mine")
    second.load_state_dict(load_checkpoint(checkpoint, tmp_path / "previous.pt"))
    parts += [m.values for m in second.epochs()]
    assert second.epoch == 6
    for values in (*whole, *parts):
        values.pop("seconds")
    assert parts == whole


def test_the_generators_of_the_caller_are_left_as_they_were(tmp_path: Path) -> None:
    sweeper.training_loop("mine")(torch_loop)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    list(training(tmp_path, "mine").epochs())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index, union-attr]
    assert random.getstate() == before[2]


def test_a_loop_is_closed_where_it_yields(tmp_path: Path) -> None:
    closed = []

    @sweeper.training_loop("mine")
    def mine(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
        try:
            while True:
                yield {"x": 1.0}
        finally:
            closed.append(True)

    numbers = training(tmp_path, "mine").epochs()
    assert next(numbers).values["x"] == 1.0
    numbers.close()
    assert closed == [True]
    assert not training(tmp_path, "mine").can_continue


def returns_nothing(trial: sweeper.Trial) -> None: ...
def yields_nothing(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
    yield from ()


def yields_text(trial: sweeper.Trial) -> Iterator[dict[str, Any]]:
    yield {"loss": "low"}


def yields_a_number(trial: sweeper.Trial) -> Iterator[Any]:
    yield 0.5


def measures_test(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
    yield {"test/loss": 0.5}


def names_badly(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
    yield {"loss!": 0.5}


def keeps_a_number(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
    trial.keep(step=3)
    yield {"loss": 0.5}


def keeps_a_file_elsewhere(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
    trial.keep(weights=Path("/tmp/weights"))
    yield {"loss": 0.5}


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        (returns_nothing, "its function returned NoneType; needed: a generator"),
        (yields_nothing, "ended without an epoch"),
        (yields_text, "yields loss: 'low'; needed: a number"),
        (yields_a_number, "yields 0.5; needed: a mapping"),
        (measures_test, "yields test/loss; what the test part says must choose nothing"),
        (names_badly, "yields a metric 'loss!'"),
        (keeps_a_number, "trial.keep: step is int, which has no state_dict"),
        (keeps_a_file_elsewhere, "trial.keep: weights is /tmp/weights; allowed: files in `trial.folder`"),
    ],
)
def test_what_a_loop_may_not_do_is_told(loop: Callable[..., Any], message: str, tmp_path: Path) -> None:
    sweeper.training_loop("mine")(loop)
    with pytest.raises(InputError, match=message):
        list(training(tmp_path, "mine").epochs())


def test_a_loss_that_is_no_number_is_a_divergence(tmp_path: Path) -> None:
    @sweeper.training_loop("mine")
    def mine(trial: sweeper.Trial) -> Iterator[dict[str, float]]:
        yield {"loss": float("nan")}

    with pytest.raises(DivergedError, match="loss is nan in epoch 1"):
        list(training(tmp_path, "mine").epochs())
