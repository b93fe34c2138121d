"""Backbones: a learning rate of their own, and stages that are unfrozen from the top."""

from __future__ import annotations

import copy
from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from torch import nn

from sweeper.study.config import AdamConfig, SGDConfig, UnfreezingConfig
from sweeper.training.learner import TorchLearner
from sweeper.training.losses import ClassLoss
from sweeper.training.optimizers import build_optimizer, parameter_groups
from sweeper.training.unfreezing import Unfreezing, n_unfrozen

LOSS = ClassLoss(log_probabilities=False, label_smoothing=0.0, weights_K=None)
STAGES = ("stage0", "stage1", "stage2")


class Backbone(nn.Module):
    """Three stages of linear layer and batch norm, and a weight that is in none."""

    def __init__(self) -> None:
        super().__init__()
        for name in STAGES:
            self.add_module(name, nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()))
        self.scale = nn.Parameter(torch.ones(4))
        self.stages = [self.get_submodule(name) for name in STAGES]

    def forward(self, inputs_BI: torch.Tensor) -> torch.Tensor:
        for stage in self.stages:
            inputs_BI = stage(inputs_BI)
        return inputs_BI * self.scale


def build_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(backbone=Backbone(), head=nn.Linear(4, 3)))


def build_learner(config: UnfreezingConfig | None, *, factor: float = 1.0) -> TorchLearner:
    network = build_network()
    optimizer = build_optimizer(AdamConfig(weight_decay=0.1), parameter_groups(network, backbone_lr_factor=factor))
    backbone = network.get_submodule("backbone")
    return TorchLearner(network, LOSS, optimizer, unfreezing=None if config is None else Unfreezing(backbone, config))


def run_epoch(learner: TorchLearner, epoch: int) -> set[str]:
    """Which parts of the network, parameters or buffers, changed in an epoch of two steps and an evaluation."""
    generator = torch.Generator().manual_seed(epoch)
    inputs_BI = torch.rand(8, 4, generator=generator)
    labels_B = torch.randint(0, 3, (8,), generator=generator)
    before = copy.deepcopy(learner.model.state_dict())
    learner.begin_epoch(epoch)
    for _ in range(2):
        learner.train_step(inputs_BI, labels_B, lr=0.1)
    learner.evaluate(inputs_BI)
    after = learner.model.state_dict()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    return {name.split(".")[1] if name.startswith("backbone") else "head" for name in changed}


def test_stages_are_unfrozen_from_the_top() -> None:
    learner = build_learner(UnfreezingConfig(first=2, every=2))
    changed = [run_epoch(learner, epoch) for epoch in range(1, 10)]
    everything = {"head", *STAGES, "scale"}
    assert changed[0] == changed[1] == {"head"}
    assert changed[2] == changed[3] == {"head", "stage2"}
    assert changed[4] == changed[5] == {"head", "stage2", "stage1"}
    assert changed[6] == changed[7] == changed[8] == everything


def test_what_is_frozen_has_no_gradient_and_no_optimizer_state() -> None:
    learner = build_learner(UnfreezingConfig(first=1, every=1))
    n_states = []
    for epoch in range(1, 5):
        run_epoch(learner, epoch)
        n_states.append(len(learner.state_dict()["optimizer"]["state"]))
        stage0 = learner.model.get_submodule("backbone.stage0")
        assert all((parameter.grad is not None) == (epoch == 4) for parameter in stage0.parameters())
    assert n_states == [2, 6, 10, 15]


def test_it_resumes_to_the_same_bits() -> None:
    config = UnfreezingConfig(first=1, every=2)
    whole = build_learner(config, factor=0.1)
    for epoch in range(1, 7):
        run_epoch(whole, epoch)
    first, second = build_learner(config, factor=0.1), build_learner(config, factor=0.1)
    for epoch in range(1, 4):
        run_epoch(first, epoch)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for epoch in range(4, 7):
        run_epoch(second, epoch)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


@pytest.mark.parametrize(("first", "every", "expected"), [(1, 1, [0, 1, 2, 3, 4]), (3, 2, [0, 0, 0, 1, 1])])
def test_epochs_of_unfreezing(first: int, every: int, expected: list[int]) -> None:
    config = UnfreezingConfig(first=first, every=every)
    assert [n_unfrozen(config, epoch) for epoch in range(1, 6)] == expected
    assert all(after - before <= 1 for before, after in pairwise(n_unfrozen(config, epoch) for epoch in range(1, 30)))


def test_the_backbone_learns_at_its_own_rate() -> None:
    network = build_network()
    assert len(parameter_groups(network, backbone_lr_factor=1.0)) == 1
    groups = parameter_groups(network, backbone_lr_factor=0.25)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    learner = TorchLearner(network, LOSS, build_optimizer(SGDConfig(), groups))
    before = copy.deepcopy(network)
    inputs_BI, labels_B = torch.rand(8, 4), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    for lr in (0.5, 0.1):  # it follows the schedule
        before.load_state_dict(network.state_dict())
        learner.begin_epoch(1)
        learner.train_step(inputs_BI, labels_B, lr=lr)
        for (name, old), new in zip(before.named_parameters(), network.parameters(), strict=True):
            assert new.grad is not None
            rate = lr * (0.25 if name.startswith("backbone") else 1.0)
            torch.testing.assert_close(new.detach(), old.detach() - rate * new.grad)
