"""`sweeper register`: a model in MLflow's registry, loaded and served by MLflow alone."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pytest
import torch

import sweeper
from sweeper.data.dataset import Dataset
from sweeper.data.pictures import encode_png
from sweeper.data.store import open_dataset
from sweeper.errors import InputError, NotFoundError
from sweeper.study.study import Study
from sweeper.tracking.registry import register_model
from sweeper.tracking.runs import TrackedRun
from sweeper.tracking.subject import config_of, find_run
from sweeper.tracking.workspace import Workspace
from tests.sweep.conftest import CommandLine, wait_until
from tests.sweep.studies import study_dict
from tests.tracking.mlflow_server import free_port


def sweep(workspace: Workspace, **parts: Any) -> None:
    study = Study.model_validate(study_dict(**{"trials": 2, "epochs": 4, "keep_models": 1, **parts}))
    sweeper.start(study, launcher="inline", devices=["cpu"], workspace=workspace)


def validation_pictures(workspace: Workspace) -> tuple[Dataset, Any, list[str]]:
    """The data set, its validation pictures, uint8 (N, C, H, W), and the names of their classes."""
    subject = find_run(workspace, "tiny")
    dataset = open_dataset(config_of(subject.run, subject.reader).data, cache_dir=workspace.cache_dir)
    part = dataset.validation
    names = [dataset.class_names[k] for k in part.labels_N[part.indices_M].tolist()]
    return dataset, part.images_NCHW[part.indices_M].numpy(), names


def tracked_accuracy(workspace: Workspace) -> float:
    return float(find_run(workspace, "tiny").run.metrics["objective"])


@pytest.fixture
def server(cli: CommandLine, workspace: Workspace) -> Iterator[str]:
    """`mlflow models serve` with the best model of a study; its address."""
    sweep(workspace)
    made = json.loads(cli.call("register", "tiny", "digits", "--alias", "best", "--json"))
    assert made["uri"] == "models:/digits/1"
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/digits@best", "--env-manager", "local"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        cwd="/",
        env={
            **os.environ,
            # MLflow starts `uvicorn` by its name.
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
            "MLFLOW_TRACKING_URI": workspace.tracking_uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, process.communicate()[0].decode()
        try:
            with urllib.request.urlopen(f"{address}/ping", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(answers, "the model to be served")
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(address: str, pictures: list[Any]) -> list[dict[str, Any]]:
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[picture] for picture in pictures]}}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        predictions: list[dict[str, Any]] = json.load(answer)["predictions"]
    return predictions


def test_a_registered_model_is_served_and_is_as_good_as_tracked(server: str, workspace: Workspace) -> None:
    dataset, images_NCHW, truth = validation_pictures(workspace)
    encoded = [base64.b64encode(encode_png(pixels_CHW)).decode() for pixels_CHW in images_NCHW]
    answers = ask(server, encoded)
    right = np.mean([answer["class"] == name for answer, name in zip(answers, truth, strict=True)])
    assert right == pytest.approx(tracked_accuracy(workspace), abs=1e-9)
    for answer in answers[:5]:
        assert tuple(answer["probabilities"]) == dataset.class_names
        assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["probability"] == answer["probabilities"][answer["class"]]
    # The same picture as an array, and four times as large.
    large = encode_png(images_NCHW[0].repeat(4, axis=1).repeat(4, axis=2))
    as_array, as_large = ask(server, [images_NCHW[0, 0].tolist(), base64.b64encode(large).decode()])
    assert as_array["probabilities"] == pytest.approx(answers[0]["probabilities"], abs=1e-6)
    assert as_large["class"] == answers[0]["class"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, ["no picture"])
    assert refused.value.code == 400
    assert "must be a PNG or JPEG file in base64" in refused.value.read().decode()


def test_mlflow_loads_it_with_signature_and_example(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    sweep(workspace)
    subject = find_run(workspace, "tiny")
    made = register_model(workspace, subject, "digits")
    assert (made.name, made.version, made.is_new) == ("digits", 1, True)
    again = register_model(workspace, subject, "digits", alias="best")
    assert (again.version, again.is_new) == (1, False)

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", workspace.tracking_uri)
    client = mlflow.MlflowClient(workspace.tracking_uri)
    version = client.get_model_version_by_alias("digits", "best")
    assert version.run_id == subject.run.run_id
    assert version.tags["sweeper.study"] == "tiny"
    (logged,) = client.search_logged_models([subject.study.experiment_id])
    assert logged.source_run_id == subject.run.run_id
    assert logged.status == "READY"
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "digits", "version": 1}]
    folder = Path(url2pathname(urlparse(version.source).path))
    compiled_or_pickled = [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pyc")]
    assert not compiled_or_pickled  # before it is loaded, by which Python may compile its code there
    model = mlflow.pyfunc.load_model("models:/digits@best")
    assert model.metadata.get_input_schema().input_names() == ["image"]
    assert model.metadata.get_output_schema().input_names() == ["class", "probability", "probabilities"]
    assert str(workspace.root) not in (folder / "MLmodel").read_text().partition("flavors:")[2]

    _, images_NCHW, _ = validation_pictures(workspace)
    own = TrackedRun(subject.run, subject.reader).load_model(places=workspace.places)
    expected = own.predict(torch.from_numpy(images_NCHW[:70]))
    files = [encode_png(pixels_CHW) for pixels_CHW in images_NCHW[:70]]
    texts = ["data:image/png;base64," + base64.b64encode(file).decode() for file in files]
    arrays = list(images_NCHW[:70].transpose(0, 2, 3, 1))
    for pictures in (files, texts, arrays, images_NCHW[:70].transpose(0, 2, 3, 1)):
        assert model.predict({"image": pictures})["class"].tolist() == expected
    example = model.input_example
    assert model.predict(example)["class"].tolist() == expected[:1]  # it is the first validation picture
    with pytest.raises(mlflow.MlflowException, match="type float64; allowed: uint8"):
        model.predict({"image": [np.zeros((8, 8))]})


def test_numbers_are_predicted_and_what_cannot_be_registered_is_said(workspace: Workspace) -> None:
    import mlflow

    functions = {
        "data": {"name": "functions"},
        "model": {"name": "linear"},
        "training": {
            "epochs": 1,
            "batch_size": 64,
            "loss": "mse",
            "optimizer": {"name": "adam", "lr": {"float": [1e-3, 1e-2]}},
        },
    }
    objective = {"metric": "val/loss", "direction": "minimize"}
    sweep(workspace, trial=functions, objective=objective)
    subject = find_run(workspace, "tiny")
    made = register_model(workspace, subject, "numbers")
    mlflow.set_tracking_uri(workspace.tracking_uri)
    try:
        answer = mlflow.pyfunc.load_model(made.uri).predict({"image": [np.zeros((8, 8), np.uint8)]})
    finally:
        mlflow.set_tracking_uri(None)
    assert answer.columns.tolist() == ["y_0", "y_1", "y_2"]

    for name in ("a/b", "", "a:b", "."):
        with pytest.raises(InputError, match="NAME: given"):
            register_model(workspace, subject, name)
    for alias in ("latest", "v1", "a b", "7"):
        with pytest.raises(InputError, match="--alias: given"):
            register_model(workspace, subject, "numbers", alias=alias)
    with pytest.raises(NotFoundError, match="no trial 7"):
        find_run(workspace, "tiny/7")
    worst = next(n for n in (0, 1) if n != subject.run.number)
    with pytest.raises(NotFoundError, match=f"sweeper reproduce tiny/{worst}"):
        register_model(workspace, find_run(workspace, f"tiny/{worst}"), "numbers")
