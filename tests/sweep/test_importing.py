"""W&B sweep files become studies: what is carried over passes `check` and starts, what is not is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sweeper.errors import InputError, StudyFileError
from sweeper.study.load import load_study
from sweeper.sweep.check import check_study
from sweeper.sweep.importing import Imported, import_wandb
from tests.sweep.conftest import CommandLine
from tests.sweep.studies import study_dict

# The first three are from W&B's documentation, "Define a sweep configuration" (docs.wandb.ai).
DEMO = """\
program: train.py
name: sweepdemo
method: bayes
metric:
  goal: minimize
  name: validation_loss
parameters:
  learning_rate:
    min: 0.0001
    max: 0.1
  batch_size:
    values: [16, 32, 64]
  epochs:
    values: [5, 10, 15]
  optimizer:
    values: ["adam", "sgd"]
"""
RANDOM = """\
program: train.py
method: random
metric:
  goal: minimize
  name: loss
parameters:
  batch_size:
    distribution: q_log_uniform_values
    max: 256
    min: 32
    q: 8
  dropout:
    values: [0.3, 0.4, 0.5]
  epochs:
    value: 1
  fc_layer_size:
    values: [128, 256, 512]
  learning_rate:
    distribution: uniform
    max: 0.1
    min: 0
  optimizer:
    values: ["adam", "sgd"]
"""
HYPERBAND = """\
program: train.py
method: bayes
metric:
  goal: minimize
  name: val_loss
parameters:
  dropout:
    values: [0.15, 0.2, 0.25, 0.3, 0.4]
  hidden_layer_size:
    values: [96, 128, 148]
  layer_1_size:
    values: [10, 12, 14, 16, 18, 20]
  learn_rate:
    values: [0.001, 0.01, 0.003]
  decay:
    values: [1e-5, 1e-6, 1e-7]
  momentum:
    values: [0.8, 0.9, 0.95]
  epochs:
    value: 27
early_terminate:
  type: hyperband
  s: 2
  eta: 3
  max_iter: 27
"""
Import = Callable[..., Imported]


def sweep(parameters: str, more: str = "", method: str = "random") -> str:
    return f"method: {method}\n{more}\nparameters:\n{parameters}\n"


@pytest.fixture
def do_import(tmp_path: Path) -> Import:
    """Import the text of a sweep file into a tiny study of digits, or into the base that is given."""

    def call(text: str, *maps: str, base: dict[str, Any] | None = None, alone: bool = False) -> Imported:
        (tmp_path / "my sweep.yaml").write_text(text)
        (tmp_path / "base.yaml").write_text(json.dumps(study_dict() if base is None else base, indent=1))
        return import_wandb(tmp_path / "my sweep.yaml", base=None if alone else tmp_path / "base.yaml", maps=maps)

    return call


def left(imported: Imported) -> list[str]:
    return [note.field for note in imported.left]


@pytest.mark.parametrize("text", [DEMO, RANDOM, HYPERBAND])
def test_what_is_imported_passes_check(text: str, do_import: Import, tmp_path: Path) -> None:
    imported = do_import(text)
    assert imported.missing == []
    path = tmp_path / "study.yaml"
    path.write_text(imported.text)
    checked = check_study(path)
    assert checked.complete
    assert YAML(typ="safe", pure=True).load(imported.text) == imported.raw
    for note in [*imported.left, *imported.changed]:
        assert note.field in imported.text


def test_the_demo_of_wandb_is_carried_over_but_for_its_script(do_import: Import) -> None:
    imported = do_import(DEMO)
    assert left(imported) == ["program"]
    lr = {"float": [0.0001, 0.1]}
    assert imported.raw["trial"]["training"] == {
        "epochs": {"choice": [5, 10, 15]},
        "batch_size": {"choice": [16, 32, 64]},
        # The base's optimizer is adam, whose other fields stay.
        "optimizer": {"choice": [{"name": "adam", "lr": lr}, {"name": "sgd", "lr": lr}]},
    }
    assert imported.raw["trial"]["model"] == study_dict()["trial"]["model"]
    assert imported.raw["objective"] == {"metric": "val/loss", "direction": "minimize"}
    assert imported.raw["name"] == "sweepdemo"
    # The seed of the base's sampler stays.
    assert imported.raw["sampler"] == {"name": "tpe", "seed": 3}
    assert any("at random: training.optimizer.lr" in note.message for note in imported.changed)


def test_the_random_search_of_wandb_keeps_what_a_study_can_say(do_import: Import) -> None:
    imported = do_import(RANDOM, "loss=val/loss")
    assert left(imported) == ["program", "parameters.batch_size"]
    trial = imported.raw["trial"]
    assert trial["model"] == {
        "name": "mlp",
        "hidden": [{"choice": [128, 256, 512]}],
        "dropout": {"choice": [0.3, 0.4, 0.5]},
    }
    assert trial["training"]["batch_size"] == study_dict()["trial"]["training"]["batch_size"]
    assert trial["training"]["epochs"] == 1
    assert trial["training"]["optimizer"]["choice"][1] == {"name": "sgd", "lr": {"float": [1e-10, 0.1]}}
    assert imported.raw["sampler"]["name"] == "random"
    assert imported.raw["name"] == "my-sweep"


def test_hyperband_of_wandb_is_successive_halving(do_import: Import) -> None:
    imported = do_import(HYPERBAND)
    # The base's adam has no momentum; `decay` may be that of the learning rate or of the weights.
    assert left(imported) == ["program", "parameters.layer_1_size", "parameters.decay", "parameters.momentum"]
    assert imported.raw["pruner"] == {"name": "successive_halving", "min_epochs": 3, "reduction_factor": 3}
    assert imported.raw["sampler"] == {"name": "gp", "seed": 3}


@pytest.mark.parametrize(
    ("early_terminate", "pruner"),
    [
        ("{type: hyperband, min_iter: 4}", (4, 3)),
        ("{type: hyperband, min_iter: 4, eta: 2.0}", (4, 2)),
        ("{type: hyperband, max_iter: 10, s: 9, eta: 2}", (1, 2)),
        ("{type: hyperband, max_iter: 16, s: 2, eta: 2, strict: true}", (4, 2)),
        ("{type: hyperband, min_iter: 4, eta: 1.5}", None),
        ("{type: hyperband, max_iter: 2, s: 1}", None),
    ],
)
def test_brackets_are_rungs(early_terminate: str, pruner: tuple[int, int] | None, do_import: Import) -> None:
    imported = do_import(sweep("  epochs: {value: 3}", f"early_terminate: {early_terminate}"))
    if pruner is None:
        assert left(imported) == ["early_terminate"]
        assert "pruner" not in imported.raw
    else:
        first, eta = pruner
        assert imported.raw["pruner"] == {"name": "successive_halving", "min_epochs": first, "reduction_factor": eta}
        assert left(imported) == (["early_terminate.strict"] if "strict" in early_terminate else [])


@pytest.mark.parametrize(
    ("parameters", "field", "message"),
    [
        ("  dropout: {distribution: normal, mu: 0.1}", "dropout", "for model.dropout: normal: it has no bounds"),
        ("  tokens: {values: [1, 2]}", "tokens", "no field is known by this name; say which by --map tokens=PATH"),
        ("  dropout: {values: [0.5, 1.5]}", "dropout", "trial.model.dropout.choice.1: given 1.5; allowed: below 1"),
        ("  batch_size: {min: 0.5, max: 64}", "batch_size", "for training.batch_size: uniform draws fractions"),
        ("  momentum: {value: 0.9}", "momentum", "training.optimizer adam has no momentum"),
        (
            "  optimizer: {values: [nadam, lion]}",
            "optimizer",
            "for training.optimizer: no optimizer here is known as nadam, lion; ",
        ),
        ("  scheduler: {value: step}", "scheduler", "trial.training.schedule.every: is missing"),
        ("  arch: {values: [resnet18]}", "arch", "model mlp has no network"),
        ("  epochs: {values: [{a: 1}]}", "epochs", "for training.epochs: a mapping, which W&B hands"),
        ("  dataset: {value: imagenet}", "dataset", "trial.data.name: given 'imagenet'; allowed: "),
        ("  validation_split: {value: 1.0}", "validation_split", "trial.data.validation: given 1.0; "),
    ],
)
def test_what_has_no_place_is_told_and_the_study_is_as_without_it(
    parameters: str, field: str, message: str, do_import: Import
) -> None:
    imported = do_import(sweep(f"{parameters}\n  label_smoothing: {{value: 0.1}}"))
    (note,) = imported.left
    assert (note.field, note.line) == (f"parameters.{field}", 4)
    assert note.message.startswith(message)
    assert "did you mean" not in note.message
    expected = study_dict()["trial"]
    expected["training"]["loss"] = {"name": "cross_entropy", "label_smoothing": 0.1}
    assert imported.raw["trial"] == expected


def test_some_of_several_options_are_carried_over(do_import: Import) -> None:
    imported = do_import(sweep("  optimizer: {values: [SGD, nadam, RMSprop]}\n  momentum: {min: 0.0, max: 1.0}"))
    assert imported.raw["trial"]["training"]["optimizer"] == {
        "choice": [
            {"name": "sgd", "momentum": {"float": [0.0, 0.999999999]}},
            {"name": "rmsprop", "momentum": {"float": [0.0, 0.999999999]}},
        ]
    }
    assert imported.left == []
    assert [note.field for note in imported.changed if "nadam" in note.message] == ["parameters.optimizer"]


def test_what_the_base_searches_beside_the_sweep_is_told(do_import: Import) -> None:
    base = study_dict(
        training={"optimizer": {"choice": [{"name": "adam", "weight_decay": {"float": [0.0, 0.1]}}, "sgd"]}}
    )
    base["trial"]["model"]["hidden"] = {"repeat": {"min": 1, "max": 2}, "of": {"int": [8, 16]}}
    imported = do_import(sweep("  optimizer: {values: [adam, sgd]}\n  batch_size: {values: [16, 32]}"), base=base)
    assert imported.of_base == ["trial.model.hidden", "trial.training.optimizer.weight_decay"]


def test_two_names_of_one_field_are_told_apart_by_the_user(do_import: Import) -> None:
    text = sweep("  lr: {value: 0.1}\n  learning_rate: {value: 0.01}")
    imported = do_import(text)
    assert left(imported) == ["parameters.lr", "parameters.learning_rate"]
    assert "--map lr=training.optimizer.lr" in imported.left[0].message
    imported = do_import(text, "lr=trial.training.optimizer.lr")
    assert left(imported) == ["parameters.learning_rate"]
    assert imported.raw["trial"]["training"]["optimizer"]["lr"] == 0.1


def test_a_name_of_the_users_goes_where_they_say(do_import: Import) -> None:
    parameters = "  net:\n    parameters:\n      width: {min: 8, max: 64}\n      mom: {value: 0.5}"
    base = study_dict(training={"optimizer": {"choice": ["adam", "sgd"]}})
    imported = do_import(
        sweep(parameters), "net.width=model.hidden.0", "net.mom=training.optimizer[sgd].momentum", base=base
    )
    assert imported.left == []
    assert imported.raw["trial"]["model"]["hidden"] == [{"int": [8, 64]}]
    assert imported.raw["trial"]["training"]["optimizer"]["choice"][1] == {"name": "sgd", "momentum": 0.5}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("x", "--map: given 'x'; allowed: NAME=PATH"),
        ("=a", "--map: given '=a'; allowed: NAME=PATH"),
        ("width=test/loss", "--map: given 'width=test/loss'; allowed: NAME=PATH"),
        ("widht=model.hidden.0", "--map widht=model.hidden.0: .* has no 'widht'; did you mean 'width'?"),
        ("width=model.hiden.0", "--map width=model.hiden.0: model mlp has no hiden; did you mean 'hidden'?$"),
        ("width=budget.trials", "--map width=budget.trials: trial has no budget$"),
        ("width=training.hidden", "--map width=training.hidden: training has no hidden"),
        ("width=model.dropout", "--map width=model.dropout: trial.model.dropout: given 8; allowed: below 1"),
        ("width=val/loss", "--map width=val/loss: width is a parameter; allowed: a field, such as model.hidden.0$"),
        ("score=accuracy", "--map score=accuracy: score is the metric; allowed: a study's, such as val/accuracy$"),
        ("score=val/acuracy", "--map score=val/acuracy: objective.metric: given 'val/acuracy'; did you mean 'val/acc"),
    ],
)
def test_a_place_of_the_users_that_does_not_fit_is_an_error(option: str, message: str, do_import: Import) -> None:
    text = sweep("  width: {min: 8, max: 64}", "metric: {name: score, goal: maximize}")
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        do_import(text, option)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("width=model.hiden.0", "--map width=model.hiden.0: model has no hiden; did you mean 'hidden'?$"),
        ("score=val/acuracy", "--map score=val/acuracy: objective.metric: given 'val/acuracy'; did you mean 'val/acc"),
    ],
)
def test_so_it_is_without_a_base(option: str, message: str, do_import: Import) -> None:
    text = sweep("  width: {min: 8, max: 64}", "metric: {name: score, goal: maximize}")
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        do_import(text, option, alone=True)


@pytest.mark.parametrize(("goal", "hint"), [("maximize", "val/accuracy"), ("minimize", "val/loss")])
def test_the_hint_on_an_unknown_metric_suits_its_goal(goal: str, hint: str, do_import: Import) -> None:
    imported = do_import(sweep("  epochs: {value: 3}", f"metric: {{name: score, goal: {goal}}}"))
    (note,) = imported.left
    assert note.message.endswith(f"say it by --map score={hint}")
    mapped = do_import(sweep("  epochs: {value: 3}", f"metric: {{name: score, goal: {goal}}}"), f"score={hint}")
    assert mapped.left == []
    assert mapped.raw["objective"] == {"metric": hint, "direction": goal}


@pytest.mark.parametrize(
    ("metric", "objective", "is_left"),
    [
        ("{name: val_acc, goal: maximize}", {"metric": "val/accuracy", "direction": "maximize"}, []),
        ("{name: val_acc}", {"metric": "val/accuracy", "direction": "minimize"}, []),
        ("{name: val_loss, goal: minimize, target: 0.1}", {"metric": "val/loss", "direction": "minimize"}, ["target"]),
        ("{name: test_acc, goal: maximize}", {"at": "last"}, ["name"]),
        ("{name: accuracy, goal: maximize}", {"at": "last"}, ["name"]),
    ],
)
def test_the_metric_is_the_objective(metric: str, objective: Any, is_left: list[str], do_import: Import) -> None:
    imported = do_import(sweep("  epochs: {value: 3}", f"metric: {metric}"), base=study_dict(objective={"at": "last"}))
    assert imported.raw["objective"] == {**objective, "at": "last"}
    assert left(imported) == [f"metric.{key}" for key in is_left]
    told = [note for note in imported.changed if "is minimized" in note.message]
    assert bool(told) == ("val_acc}" in metric)


def test_a_grid_has_all_its_points_unless_it_is_capped(do_import: Import) -> None:
    parameters = "  batch_size: {values: [16, 32]}\n  epochs: {min: 1, max: 3}\n  lr: {value: 0.01}"
    imported = do_import(sweep(parameters, method="grid"))
    assert imported.raw["sampler"] == {"name": "grid", "seed": 3}
    assert imported.raw["budget"] == {}
    assert do_import(sweep(parameters, "run_cap: 4", method="grid")).raw["budget"] == {"trials": 4}


def test_a_grid_over_a_continuous_range_is_no_grid_here(do_import: Import) -> None:
    imported = do_import(sweep("  lr: {min: 0.001, max: 0.1}", method="grid"))
    assert left(imported) == ["method"]
    assert imported.raw["sampler"] == study_dict()["sampler"]
    assert imported.raw["trial"]["training"]["optimizer"]["lr"] == {"float": [0.001, 0.1]}


def test_without_a_base_the_study_says_what_is_missing(do_import: Import, tmp_path: Path) -> None:
    imported = do_import(sweep("  dropout: {value: 0.1}\n  epochs: {value: 3}\n  lr: {value: 0.1}"), alone=True)
    assert set(imported.missing) == {
        "trial.data",
        "trial.model.name",
        "trial.training.batch_size",
        "trial.training.optimizer.name",
    }
    assert imported.raw["trial"] == {
        "model": {"dropout": 0.1},
        "training": {"epochs": 3, "optimizer": {"lr": 0.1}},
    }
    (tmp_path / "study.yaml").write_text(imported.text)
    filled = ["data={name: digits}", "model.name=mlp", "model.hidden=[8]"]
    filled += ["training.batch_size=8", "training.optimizer.name=sgd"]
    load_study(tmp_path / "study.yaml", overrides=[f"trial.{each}" for each in filled])


def test_faults_of_the_base_are_told_with_its_lines(do_import: Import, tmp_path: Path) -> None:
    base = study_dict()
    base["trial"]["model"]["name"] = "mpl"
    with pytest.raises(StudyFileError) as raised:
        do_import(sweep("  epochs: {value: 3}"), base=base)
    (fault,) = raised.value.faults
    assert str(fault).startswith(f"{tmp_path / 'base.yaml'}:15: trial.model: given 'mpl'; did you mean 'mlp'?")
    base["trial"]["training"]["optimizer"] = {"choice": 5}
    with pytest.raises(StudyFileError, match=r"trial\.training\.optimizer\.choice: given 5; allowed: a list"):
        do_import(sweep("  optimizer: {value: sgd}"), base=base)


NAMES = ["lr", "optimizer", "momentum", "batch_size", "dropout", "hidden_size", "num_layers", "loss", "scheduler"]
NAMES += ["weight_decay", "label_smoothing", "epochs", "dataset", "image_size", "seed", "val_split", "model.batch_norm"]
VALUES = st.sampled_from(
    [0, 1, 2, 3.0, 0.5, 1e-3, 64, -1, True, None, "adam", "SGD", "cosine", "nll", "digits", [8, 4]]
)
RANGES = ["int_uniform", "uniform", "q_uniform", "log_uniform", "log_uniform_values", "q_log_uniform_values", "normal"]


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Distributions as W&B allows them, whether or not they fit."""
    kind = draw(st.sampled_from(["constant", "categorical", *RANGES]))
    if kind == "constant":
        return {"value": draw(VALUES)}
    if kind == "categorical":
        return {"values": draw(st.lists(VALUES, min_size=1, max_size=4))}
    if kind == "normal":
        return {"distribution": kind, "mu": 0.1}
    low, high = sorted(draw(st.lists(st.sampled_from([1, 2, 4, 16, 128]), min_size=2, max_size=2, unique=True)))
    scale = 1 if kind == "int_uniform" else draw(st.sampled_from([1, 0.01, 0.001]))
    quantum = {"q": draw(st.sampled_from([1, 2, 0.01]))} if kind.startswith("q_") else {}
    return {"distribution": kind, "min": low * scale, "max": high * scale, **quantum}


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["grid", "random", "bayes"]),
    parameters=st.dictionaries(st.sampled_from(NAMES), specs(), min_size=1, max_size=6),
    optimizer=st.sampled_from(
        ["sgd", {"choice": ["adam", {"name": "sgd", "lr": {"float": [0.01, 1.0], "log": True}}]}]
    ),
    model=st.sampled_from(["logistic", {"name": "mlp", "hidden": {"repeat": 2, "of": {"int": [8, 16]}}}]),
)
def test_whatever_a_sweep_holds_the_study_passes_check_and_all_the_rest_is_told(
    method: str, parameters: dict[str, Any], optimizer: Any, model: Any
) -> None:
    with TemporaryDirectory() as folder:
        path, base, study = (Path(folder, f"{name}.yaml") for name in ("sweep", "base", "study"))
        path.write_text(json.dumps({"method": method, "parameters": parameters}))
        whole = study_dict(training={"optimizer": optimizer})
        whole["trial"]["model"] = model
        base.write_text(json.dumps(whole))
        imported = import_wandb(path, base=base)
        assert imported.missing == []
        study.write_text(imported.text)
        check_study(study)
    n_left = len({note.field for note in imported.left})
    assert imported.n_carried + n_left == len(parameters) + 1, "the parameters, and the method"


def test_the_demo_of_wandb_is_imported_and_started(cli: CommandLine) -> None:
    (cli.folder / "sweep.yaml").write_text(DEMO.replace("method: bayes", "method: bayes\nrun_cap: 3"))
    (cli.folder / "base.yaml").write_text(json.dumps(study_dict()))
    said = cli.call("import", "wandb", "sweep.yaml", "--base", "base.yaml", "-o", "study.yaml")
    assert said.splitlines()[0].startswith("sweep.yaml:1: program: not carried over: ")
    assert "written: study.yaml" in said
    assert "sweepdemo, 5 distributions" in cli.call("check", "study.yaml")
    cli.call(
        "start", "study.yaml", "--launcher", "inline", "--devices", "cpu", "--quiet", "--set", "trial.training.epochs=1"
    )
    runs = json.loads(cli.call("runs", "sweepdemo", "--json"))
    assert [run["state"] for run in runs] == ["COMPLETE"] * 3
    assert {run["params"]["training.optimizer.name"] for run in runs} <= {"adam", "sgd"}


def test_the_command_writes_to_standard_output_and_over_no_file(cli: CommandLine) -> None:
    (cli.folder / "sweep.yaml").write_text(DEMO)
    (cli.folder / "base.yaml").write_text(json.dumps(study_dict()))
    base = ("--base", "base.yaml")
    assert "\nname: sweepdemo\n" in cli.call("import", "wandb", "sweep.yaml", *base)
    given = json.loads(cli.call("import", "wandb", "sweep.yaml", "--json"))
    assert given["missing"] == ["trial.data", "trial.model"]
    assert given["not_carried_over"] == [
        {"field": "program", "line": 1, "message": "a script that W&B starts; sweeper trains by itself"}
    ]
    assert "is there already" in cli.call("import", "wandb", "sweep.yaml", "-o", "sweep.yaml", exit_code=2)
    assert (cli.folder / "sweep.yaml").read_text() == DEMO
    (cli.folder / "study.yaml").write_text("old")
    cli.call("import", "wandb", "sweep.yaml", *base, "-o", "study.yaml", "--force")
    assert (cli.folder / "study.yaml").read_text().startswith("# Imported from sweep.yaml")
    (cli.folder / "bad.yaml").write_text(DEMO.replace("bayes", "bays"))
    assert cli.call("import", "wandb", "bad.yaml", exit_code=2).startswith("bad.yaml:3: method: given 'bays'; ")
    assert cli.call("import", "wandb", "no.yaml", exit_code=2).startswith("no.yaml: cannot be read: ")
