"""Every study file of this repository trains: its budget cut to seconds, on real pictures where there are some."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from sweeper.study.yaml import parse_yaml
from sweeper.tracking.runs import read_study
from sweeper.tracking.workspace import Workspace
from tests.studies.pictures import write_cifar3, write_flowers, write_mnist, write_stl10, write_weights
from tests.sweep.conftest import CommandLine
from tests.tracking.templates import shared_folder

STUDIES_FOLDER = Path(__file__).resolve().parents[2] / "studies"
FILES = sorted(STUDIES_FOLDER.glob("*/*.yaml"))
REAL: dict[str, tuple[str, Callable[[Path], None]]] = {
    "cifar10": ("cifar3", write_cifar3),
    "stl10": ("stl10", write_stl10),
    "mnist": ("MNIST", write_mnist),
    "flowers102": ("flowers-102", write_flowers),
}
"""By the name of a data set: its folder in `SWEEPER_DATA`, and what generates one of the same shape."""
NETWORKS = {"mobilenet_v2": "mobilenet_v2", "resnet152": "squeezenet1_1", "convnext_large": "squeezenet1_1"}
"""What stands for a network here: weights of the large ones take minutes to write and to run."""


def cuts_of_data(data: dict[str, Any], place: str) -> Iterator[str]:
    """Overrides that leave a few hundred pictures."""
    name = data["name"]
    if name == "functions":
        yield f"{place}.train=200"
        yield f"{place}.validation=100"
    elif name == "cifar10":
        counts = {"car": 60, "truck": 40, "cat": 40}
        test = {"car": 20, "truck": 10, "cat": 20}
        kept = [each for each in counts if each in data["classes"]]
        noise = {"cat": {"car": 20}} if "noise" in data else None
        test_noise = {"noise": {"cat": {"car": 10}}} if noise else {}
        yield f"{place}.counts={json.dumps({each: counts[each] for each in kept})}"
        yield f"{place}.noise={json.dumps(noise)}"
        yield f"{place}.test={json.dumps({'counts': {each: test[each] for each in kept}, **test_noise})}"
    elif name != "digits":
        yield f"{place}.train={408 if name == 'flowers102' else 160}"
        yield f"{place}.validation={204 if name == 'flowers102' else 80}"


def cuts_of_model(model: dict[str, Any]) -> Iterator[str]:
    """Overrides that make a pretrained network quick."""
    if model.get("name") == "torchvision":
        yield f"trial.model.network={NETWORKS[model['network']]}"
        yield "trial.model.input_size=64"


def cuts(raw: dict[str, Any]) -> list[str]:
    """Overrides that cut a study to seconds."""
    found = ["budget.trials=1", "budget.seeds=1", "trial.training.epochs=1", "pruner=none"]
    data = raw["trial"]["data"]
    for place, each in (
        [(f"trial.data.choice.{i}", option) for i, option in enumerate(data["choice"])]
        if "choice" in data
        else [("trial.data", data)]
    ):
        found += cuts_of_data(each, place)
    model = raw["trial"]["model"]
    return found + list(cuts_of_model(model if isinstance(model, dict) else {"name": model}))


@pytest.fixture
def find_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """The folder of data sets for a study: the real one, or one that is made here and shared by all tests."""

    def find(raw: dict[str, Any]) -> Path:
        data, model = raw["trial"]["data"], raw["trial"]["model"]
        name = (data["choice"][0] if "choice" in data else data)["name"]
        network = NETWORKS.get(model.get("network", "")) if isinstance(model, dict) else None
        given = os.environ.get("SWEEPER_DATA")
        real = Path(given) if given else None
        has_pictures = real is not None and name in REAL and (real / REAL[name][0]).is_dir()
        if real is not None and has_pictures and (network is None or (real / f"weights/{network}.pth").is_file()):
            return real
        root = shared_folder(tmp_path_factory) / "generated-data"
        root.mkdir(exist_ok=True)
        with FileLock(root.with_suffix(".lock")):
            if name in REAL and not (root / REAL[name][0]).exists():
                unfinished = root.with_name("generated-unfinished")
                shutil.rmtree(unfinished, ignore_errors=True)
                REAL[name][1](unfinished)
                (unfinished / REAL[name][0]).rename(root / REAL[name][0])
            if network is not None and not (root / "weights" / f"{network}.pth").exists():
                write_weights(root, network)
        return root

    return find


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(STUDIES_FOLDER)))
def test_a_study_trains(path: Path, cli: CommandLine, find_data: Callable[[dict[str, Any]], Path]) -> None:
    raw = parse_yaml(path.read_text(encoding="utf-8"), path.name).data
    cli.environment["SWEEPER_DATA"] = str(find_data(raw))
    overrides = [part for override in cuts(raw) for part in ("--set", override)]
    output = cli.call("start", str(path), *overrides, "--launcher", "inline")
    name = raw["name"]
    assert f"{name}: 1 done, 0 pruned, 0 failed" in output, output
    record, _ = read_study(name, Workspace.from_environment(cli.folder, cli.environment))
    (run,) = record.runs
    assert run.state == "COMPLETE"
    assert raw["objective"]["metric"] in run.metrics
    assert run.value is not None
