"""Networks: parameter counts published in the studies, names, shapes, heads."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from sweeper.errors import InputError
from sweeper.models.layers import LayerRow, layer_table
from sweeper.models.networks import build_model, build_trainable, n_parameters
from sweeper.study.config import ModelConfig

STL10 = (3, 64, 64)


def build(
    raw: dict[str, object], input_shape: tuple[int, int, int] = STL10, n_classes: int = 10, log: bool = False
) -> nn.Module:
    config = TypeAdapter(ModelConfig).validate_python(raw)
    return build_model(config, input_shape=input_shape, n_outputs=n_classes, log_probabilities=log)


PUBLISHED_MLP = {
    "name": "mlp",
    "hidden": [2048, 1024, 512, 256, 128],
    "batch_norm": [False, True, True, True, True],
    "dropout": [0.0, 0.1, 0.08, 0.05, 0.03],
}
PUBLISHED_CNN = {
    "name": "cnn",
    "blocks": [{"channels": 12, "pool": 2}, {"channels": 12, "pool": 2}, {"channels": 42, "pool": 3}],
    "hidden": [200, 100],
    "dropout": [0.03, 0.1],
}


def test_published_mlp_has_its_number_of_parameters() -> None:
    assert n_parameters(build(PUBLISHED_MLP)) == 27_960_202


def test_published_cnn_has_its_parameters_layer_by_layer() -> None:
    rows = layer_table(build(PUBLISHED_CNN), STL10)
    counts = [row.n_parameters for row in rows if row.n_parameters]
    assert counts == [336, 24, 1308, 24, 4578, 84, 134_600, 20_100, 1010]
    assert sum(counts) == 162_064


def test_logistic_regression_is_one_linear_layer() -> None:
    model = build({"name": "logistic"}, (1, 8, 8), 10)
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == {
        "head.linear.weight": (10, 64),
        "head.linear.bias": (10,),
    }


def test_keys_of_a_state_dict_can_be_read() -> None:
    names = [name for name, _ in build(PUBLISHED_CNN).named_parameters()]
    assert "block1.convolution.weight" in names
    assert "block3.batch_norm.bias" in names
    assert "hidden2.linear.weight" in names
    assert names[-1] == "head.linear.bias"


@pytest.mark.parametrize("raw", [{"name": "logistic"}, PUBLISHED_MLP, PUBLISHED_CNN], ids=lambda raw: str(raw["name"]))
def test_a_head_of_log_probabilities_sums_to_one(raw: dict[str, object]) -> None:
    images_NCHW = torch.rand(4, *STL10)
    model = build(raw, log=True)
    torch.testing.assert_close(model(images_NCHW).exp().sum(1), torch.ones(4))
    assert not torch.allclose(build(raw)(images_NCHW).exp().sum(1), torch.ones(4))


def test_an_autoencoder_has_eight_linear_layers_through_its_bottleneck() -> None:
    rows = layer_table(build({"name": "autoencoder"}, (1, 28, 28)), (1, 28, 28))
    linear = [row.output_shape[0] for row in rows if row.kind == "Linear"]
    assert linear == [512, 128, 32, 2, 32, 128, 512, 784]
    names = [row.name for row in rows if row.kind == "Linear"]
    assert names[3:5] == ["encoder.bottleneck.linear", "decoder.hidden1.linear"]
    after = [rows[i + 1].kind for i, row in enumerate(rows) if row.kind == "Linear"]
    assert after == ["ReLU", "ReLU", "ReLU", "Linear", "ReLU", "ReLU", "ReLU", "Unflatten"]


def test_the_bottleneck_may_have_a_relu() -> None:
    raw = {"name": "autoencoder", "hidden": [8], "bottleneck": 2, "bottleneck_relu": True}
    codes_NB = build(raw, (1, 4, 4)).get_submodule("encoder")(torch.randn(64, 1, 4, 4))
    assert codes_NB.shape == (64, 2)
    assert codes_NB.min() >= 0
    codes_NB = build(raw | {"bottleneck_relu": False}, (1, 4, 4)).get_submodule("encoder")(torch.randn(64, 1, 4, 4))
    assert codes_NB.min() < 0


def test_of_a_frozen_backbone_the_head_alone_is_trained() -> None:
    raw = {"name": "torchvision", "network": "mobilenet_v2", "head_on": "outputs", "hidden": [200, 100]}
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python(raw | {"dropout": [0.08, 0.03]})
    head = build_trainable(config, input_shape=(1000,), n_outputs=10)
    rows = layer_table(head, (1000,))
    assert [(row.name, row.kind) for row in rows] == [
        ("hidden1.linear", "Linear"),
        ("hidden1.relu", "ReLU"),
        ("hidden1.dropout", "Dropout"),
        ("hidden2.linear", "Linear"),
        ("hidden2.relu", "ReLU"),
        ("hidden2.dropout", "Dropout"),
        ("head.linear", "Linear"),
    ]
    assert n_parameters(head) == 1000 * 200 + 200 + 200 * 100 + 100 + 100 * 10 + 10


def test_average_pooling_padding_and_no_pooling() -> None:
    raw = {
        "name": "cnn",
        "pooling": "average",
        "batch_norm": False,
        "blocks": [{"channels": 4, "kernel": 5, "padding": 2, "pool": 1}, {"channels": 6, "pool": 2}],
    }
    rows = layer_table(build(raw, (1, 9, 9), 3), (1, 9, 9))
    assert [(row.kind, row.output_shape) for row in rows] == [
        ("Conv2d", (4, 9, 9)),
        ("ReLU", (4, 9, 9)),
        ("Conv2d", (6, 7, 7)),
        ("ReLU", (6, 7, 7)),
        ("AvgPool2d", (6, 3, 3)),
        ("Flatten", (54,)),
        ("Linear", (3,)),
    ]


def test_pictures_too_small_are_refused_with_the_block() -> None:
    raw = {"name": "cnn", "blocks": [{"channels": 4, "pool": 2}, {"channels": 4, "kernel": 5, "pool": 1}]}
    with pytest.raises(
        InputError, match="model cnn cannot be built: block 2: a picture of 3×3 is smaller than the kernel"
    ):
        build(raw, (1, 8, 8))


def test_layer_table_leaves_the_model_as_it_was() -> None:
    model = build(PUBLISHED_MLP)
    model[2].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    table = layer_table(model, STL10)
    assert table[0] == LayerRow(name="flatten", kind="Flatten", output_shape=(12288,), n_parameters=0)
    assert table[1] == LayerRow(
        name="hidden1.linear", kind="Linear", output_shape=(2048,), n_parameters=12288 * 2048 + 2048
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


def test_layer_table_of_a_single_layer() -> None:
    assert layer_table(nn.Flatten(), (1, 2, 3)) == [
        LayerRow(name="", kind="Flatten", output_shape=(6,), n_parameters=0)
    ]
