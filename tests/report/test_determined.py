"""What is said of parameters that follow from others."""

from __future__ import annotations

from sweeper.report.determined import describe_determined

LABELS = {"training.optimizer": "optimizer", "training.optimizer.lr": "lr", "training.optimizer.momentum": "momentum"}


def test_nothing_follows() -> None:
    assert describe_determined({}, LABELS) == ""


def test_one_follows() -> None:
    assert describe_determined({"training.optimizer.lr": "training.optimizer"}, LABELS) == (
        "What lr did cannot be told from what optimizer did, from which it follows in every trial: it is not shown."
    )


def test_several_follow() -> None:
    determined = dict.fromkeys(["training.optimizer.lr", "training.optimizer.momentum"], "training.optimizer")
    assert describe_determined(determined, LABELS) == (
        "What lr and momentum did cannot be told from what optimizer did, from which they follow in every trial: they "
        "are not shown."
    )
