"""Frozen backbones: trained on cached features as on the backbone itself, which runs once for each picture and view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from sweeper.data.dataset import Dataset, Split
from sweeper.errors import DataError, InputError
from sweeper.places import Places
from sweeper.study.config import TrialConfig
from sweeper.training.frozen import FrozenBackbone
from sweeper.training.loop import EpochMetrics, Interrupted, Training

CPU = torch.device("cpu")
MakeConfig = Callable[..., TrialConfig]
N_PICTURES = 100


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With weights of SqueezeNet, the fastest network here, drawn at random."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "weights").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(models.squeezenet1_1().state_dict(), folder / "weights" / "squeezenet1_1.pth")
    return folder


@pytest.fixture
def places(data_dir: Path, tmp_path: Path) -> Places:
    return Places(cache_dir=tmp_path, data_dir=data_dir)


@pytest.fixture(scope="module")
def pictures() -> Dataset:
    """100 pictures in three colours, one of which each class has more of: 60 for training, 20 and 20."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.randint(0, 3, (N_PICTURES,), generator=generator)
    images_NCHW = torch.randint(0, 160, (N_PICTURES, 3, 21, 21), dtype=torch.uint8, generator=generator)
    images_NCHW[torch.arange(N_PICTURES), labels_N] += 90
    order_N = torch.randperm(N_PICTURES, generator=generator)
    train, validation, test = (
        Split(images_NCHW=images_NCHW, labels_N=labels_N, indices_M=indices_M.sort().values)
        for indices_M in order_N.split([60, 20, 20])
    )
    return Dataset(
        name="colours", class_names=("red", "green", "blue"), train=train, validation=validation, test=test,
        mean_C=torch.full((3,), 0.4), deviation_C=torch.full((3,), 0.2), fingerprint="f", content="colours",
    )  # fmt: skip


@pytest.fixture
def config(make_config: MakeConfig) -> MakeConfig:
    def make(*, data: Any = None, seed: int = 0, training: Any = None, **model: Any) -> TrialConfig:
        return make_config(
            model={"name": "torchvision", "network": "squeezenet1_1", "hidden": [16], **model},
            data={"name": "folder", "path": "colours", "normalize": "imagenet", **(data or {})},
            seed=seed,
            **{"batch_size": 16, "optimizer": {"name": "adam", "lr": 1e-2}, **(training or {})},
        )

    return make


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the backbone got."""
    calls: list[int] = []
    call = FrozenBackbone.__call__

    def counting(self: FrozenBackbone, images_NCHW: torch.Tensor) -> torch.Tensor:
        calls.append(len(images_NCHW))
        return call(self, images_NCHW)

    monkeypatch.setattr(FrozenBackbone, "__call__", counting)
    return calls


def train(config: TrialConfig, dataset: Dataset, places: Places | None, **options: Any) -> list[EpochMetrics]:
    return list(Training(config=config, dataset=dataset, device=CPU, places=places, **options).epochs())


@pytest.mark.parametrize(
    ("fields", "task"),
    [
        ({}, {}),
        ({"head_on": "outputs", "dropout": 0.1, "batch_norm": True}, {"loss": "nll", "balance": "sampler"}),
        ({"input_size": 32, "hidden": []}, {"batch_size": 59, "balance": "loss"}),
    ],
    ids=["features", "outputs", "resized"],
)
def test_trained_on_the_cache_is_trained_on_the_backbone(
    config: MakeConfig, pictures: Dataset, places: Places, fields: dict[str, Any], task: dict[str, Any]
) -> None:
    cached = Training(config=config(**fields, training=task), dataset=pictures, device=CPU, places=places)
    plain = Training(config=config(**fields, training=task, views=0), dataset=pictures, device=CPU, places=places)
    for one, other in zip(cached.epochs(), plain.epochs(), strict=True):
        for name in sorted(set(one.values) - {"seconds", "pictures_per_second"}):
            assert one.values[name] == pytest.approx(other.values[name], abs=1e-4), (one.epoch, name)
    for name, tensor in cached.model_state_dict().items():
        torch.testing.assert_close(tensor, plain.model_state_dict()[name], atol=1e-3, rtol=1e-3)
    assert cached.model_state_dict().keys() == plain.model_state_dict().keys()
    assert not any(name.startswith("backbone") for name in cached.model_state_dict())


def test_it_learns(config: MakeConfig, pictures: Dataset, places: Places) -> None:
    history = train(config(hidden=[], training={"epochs": 80}), pictures, places)
    assert history[-1].values["train/accuracy"] > 0.9


def test_the_backbone_runs_once_for_each_picture_of_a_study(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config(), pictures, places)
    assert sum(computed) == 80
    computed.clear()
    with monkeypatch.context() as patch:  # a trial that finds all it needs imports and loads nothing
        patch.setattr("sweeper.training.frozen.build_backbone", None)
        train(config(seed=1, hidden=[8, 8], training={"epochs": 1, "batch_size": 7}), pictures, places)
        wrong = replace(pictures, train=replace(pictures.train, labels_N=pictures.train.labels_N.flip(0)))
        train(config(), wrong, places)
        seen_M = torch.cat((pictures.train.indices_M, pictures.validation.indices_M)).sort().values
        other_M = torch.arange(80) % 3 == 0
        other = replace(
            pictures,
            train=replace(pictures.train, indices_M=seen_M[~other_M]),
            validation=replace(pictures.validation, indices_M=seen_M[other_M]),
            mean_C=pictures.mean_C + 0.1,  # of other training pictures; ImageNet's are used
            fingerprint="other split",
        )
        train(config(), other, places)
    assert computed == []
    train(config(training={"epochs": 2}), pictures, places, measure_test=True)
    assert sum(computed) == 20


@pytest.mark.parametrize(
    "change",
    ["network", "weights", "head_on", "input_size", "pictures", "augment"],
)
def test_what_depends_on_something_else_is_computed_anew(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int], change: str
) -> None:
    short = {"epochs": 1}
    train(config(training=short), pictures, places)
    assert sum(computed) == 80
    computed.clear()
    train(config(training=short), pictures, places)
    assert computed == []
    weights = places.data_dir / "weights"  # type: ignore[operator]
    fields: dict[str, Any] = {}
    dataset, n_computed = pictures, 80
    if change == "network":
        torch.save(models.squeezenet1_0().state_dict(), weights / "squeezenet1_0.pth")
        fields = {"network": "squeezenet1_0"}
    elif change == "weights":
        state = torch.load(weights / "squeezenet1_1.pth", weights_only=True)
        state["features.0.bias"] += 0.5
        torch.save(state, weights / "other.pth")
        fields = {"weights": "weights/other.pth"}
    elif change == "pictures":
        dataset = replace(pictures, content="other colours")
    elif change == "augment":
        fields, n_computed = {"data": {"augment": ["horizontal_flip"]}, "views": 1}, 60
    else:
        fields = {"head_on": {"head_on": "outputs"}, "input_size": {"input_size": 30}}[change]
    train(config(training=short, **fields), dataset, places)
    assert sum(computed) == n_computed


def test_the_size_that_pictures_have_is_no_other_size(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int]
) -> None:
    train(config(training={"epochs": 1}), pictures, places)
    computed.clear()
    train(config(training={"epochs": 1}, input_size=21), pictures, places)
    assert computed == []


def test_outputs_are_made_of_features_that_are_there(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int], data_dir: Path
) -> None:
    # Not SqueezeNet, whose outputs are no linear function of its features.
    torch.save(models.shufflenet_v2_x0_5().state_dict(), data_dir / "weights" / "shufflenet_v2_x0_5.pth")
    for augment in ([], ["horizontal_flip"]):
        fields = {"network": "shufflenet_v2_x0_5", "views": 2, "data": {"augment": augment}, "training": {"epochs": 2}}
        computed.clear()
        outputs = Training(config=config(**fields, head_on="outputs"), dataset=pictures, device=CPU, places=places)
        of_outputs = list(outputs.epochs())
        n_computed = sum(computed)
        train(config(**fields), pictures, places)
        assert sum(computed) == n_computed == (2 * 60 if augment else 80)
    plain = config(**{**fields, "views": 0, "data": {}}, head_on="outputs")
    first = train(config(**{**fields, "data": {}}, head_on="outputs"), pictures, places)
    assert sum(computed) == n_computed
    for one, other in zip(first, train(plain, pictures, places), strict=True):
        assert one.values["val/loss"] == pytest.approx(other.values["val/loss"], abs=1e-4)
    assert of_outputs[-1].values["train/loss"] != first[-1].values["train/loss"]


def test_views_of_an_augmentation(config: MakeConfig, pictures: Dataset, places: Places, computed: list[int]) -> None:
    augment = {"augment": [{"name": "rotation", "degrees": 40}, "horizontal_flip"]}
    three = Training(config=config(data=augment, views=3), dataset=pictures, device=CPU, places=places)
    history = list(three.epochs())
    assert sum(computed) == 3 * 60 + 20
    computed.clear()
    train(config(data=augment, views=2), pictures, places)
    assert computed == []
    train(config(data=augment, views=4), pictures, places)
    assert sum(computed) == 60
    # Another process, which computes in another order, gives the same.
    elsewhere = replace(places, cache_dir=places.cache_dir / "elsewhere")
    again = Training(config=config(data=augment, views=3), dataset=pictures, device=CPU, places=elsewhere)
    some = replace(pictures, train=replace(pictures.train, indices_M=pictures.train.indices_M[7:40:3]))
    train(config(data=augment, views=3, training={"epochs": 1, "batch_size": 5}), some, elsewhere)
    assert [m.values["val/loss"] for m in again.epochs()] == [m.values["val/loss"] for m in history]


def test_each_epoch_draws_a_view_of_each_picture(config: MakeConfig, pictures: Dataset, places: Places) -> None:
    augment = {"augment": [{"name": "rotation", "degrees": 90}]}
    training = Training(config=config(data=augment, views=3), dataset=pictures, device=CPU, places=places)
    for _ in training.prepare():
        pass
    seen: list[dict[int, bytes]] = []
    for epoch in range(1, 13):
        features_MF = torch.cat([features_BF for features_BF, _ in training.feed.train(epoch)])
        order_M = training.feed.order(epoch)
        seen.append({int(at): f.numpy().tobytes() for at, f in zip(order_M, features_MF, strict=True)})
        again_MF = torch.cat([features_BF for features_BF, _ in training.feed.train(epoch)])
        assert torch.equal(again_MF, features_MF)
    assert all(len(epoch) == 60 for epoch in seen)
    views = [len({epoch[at] for epoch in seen}) for at in range(60)]
    assert set(views) <= {1, 2, 3}
    assert sum(views) > 150
    plain = {f.numpy().tobytes() for x, _ in training.feed.evaluation(pictures.train) for f in x}
    assert not plain & {vector for epoch in seen for vector in epoch.values()}


def test_without_views_the_backbone_runs_in_each_epoch(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int]
) -> None:
    train(config(data={"augment": ["horizontal_flip"]}, views=0), pictures, places)
    assert sum(computed) == 3 * 80
    assert not (places.cache_dir / "features").exists()


def test_a_part_of_other_pictures_is_not_taken_for_one_that_is_cached(
    config: MakeConfig, pictures: Dataset, places: Places
) -> None:
    training = Training(config=config(), dataset=pictures, device=CPU, places=places)
    list(training.epochs())
    inside = training.evaluate(pictures.test)
    copied = replace(pictures.test, images_NCHW=pictures.test.images_NCHW.clone())
    assert training.evaluate(copied).values == pytest.approx(inside.values, abs=1e-5)
    black = replace(pictures.test, images_NCHW=torch.zeros_like(pictures.test.images_NCHW))
    assert training.evaluate(black).values["loss"] != pytest.approx(inside.values["loss"], abs=1e-3)


def test_preparing_can_be_left_off_and_gone_on_with(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int]
) -> None:
    augment = {"augment": ["horizontal_flip"]}
    steps = list(Training(config=config(data=augment), dataset=pictures, device=CPU, places=places).prepare())
    assert steps[0] == (0, 4 * 60 + 20)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    elsewhere = replace(places, cache_dir=places.cache_dir / "elsewhere")
    stop = Training(
        config=config(data=augment), dataset=pictures, device=CPU, places=elsewhere,
        should_stop=lambda: sum(computed) >= 260 + 60,
    )  # fmt: skip
    stop.seconds_between_stop_checks = 0.0
    with pytest.raises(Interrupted):
        next(stop.epochs())
    computed.clear()
    train(config(data=augment), pictures, elsewhere)
    assert sum(computed) == 3 * 60 + 20


def test_a_resumed_trial_is_the_same(config: MakeConfig, pictures: Dataset, places: Places) -> None:
    fields = {"data": {"augment": ["horizontal_flip"]}, "views": 2, "dropout": 0.3, "training": {"epochs": 4}}
    whole = Training(config=config(**fields), dataset=pictures, device=CPU, places=places)
    list(whole.epochs())
    first = Training(config=config(**fields), dataset=pictures, device=CPU, places=places)
    for metrics in first.epochs():
        if metrics.epoch == 2:
            break
    second = Training(config=config(**fields), dataset=pictures, device=CPU, places=places)
    second.load_state_dict(first.state_dict())
    list(second.epochs())
    for name, tensor in whole.model_state_dict().items():
        assert torch.equal(tensor, second.model_state_dict()[name])


def test_fine_tuning_trains_all_of_it(config: MakeConfig, pictures: Dataset, places: Places) -> None:
    fields = {"frozen": False, "unfreezing": {"first": 1, "every": 1}, "hidden": []}
    training = Training(config=config(**fields), dataset=pictures, device=CPU, places=places)
    before = {name: tensor.clone() for name, tensor in training.model_state_dict().items()}
    changed = []
    for _ in training.epochs():
        after = training.model_state_dict()
        changed.append({n.split(".")[3] for n in after if "features" in n and not torch.equal(after[n], before[n])})
    assert changed[0] == set()
    assert changed[1] == {"12"}  # the last fire module
    assert changed[2] == {"12", "11"}
    assert not (places.cache_dir / "features").exists()


def test_errors_before_anything_is_computed(
    config: MakeConfig, pictures: Dataset, places: Places, computed: list[int]
) -> None:
    with pytest.raises(DataError, match=r"cached features: .* GiB are needed"):
        train(config(), pictures, replace(places, features_gib=1e-7))
    with pytest.raises(DataError, match=r"there is no file .*mine.pth"):
        train(config(weights="mine.pth"), pictures, places)
    with pytest.raises(InputError, match="cannot be trained on colours: torchvision has no network 'squeezenet1'"):
        train(config(network="squeezenet1"), pictures, places)
    assert computed == []
