"""Backbones: every family of torchvision, its features and stages; weights: where they lie and what they are."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from sweeper.errors import DataError, InputError
from sweeper.models.backbone_table import N_OUTPUTS, NETWORKS, ends_in_linear_layer
from sweeper.models.backbone_weights import find_weights, load_weights, weights_hash
from sweeper.models.backbones import (
    Backbone,
    _NoMemory,
    build_backbone,
    build_network,
    fuse_batch_norms,
    take_last_layer,
)
from sweeper.models.check import model_fault
from sweeper.places import Places
from sweeper.study.config import TorchvisionConfig
from tests.models import networks_of_torchvision

# The smallest of each family, and those with a structure of their own.
FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_32",
    "wide_resnet50_2",
]


def config(**fields: Any) -> TorchvisionConfig:
    return TorchvisionConfig.model_validate({"network": "squeezenet1_1", **fields})


def meta_network(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]), _NoMemory():
        network = build_network(name, pretrained=True)
    return network.to("meta").eval()


def test_the_table_has_all_networks_of_torchvision() -> None:
    assert list(NETWORKS) == networks_of_torchvision.names()
    for name, network in NETWORKS.items():
        weights = models.get_model_weights(name).DEFAULT
        assert network.weights_file == weights.url.rpartition("/")[2]
        assert network.smallest == weights.meta["min_size"][0] or name.startswith("swin")
    assert {re.sub(r"\d.*|_.*", "", name) for name in NETWORKS} <= {re.sub(r"\d.*|_.*", "", n) for n in FAMILIES}


@pytest.mark.parametrize("name", FAMILIES)
def test_features_outputs_and_stages_of_each_family(name: str) -> None:
    assert networks_of_torchvision.describe(name) == NETWORKS[name]
    network, size = meta_network(name), NETWORKS[name].smallest
    last_inputs: list[torch.Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert ends_in_linear_layer(config(network=name)) == isinstance(layers[-1], nn.Linear)
    handle = layers[-1].register_forward_hook(lambda module, inputs, output: last_inputs.append(inputs[0]))
    images_NCHW = torch.empty(2, 3, size, size, device="meta")
    n_parameters = sum(p.numel() for p in network.parameters())
    for head_on, n_features in (("outputs", N_OUTPUTS), ("features", NETWORKS[name].n_features)):
        backbone = Backbone(network, head_on=head_on, input_size=None)  # type: ignore[arg-type]
        assert backbone(images_NCHW).shape == (2, n_features)
        stages = backbone.stages
        held = [parameter for stage in stages for parameter in stage.parameters()]
        assert len({id(parameter) for parameter in held}) == len(held)
        assert {id(parameter) for parameter in held} == {id(parameter) for parameter in backbone.parameters()}
        assert len(stages) >= 4
    handle.remove()
    assert last_inputs[0].shape[1] == NETWORKS[name].n_features
    assert sum(p.numel() for p in network.parameters()) == NETWORKS[name].n_parameters < n_parameters


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        (
            "mobilenet_v3_small",
            lambda net, x: net.classifier[1](net.classifier[0](net.avgpool(net.features(x)).flatten(1))),
        ),
        ("resnet18", lambda net, x: nn.Sequential(*list(net.children())[:-1])(x).flatten(1)),
        ("convnext_tiny", lambda net, x: net.classifier[:2](net.avgpool(net.features(x)))),
        ("densenet121", lambda net, x: net.features(x).relu().mean((2, 3))),
        ("squeezenet1_1", lambda net, x: net.features(x).mean((2, 3))),
        ("shufflenet_v2_x0_5", lambda net, x: nn.Sequential(*list(net.children())[:-1])(x).mean((2, 3))),
        ("mnasnet0_5", lambda net, x: net.layers(x).mean((2, 3))),
        ("swin_t", lambda net, x: net.flatten(net.avgpool(net.permute(net.norm(net.features(x)))))),
    ],
)
def test_features_are_what_the_last_layer_gets(name: str, tail: Any) -> None:
    torch.manual_seed(0)
    network = build_network(name).eval()
    images_NCHW = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected_NF = tail(network, images_NCHW)
        features_NF = Backbone(network, head_on="features", input_size=None)(images_NCHW)
    torch.testing.assert_close(features_NF, expected_NF)


@pytest.mark.parametrize("name", ["mobilenet_v2", "vgg11_bn", "resnet18", "densenet121", "mnasnet0_5"])
def test_batch_norms_become_part_of_convolutions(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    images_NCHW = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected_NK = network(images_NCHW)
        n_before = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        fuse_batch_norms(network)
        torch.testing.assert_close(network(images_NCHW), expected_NK, rtol=1e-3, atol=1e-3 * float(expected_NK.std()))
    n_after = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert n_after < n_before
    assert n_after == 0 or name in ("resnet18", "densenet121", "mnasnet0_5")


def test_the_last_layer_is_taken_off() -> None:
    torch.manual_seed(0)
    backbone = Backbone(build_network("mobilenet_v2").eval(), head_on="outputs", input_size=None)
    images_NCHW = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected_NK = backbone(images_NCHW)
        last = take_last_layer(backbone)
        torch.testing.assert_close(last(backbone(images_NCHW)), expected_NK)
    assert backbone(images_NCHW).shape == (2, 1280)


def test_stages_of_known_networks() -> None:
    def n_stages(name: str) -> int:
        return len(Backbone(meta_network(name), head_on="features", input_size=None).stages)

    # A stem and four stages; the blocks one by one; convolutions between poolings and the two hidden linear layers.
    assert n_stages("resnet18") == n_stages("regnet_x_400mf") == 5
    assert n_stages("mobilenet_v2") == 19
    assert n_stages("vgg11") == 6
    assert n_stages("vit_b_32") == 12


def test_pictures_are_resized_and_gray_ones_repeated() -> None:
    torch.manual_seed(0)
    backbone = Backbone(build_network("squeezenet1_1").eval(), head_on="features", input_size=64)
    gray_NCHW = torch.rand(2, 1, 150, 150)
    with torch.inference_mode():
        features_NF = backbone(gray_NCHW)
        small_NCHW = nn.functional.interpolate(gray_NCHW, size=(64, 64), mode="bilinear", antialias=True)
        torch.testing.assert_close(features_NF, backbone(small_NCHW.repeat(1, 3, 1, 1)))
    assert features_NF.shape == (2, 512)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "weights" / "squeezenet1_1.pth"
    path.parent.mkdir()
    torch.save(models.squeezenet1_1().state_dict(), path)
    return path


def test_weights_are_loaded_and_nothing_is_drawn(weights: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    backbone = build_backbone(config(head_on="outputs"), weights_path=weights).eval()
    assert torch.equal(torch.rand(1), expected)
    network = models.squeezenet1_1()
    network.load_state_dict(torch.load(weights, weights_only=True))
    images_NCHW = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(backbone(images_NCHW), network.eval()(images_NCHW))
    assert not any(parameter.is_meta for parameter in backbone.parameters())


@pytest.mark.parametrize("name", ["mnasnet0_5", "googlenet", "densenet121", "regnet_x_400mf"])
def test_weights_of_networks_that_load_in_their_own_way(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    network = models.get_model(name, **options)
    state = network.state_dict()
    if name == "densenet121":  # as in torchvision's own file
        state = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): t for key, t in state.items()}
    torch.save(state, tmp_path / "weights.pth")
    with_weights = config(network=name, weights="weights.pth", frozen=False)
    backbone = build_backbone(with_weights, weights_path=tmp_path / "weights.pth").eval()
    network.transform_input = name == "googlenet"
    images_NCHW = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        outputs_NK = network.eval()(images_NCHW)
        last = list(network.modules())[-1]
        torch.testing.assert_close(last(backbone(images_NCHW)), outputs_NK)
    # A trained model is saved as plain tensors, and loaded into a network whose weights are nowhere.
    plain = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    again = copy.deepcopy(build_backbone(with_weights, weights_path=None)).eval()
    again.load_state_dict(plain)
    with torch.inference_mode():
        assert torch.equal(again(images_NCHW), backbone(images_NCHW))


def test_features_of_a_network_for_other_classes(tmp_path: Path) -> None:
    torch.save(models.resnet18(num_classes=7).state_dict(), tmp_path / "places.pth")
    backbone = build_backbone(config(network="resnet18"), weights_path=tmp_path / "places.pth").eval()
    with torch.inference_mode():
        assert backbone(torch.rand(1, 3, 32, 32)).shape == (1, 512)
    with pytest.raises(InputError, match=r"does not fit resnet18: .*\[7.* with its 1000 outputs, or set head_on"):
        build_backbone(config(network="resnet18", head_on="outputs"), weights_path=tmp_path / "places.pth")


def test_files_that_are_no_weights_of_the_network(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"squeezenet1_1.pth does not fit resnet18: Missing key"):
        build_backbone(config(network="resnet18"), weights_path=weights)
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "more.pth")
    with pytest.raises(InputError, match="holds a dict with epoch, state_dict, not a state dict"):
        load_weights(tmp_path / "more.pth")
    torch.save(models.squeezenet1_1(), tmp_path / "module.pth")
    with pytest.raises(InputError, match="cannot be read as a state dict, and nothing else is loaded"):
        load_weights(tmp_path / "module.pth")
    (tmp_path / "torn.pth").write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="cannot be read as a state dict"):
        load_weights(tmp_path / "torn.pth")


def test_where_weights_are_looked_for(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    places = Places(cache_dir=tmp_path / "cache", data_dir=tmp_path)
    elsewhere = Places(cache_dir=tmp_path / "cache", data_dir=tmp_path / "elsewhere")
    assert find_weights(config(weights="none", frozen=False), places) is None
    assert find_weights(config(), places) == weights
    assert find_weights(config(weights="weights/squeezenet1_1.pth"), places) == weights
    monkeypatch.setattr("torch.hub.urlopen", _no_network)
    with pytest.raises(DataError) as caught:
        find_weights(config(), elsewhere)
    hub = tmp_path / "torch/hub/checkpoints/squeezenet1_1-b8a52dc0.pth"
    for part in (tmp_path / "elsewhere/weights/squeezenet1_1.pth", hub, "no network here", "model.weights"):
        assert str(part) in str(caught.value)
    hub.parent.mkdir(parents=True, exist_ok=True)
    hub.write_bytes(weights.read_bytes())
    assert find_weights(config(), elsewhere) == hub
    assert find_weights(config(), None) == hub
    with pytest.raises(DataError, match=r"there is no file .*elsewhere/mine.pth \(in SWEEPER_DATA\)"):
        find_weights(config(weights="mine.pth"), elsewhere)


def _no_network(*args: object, **kwargs: object) -> None:
    raise OSError("no network here")


def test_hashes_follow_the_file(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(cache_dir=tmp_path / "cache")
    first = weights_hash(weights, places)
    assert first == weights_hash(weights, None)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert weights_hash(weights, places) == first  # not read again
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert weights_hash(weights, places) != first
    next((tmp_path / "cache" / "weights").iterdir()).write_text("{")
    assert weights_hash(weights, places) == weights_hash(weights, None)


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({"network": "mobilenet_v22"}, (3, 32, 32), "has no network 'mobilenet_v22'; did you mean 'mobilenet_v2'?"),
        ({}, (1, 32, 32), "with weights imagenet takes pictures of 3 channels, not 1"),
        ({"weights": "none", "frozen": False}, (2, 32, 32), "takes pictures of 3 channels, not 2"),
        ({"weights": "none", "frozen": False}, (1, 32, 32), None),
        ({}, (3, 16, 16), "takes pictures of at least 17×17, not 16×16; set model.input_size to 17 or more"),
        ({"input_size": 12}, (3, 96, 96), "takes pictures of at least 17×17, not 12×12"),
        ({"network": "vit_b_16"}, (3, 96, 96), "takes pictures of 224×224, not 96×96; set model.input_size to 224"),
        ({"network": "vit_b_16", "input_size": 224}, (3, 96, 96), None),
        ({"input_size": 17}, (3, 8, 8), None),
        ({"hidden": [8], "batch_norm": True}, (3, 32, 32), None),
    ],
)
def test_what_cannot_be_built(fields: dict[str, Any], shape: tuple[int, int, int], message: str | None) -> None:
    fault = model_fault(config(**fields), shape)
    assert fault is None if message is None else message in (fault or "")


def test_batch_norm_of_a_head_needs_two_pictures() -> None:
    fault = model_fault(config(hidden=[8], batch_norm=True), (3, 32, 32), batch_size=1)
    assert "batch size of 1" in (fault or "")
