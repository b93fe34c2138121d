"""What drivers and workers say to each other comes out as it went in."""

from __future__ import annotations

import math

import pytest

from sweeper.launch.messages import (
    Attempt,
    AttemptEnded,
    EpochDone,
    Event,
    Order,
    Preparing,
    Proceed,
    Prune,
    Shutdown,
    Stop,
    WorkerDied,
    WorkerReady,
    from_json,
    to_json,
)

MESSAGES: list[Order | Event] = [
    Attempt(
        number=3,
        attempt=1,
        config={"model": {"hidden": [16]}, "seed": 0},
        folder="/a/b é",
        metric="val/accuracy",
        maximize=True,
        at="best",
        keep_model=False,
        prunable=True,
        checkpoint_seconds=10.0,
    ),
    Prune(number=3),
    Proceed(number=3, epoch=2),
    Stop(),
    Shutdown(),
    WorkerReady(worker=0, version="0.1.0", host="a", pid=7, device="cpu", n_threads=1),
    Preparing(worker=0, number=3, done=16, total=5000),
    EpochDone(worker=0, number=3, epoch=1, value=0.1 + 0.2, objective=math.inf, pictures_per_second=1e5),
    AttemptEnded(worker=0, number=3, how="error", reason="why", traceback="a\nb"),
    WorkerDied(worker=0, exit_code=-9, output="x"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_round_trip(message: Order | Event) -> None:
    assert from_json(to_json(message)) == message


def test_every_message_is_tested() -> None:
    from sweeper.launch import messages

    assert {type(message).__name__ for message in MESSAGES} == set(messages._TYPES)
