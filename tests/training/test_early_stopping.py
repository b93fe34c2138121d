"""Early stopping by hand."""

from __future__ import annotations

import pytest

from sweeper.errors import InputError
from sweeper.study.config import EarlyStoppingConfig
from sweeper.training.early_stopping import EarlyStopping


def epochs_until_stop(config: EarlyStoppingConfig, values: list[float]) -> int | None:
    stopping = EarlyStopping(config)
    for epoch, value in enumerate(values, start=1):
        if stopping.update({config.metric: value}):
            return epoch
    return None


def test_a_loss_must_fall() -> None:
    config = EarlyStoppingConfig(patience=2)
    assert epochs_until_stop(config, [1.0, 0.9, 0.95, 0.8, 0.8, 0.8]) == 6
    assert epochs_until_stop(config, [1.0, 0.9, 0.8, 0.7]) is None


def test_an_accuracy_must_rise_by_more_than_min_delta() -> None:
    config = EarlyStoppingConfig(patience=1, metric="val/accuracy", min_delta=0.1)
    assert epochs_until_stop(config, [0.5, 0.7, 0.75]) == 3
    assert epochs_until_stop(config, [0.5, 0.7, 0.9]) is None


def test_it_goes_on_from_its_state() -> None:
    config = EarlyStoppingConfig(patience=2)
    first, second = EarlyStopping(config), EarlyStopping(config)
    first.update({"val/loss": 1.0})
    first.update({"val/loss": 2.0})
    second.load_state_dict(first.state_dict())
    assert second.update({"val/loss": 1.5})
    assert second.best == 1.0


def test_a_metric_that_is_not_measured_is_refused() -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(patience=1, metric="val/accuracy/dgo"))
    with pytest.raises(InputError, match=r"'val/accuracy/dgo' is not measured; measured: val/loss, val/accuracy/dog"):
        stopping.update({"val/loss": 1.0, "val/accuracy/dog": 0.5})
