"""A linear classifier of scikit-learn, fitted epoch by epoch."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Literal

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score

import sweeper


@sweeper.training_loop("scikit-learn")
def train(
    trial: sweeper.Trial, *, alpha: float, penalty: Literal["l1", "l2"] = "l2", epochs: int = 5
) -> Iterator[dict[str, float]]:
    """`SGDClassifier` on the digits.

    Args:
        alpha: Strength of the penalty.
        penalty: Its kind.
        epochs: Passes over the training pictures.
    """
    features, labels = load_digits(return_X_y=True)
    file = trial.folder / "classifier.pickle"
    trial.keep(classifier=file)
    if file.exists():
        classifier = pickle.loads(file.read_bytes())  # noqa: S301  # this loop wrote it
    else:
        classifier = SGDClassifier(loss="log_loss", alpha=alpha, penalty=penalty, random_state=trial.seed)
    for _ in trial.epochs(epochs):
        order = np.random.permutation(1400)  # seeded for each epoch
        classifier.partial_fit(features[order], labels[order], classes=np.arange(10))
        file.write_bytes(pickle.dumps(classifier))
        yield {
            "train/accuracy": classifier.score(features[:1400], labels[:1400]),
            "validation/f1": f1_score(labels[1400:], classifier.predict(features[1400:]), average="macro"),
        }
