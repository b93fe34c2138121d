"""Signatures become configurations, and what cannot becomes one clear message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import BaseModel, Field, ValidationError
from torch import nn

import sweeper
from sweeper.errors import InputError, PluginError, StudyFileError
from sweeper.models.networks import build_model
from sweeper.study.config import ModelConfig, OptimizerConfig, TrialConfig, registration_of, registry
from sweeper.study.load import load_study
from sweeper.study.plugins.sources import load_plugin, resolve_plugin
from sweeper.study.schema import study_schema
from sweeper.training.optimizers import build_optimizer

TRIAL: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"name": "logistic"},
    "training": {"epochs": 1, "batch_size": 8, "optimizer": "adam"},
}


class Shape(BaseModel):
    width: int = Field(default=3, ge=1)


def flat(n_outputs: int, width: int = 8, *, act: Callable[..., nn.Module] = nn.ReLU) -> nn.Module:
    """Two layers."""
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(width), act(), nn.Linear(width, n_outputs))


def test_parameters_are_typed_documented_and_in_the_schema() -> None:
    @sweeper.model("mine")
    def mine(
        *,
        input_shape: tuple[int, int, int],
        n_outputs: int,
        width: Annotated[int, Field(ge=2)] = 8,
        kinds: tuple[Literal["a", "b"], ...] = ("a",),
        rate: float | None = None,
    ) -> nn.Module:
        """Mine.

        Args:
            width: Units of
                each layer.
            rate: A rate.
        """
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(n_outputs))

    config = TrialConfig.model_validate({**TRIAL, "model": {"name": "mine", "kinds": ["b", "a"]}}).model
    assert config.model_dump() == {"name": "mine", "width": 8, "kinds": ("b", "a"), "rate": None}
    model = study_schema()["$defs"]["MineModelConfig"]
    assert model["description"] == "Mine."
    assert model["properties"]["width"]["description"] == "Units of each layer."
    assert set(model["properties"]) == {"name", "width", "kinds", "rate"}
    for wrong in ({"width": 1}, {"width": 2.5}, {"kinds": ["c"]}, {"unknown": 1}):
        with pytest.raises(ValidationError):
            TrialConfig.model_validate({**TRIAL, "model": {"name": "mine", **wrong}})


def test_a_parameter_that_no_file_can_express_keeps_its_default() -> None:
    sweeper.model("flat")(flat)
    config = TrialConfig.model_validate({**TRIAL, "model": {"name": "flat", "width": 4}}).model
    network = build_model(config, input_shape=(1, 8, 8), n_outputs=10)
    assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert set(type(config).model_fields) == {"name", "width"}


def test_a_class_of_torch_is_a_plugin_as_it_is() -> None:
    sweeper.optimizer("nadam")(torch.optim.NAdam)
    raw = {**TRIAL["training"], "optimizer": {"name": "nadam", "lr": 0.01, "betas": [0.8, 0.9]}}
    config: OptimizerConfig = TrialConfig.model_validate({**TRIAL, "training": raw}).training.optimizer
    optimizer = build_optimizer(config, [nn.Parameter(torch.zeros(2))])
    assert isinstance(optimizer, torch.optim.NAdam)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_a_pydantic_model_may_hold_the_parameters() -> None:
    @sweeper.model("shaped")
    def shaped(n_outputs: int, config: Shape) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(config.width), nn.Linear(config.width, n_outputs))

    config: ModelConfig = TrialConfig.model_validate({**TRIAL, "model": {"name": "shaped", "width": 5}}).model
    network = build_model(config, input_shape=(1, 8, 8), n_outputs=10)
    assert network.get_parameter("1.weight").shape == (5, 64)
    assert registration_of(config) is registry.get("model", "shaped")


def untyped(n_outputs: int, depth) -> nn.Module:  # type: ignore[no-untyped-def]
    return nn.Linear(depth, n_outputs)


def callable_without_default(n_outputs: int, act: Callable[..., nn.Module]) -> nn.Module:
    return act()


def wrong_default(n_outputs: int, depth: int = "many") -> nn.Module:  # type: ignore[assignment]
    return nn.Linear(depth, n_outputs)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (untyped, r"model 'mine': the parameter 'depth' of untyped \(.*test_register.py, line \d+\) has no type"),
        (callable_without_default, "the parameter 'act' of .* which no study file can express"),
        (wrong_default, "the parameter 'depth' of .* has the default 'many'"),
    ],
)
def test_a_function_that_cannot_be_used_is_told_where_and_why(function: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        sweeper.model("mine")(function)


def test_names_that_are_taken_are_refused() -> None:
    with pytest.raises(PluginError, match="model 'mlp': the name is taken by one of sweeper's own"):
        sweeper.model("mlp")(flat)
    sweeper.model("mine")(flat)
    sweeper.model("mine")(flat)  # the same once more, as from a cell of a notebook
    with pytest.raises(PluginError, match=r"the name is taken by flat of .*test_register.py"):
        sweeper.model("mine")(nn.Linear)
    with pytest.raises(PluginError, match="'split' has a name that is taken"):

        @sweeper.dataset("mine")
        def mine(*, split: str = "a") -> sweeper.Images:
            raise AssertionError

    with pytest.raises(PluginError, match="needs a parameter 'lr'"):
        sweeper.optimizer("mine")(lambda parameters: None)


def test_a_network_of_another_shape_is_refused() -> None:
    @sweeper.model("mine")
    def mine(n_outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(n_outputs + 1))

    config = TrialConfig.model_validate({**TRIAL, "model": "mine"}).model
    with pytest.raises(InputError, match=r"model mine makes \(2, 11\) of 2 pictures of \(1, 8, 8\); needed: \(2, 10\)"):
        build_model(config, input_shape=(1, 8, 8), n_outputs=10)


def _study(folder: Path, plugins: str) -> Path:
    file = folder / "study.yaml"
    file.write_text(
        f"name: s\nplugins: {plugins}\ntrial:\n  data: digits\n  model: {{name: logistic}}\n"
        "  training: {epochs: 1, batch_size: 8, optimizer: adam}\n".replace("data: digits", "data: {name: digits}")
    )
    return file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", r"study.yaml:2: plugins.0: plugin .*mine.py' cannot be imported: SyntaxError: .* line 1"),
        ("x = 1\nimport nowhere\n", "cannot be imported: ModuleNotFoundError: No module named 'nowhere' .*line 2"),
        ("import sweeper\nsweeper.model('mlp')(print)\n", "the name is taken by one of sweeper's own"),
        ("", r"2: plugins.0: plugin .*mine.py' registers nothing; needed: .* such as @sweeper.model\('mine'\); there"),
        ("import os\ndef Two_Layers(): ...\n", r"registers nothing; needed: .* such as @sweeper.model\('two-layers'\)"),
        (
            "import sweeper\n@sweeper.loss\ndef soft(logits, labels): ...\n",
            r"2: plugins.0: @sweeper.loss above soft of .*mine.py: the name .* missing; write @sweeper.loss\('soft'\)$",
        ),
    ],
)
def test_a_plugin_that_fails_is_one_message_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(StudyFileError, match=message) as caught:
        load_study(_study(tmp_path, "[mine.py]"))
    assert len(caught.value.faults) == 1


def test_a_plugin_may_gather_what_others_register(tmp_path: Path) -> None:
    (tmp_path / "parts_of_mine.py").write_text(
        "import sweeper\nfrom torch import nn\n\n"
        "@sweeper.model('parts-of-mine')\ndef part(n_outputs: int) -> nn.Module: ...\n"
    )
    (tmp_path / "gathered.py").write_text("from parts_of_mine import part\n")
    assert len(load_study(_study(tmp_path, "[parts_of_mine.py, gathered.py]")).study.plugins) == 2
    (tmp_path / "again.py").write_text("from parts_of_mine import part\n")
    load_study(_study(tmp_path, "[again.py]"))  # registers nothing that is new


def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"study.yaml:2: plugins.0: plugin 'gone.py': there is no file"):
        load_study(_study(tmp_path, "[gone.py]"))
    with pytest.raises(PluginError, match="no module of that name is installed"):
        resolve_plugin("gone", tmp_path)


def test_plugins_are_found_beside_the_study_and_named_so_that_any_folder_finds_them(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WIDTH = 3\n")
    (tmp_path / "mine.py").write_text(
        "import sweeper\nfrom torch import nn\nfrom helper import WIDTH\n\n"
        "@sweeper.model('mine')\ndef mine(n_outputs: int, width: int = WIDTH) -> nn.Module: ...\n"
    )
    study = load_study(_study(tmp_path, "[mine]")).study
    assert study.plugins == (str(tmp_path / "mine.py"),)
    registration = registry.get("model", "mine")
    assert registration is not None
    load_plugin(study.plugins[0])  # once is enough
    assert registry.get("model", "mine") is registration


def test_an_unknown_name_is_told_beside_what_plugins_have(tmp_path: Path) -> None:
    sweeper.model("resmlp")(flat)
    file = _study(tmp_path, "[]")
    file.write_text(file.read_text().replace("logistic", "resmpl"))
    with pytest.raises(StudyFileError, match=r"trial.model: given 'resmpl'; did you mean 'resmlp'\? allowed: .*resmlp"):
        load_study(file)
    file.write_text(file.read_text().replace("{name: resmpl}", "{name: resmlp, with: 1}"))
    with pytest.raises(
        StudyFileError, match=r"trial.model.with: unknown field; did you mean 'width'\? allowed: name, width"
    ):
        load_study(file)


def test_a_run_of_a_model_whose_plugin_is_not_imported_says_so() -> None:
    from sweeper.models.trained import load_trained

    description = {"input_shape": [1, 8, 8], "class_names": ["a", "b"], "model": {"name": "gone"}}
    with pytest.raises(InputError, match="the model 'gone' of this run is not one that is known here"):
        load_trained(description, b"")
