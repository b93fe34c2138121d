"""Which pictures are for training, validation and test, and which label each has: `data.classes` to `data.split_seed`.

In this order: classes are kept; the test part is taken; of the rest, the pool, `counts` and then `subset` of each class
are drawn; the pool is split into training and validation by true labels; labels are made wrong; and labels are
corrected from a file. Labels that change move no picture from one part to another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sweeper.data.catalog import PictureCounts
from sweeper.data.draws import Purpose, drawing_order, quotas
from sweeper.data.faults import data_faults, unknown_name
from sweeper.data.relabel import read_labels
from sweeper.data.splits import check_every_class, stratified_split
from sweeper.errors import DataError
from sweeper.study.config import DataConfig, Noise, TestConfig

__all__ = ["LEFT_OUT", "Assignment", "Parts", "assign_pictures"]

Indices = npt.NDArray[np.int64]

LEFT_OUT = -1
"""Label of pictures of classes that are not kept."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Ascending indices of the pictures of each part, int64, (M,). No picture is in two parts."""

    train_M: Indices
    validation_M: Indices
    test_M: Indices


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What each picture of a data set is used for, and as what."""

    class_names: tuple[str, ...]
    labels_N: Indices
    """As given: what is trained on. `LEFT_OUT` for pictures of classes that are not kept."""
    true_labels_N: Indices | None
    """Before any were made wrong; None where none were."""
    parts: Parts


def assign_pictures(
    config: DataConfig,
    own_labels_N: Indices,
    *,
    own_names: Sequence[str],
    n_validation: int = 0,
    n_test: int,
    ids: Callable[[], Sequence[str]] = tuple,
) -> Assignment:
    """Assign the pictures of a data set to parts and labels.

    Args:
        config: How.
        own_labels_N: The data set's own label of each picture, those for training first, then validation, then test.
        own_names: Its own names of its classes; empty for a regression, which has one label throughout.
        n_validation: How many pictures, before the test part, it holds out for validation.
        n_test: How many of the last pictures it holds out as test.
        ids: The id of each picture, asked for only to read `config.relabel`.

    Raises:
        DataError: Unknown classes, or too few pictures, in all or of one class.
    """
    if config.split == "stratified":
        n_validation = n_test = 0
    n_training = len(own_labels_N) - n_validation - n_test
    _refuse_faults(config, own_labels_N, own_names, n_test)
    own_kept = config.own_class_names or own_names
    kept_names = config.kept_class_names or tuple(own_names)
    named = kept_names or (config.name,)  # for messages
    own_of_kept = [own_names.index(name) for name in own_kept] or [0]
    kept_of_own = np.full(max(len(own_names), 1), LEFT_OUT)
    kept_of_own[own_of_kept] = np.arange(len(own_of_kept))
    labels_N = kept_of_own[own_labels_N]
    draws = _Draws(seed=config.split_seed, labels_N=labels_N, own_of_kept=own_of_kept, class_names=named)
    every_N = np.arange(len(labels_N))

    test = config.test if isinstance(config.test, TestConfig) else TestConfig()
    kept_M = every_N[labels_N != LEFT_OUT]
    if n_test > 0:
        pool_M, test_M = kept_M[kept_M < n_training + n_validation], kept_M[kept_M >= n_training + n_validation]
        test_M = draws.some(test_M, test.counts or {}, Purpose.TEST_COUNTS)
    elif isinstance(config.test, TestConfig):
        test_M = draws.some(kept_M, test.counts or {}, Purpose.TEST_COUNTS)
        pool_M = np.setdiff1d(kept_M, test_M, assume_unique=True)
    else:
        size = math.ceil(config.test * len(kept_M))
        asked = f"test: {config.test}"
        pool_M, test_M = stratified_split(kept_M, labels_N, len(kept_M) - size, size, config.split_seed, asked, named)
        check_every_class(pool_M, labels_N, f"training with {asked}", named)
        check_every_class(test_M, labels_N, asked, named)

    pool_M = draws.some(pool_M, config.counts or {}, Purpose.COUNTS)
    if config.subset is not None:
        pool_M = draws.share(pool_M, config.subset, "subset", Purpose.SUBSET)
    train_M, validation_M, asked = _split_pool(config, draws, pool_M, n_training, n_validation)
    check_every_class(train_M, labels_N, f"training with {asked}", named)
    check_every_class(validation_M, labels_N, asked, named)

    given_N = labels_N.copy()
    if config.has_true_labels:
        part_N = np.zeros(len(labels_N), dtype=np.int8)
        part_N[train_M], part_N[validation_M] = 1, 2
        _make_wrong(given_N, draws, pool_M, config.noise or {}, Purpose.NOISE, part_N)
        _make_wrong(given_N, draws, test_M, test.noise or {}, Purpose.TEST_NOISE, part_N)
    if config.relabel is not None:
        corrected = _corrections(Path(config.relabel), ids(), named, test_M)
        for index, label in corrected.items():
            if given_N[index] != LEFT_OUT:
                given_N[index] = label
        train_M, validation_M = (part_M[given_N[part_M] != LEFT_OUT] for part_M in (train_M, validation_M))
    if config.noise or config.relabel is not None:
        check_every_class(train_M, given_N, "training, by the labels as given,", named)
        check_every_class(validation_M, given_N, "validation, by the labels as given,", named)
    return Assignment(
        class_names=kept_names,
        labels_N=given_N,
        true_labels_N=labels_N if config.has_true_labels else None,
        parts=Parts(train_M=train_M, validation_M=validation_M, test_M=test_M),
    )


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """Draws of pictures, class by class."""

    seed: int
    labels_N: Indices
    own_of_kept: Sequence[int]
    class_names: Sequence[str]

    def ordered(
        self, indices_M: Indices, label: int, purpose: Purpose, group_N: npt.NDArray[np.int8] | None = None
    ) -> Indices:
        members_M = indices_M[self.labels_N[indices_M] == label]
        own_label = self.own_of_kept[label]
        return drawing_order(members_M, seed=self.seed, purpose=purpose, own_label=own_label, group_N=group_N)

    def some(self, indices_M: Indices, counts: Mapping[str, int], purpose: Purpose) -> Indices:
        """So many of the classes that are named, and all of the others."""
        if not counts:
            return indices_M
        field = "test.counts" if purpose == Purpose.TEST_COUNTS else "counts"
        picked = []
        for label, name in enumerate(self.class_names):
            order_M = self.ordered(indices_M, label, purpose)
            n = counts.get(name, len(order_M))
            if n > len(order_M):
                raise DataError(
                    f"data.{field}.{name}: given {n}; allowed: at most {len(order_M)}, as many as there are of "
                    f"{name!r} to draw from"
                )
            picked.append(order_M[:n])
        return np.sort(np.concatenate(picked))

    def share(self, indices_M: Indices, share: int | float, field: str, purpose: Purpose) -> Indices:
        """A count or a share of all, the same share of each class."""
        n = share if isinstance(share, int) else round(share * len(indices_M))
        if n > len(indices_M):
            raise DataError(f"data.{field}: given {n}; allowed: at most {len(indices_M)}, as many as there are left")
        orders = [self.ordered(indices_M, label, purpose) for label in range(len(self.class_names))]
        sizes = quotas(n, [len(order_M) for order_M in orders])
        return np.sort(np.concatenate([order_M[:size] for order_M, size in zip(orders, sizes, strict=True)]))


def _split_pool(
    config: DataConfig, draws: _Draws, pool_M: Indices, n_training: int, n_validation: int
) -> tuple[Indices, Indices, str]:
    """The training part, the validation part, and what was asked for, in words."""
    if n_validation > 0:
        train_M, validation_M = pool_M[pool_M < n_training], pool_M[pool_M >= n_training]
        if config.train is None:
            return train_M, validation_M, "the validation pictures of the data set"
        return draws.share(train_M, config.train, "train", Purpose.TRAIN), validation_M, f"train: {config.train}"
    n_pool = len(pool_M)
    n_validation = config.validation if isinstance(config.validation, int) else math.ceil(config.validation * n_pool)
    if config.train is None:
        n_train = n_pool - n_validation
    elif isinstance(config.train, int):
        n_train = config.train
    else:
        # Rounding train down and validation up may exceed the whole by one when the shares are no binary fractions.
        n_train = min(math.floor(config.train * n_pool), n_pool - n_validation)
    asked = f"validation: {config.validation}" + ("" if config.train is None else f", train: {config.train}")
    train_M, validation_M = stratified_split(
        pool_M, draws.labels_N, n_train, n_validation, config.split_seed, asked, draws.class_names
    )
    return train_M, validation_M, asked


def _make_wrong(
    given_N: Indices,
    draws: _Draws,
    indices_M: Indices,
    noise: Noise,
    purpose: Purpose,
    part_N: npt.NDArray[np.int8],
) -> None:
    """Make labels wrong in place, the same share of them in training as in validation."""
    field = "test.noise" if purpose == Purpose.TEST_NOISE else "noise"
    for true_class, given in noise.items():
        order_M = draws.ordered(indices_M, draws.class_names.index(true_class), purpose, part_N)
        n_members, start = len(order_M), 0
        for given_class, share in given.items():
            # Two rounded shares that add up to 1 may exceed the whole by one.
            n = share if isinstance(share, int) else min(round(share * n_members), n_members - start)
            if start + n > n_members:
                raise DataError(
                    f"data.{field}.{true_class}: given {start + n} wrong labels; allowed: at most {n_members}, as many "
                    f"as there are of {true_class!r} in these parts"
                )
            given_N[order_M[start : start + n]] = draws.class_names.index(given_class)
            start += n


def _corrections(path: Path, ids: Sequence[str], class_names: Sequence[str], test_M: Indices) -> dict[int, int]:
    """Labels by index, `LEFT_OUT` for pictures to be left out."""
    index_of, in_test = {picture: index for index, picture in enumerate(ids)}, set(test_M.tolist())
    corrected = {}
    for picture, name in read_labels(path).items():
        if picture not in index_of:
            raise DataError(f"data.relabel: {path} names the picture {picture!r}, which the data set does not have")
        if index_of[picture] in in_test:
            raise DataError(
                f"data.relabel: {path} names the picture {picture!r}, which is for test; allowed: pictures for "
                "training and validation"
            )
        if name and name not in class_names:
            raise DataError(f"data.relabel: {path}, picture {picture!r}: {unknown_name(name, class_names)}")
        corrected[index_of[picture]] = class_names.index(name) if name else LEFT_OUT
    return corrected


def _refuse_faults(config: DataConfig, own_labels_N: Indices, own_names: Sequence[str], n_test: int) -> None:
    n_pool = len(own_labels_N) - n_test

    def count(labels_M: Indices) -> dict[str, int]:
        counts = np.bincount(labels_M, minlength=len(own_names)).tolist()
        return dict(zip(own_names, counts, strict=bool(own_names)))

    known = PictureCounts(training=count(own_labels_N[:n_pool]), test=count(own_labels_N[n_pool:]) if n_test else {})
    for field, message in data_faults(config, own_names, known):
        raise DataError(f"{'.'.join(('data', *field))}: {message}")
