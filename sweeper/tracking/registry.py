"""Registering the model of a run in MLflow's registry, in a form that MLflow loads and serves by itself.

A version is made in four steps, of which the last makes it visible: the model is written to a temporary folder, its
files become those of a logged model of the run, that is said to be ready, and the version points to it. What a crash
leaves before the last step is a logged model without a version; asking again makes another.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

import sweeper
from sweeper.data.pictures import encode_png
from sweeper.data.store import is_decoded
from sweeper.errors import DataError, InputError, NotFoundError
from sweeper.tracking.mlflow import translating
from sweeper.tracking.runs import TrackedRun
from sweeper.tracking.serving import COLUMN, DESCRIPTION, WEIGHTS, signature_of
from sweeper.tracking.subject import Subject, config_of, open_pictures

if TYPE_CHECKING:
    from sweeper.models.trained import TrainedModel
    from sweeper.study.config import TrialConfig
    from sweeper.tracking.records import RunRecord
    from sweeper.tracking.workspace import Workspace

__all__ = ["RegisteredVersion", "register_model"]

_NAME = re.compile(r"[^/:.\s][^/:]{0,255}")
"""What MLflow's registry and its URIs (`models:/NAME/VERSION`) allow."""
_ALIAS = re.compile(r"[A-Za-z_-][A-Za-z0-9_-]{0,254}")
_PACKAGES = ("filelock", "mlflow", "numpy", "pandas", "pillow", "pydantic", "torch", "torchvision")
"""What the model imports; sweeper itself is among its files."""


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version in the registry."""

    name: str
    version: int
    run_id: str
    is_new: bool
    """False where the run's model had been registered under the name before."""

    @property
    def uri(self) -> str:
        """By which MLflow loads it."""
        return f"models:/{self.name}/{self.version}"


def register_model(workspace: Workspace, subject: Subject, name: str, *, alias: str | None = None) -> RegisteredVersion:
    """Register the model of a run, unless it is registered under that name already.

    Args:
        workspace: Where the run is tracked, and where weights of a frozen backbone are looked for.
        subject: The run.
        name: Of the registered model, which is created where it is missing.
        alias: A name that this version gets, and an earlier one loses: `models:/NAME@ALIAS`.

    Raises:
        NotFoundError: The run kept no model.
        InputError: Its outputs are neither classes nor numbers, or the name is one that MLflow does not allow.
        AccessError: The account may not write there.
        TrackingError: MLflow refused or cannot be reached.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"NAME: given {name!r}; allowed: 1 to 256 characters without / and :, not beginning with . ")
    if alias is not None and (not _ALIAS.fullmatch(alias) or alias == "latest" or re.fullmatch(r"[vV]\d+", alias)):
        raise InputError(f"--alias: given {alias!r}; allowed: letters, digits, - and _, but not latest, v1, v2, ...")
    with translating(workspace.tracking_uri):
        client = MlflowClient(tracking_uri=workspace.tracking_uri, registry_uri=workspace.tracking_uri)
        found = _find_version(client, subject, name)
        is_new = found is None
        if found is None:
            found = _create_version(client, workspace, subject, name)
        if alias is not None:
            client.set_registered_model_alias(name, alias, str(found.version))
    return RegisteredVersion(name=name, version=int(found.version), run_id=subject.run.run_id, is_new=is_new)


def _find_version(client: MlflowClient, subject: Subject, name: str) -> ModelVersion | None:
    quoted = name.replace("'", "''")
    versions = client.search_model_versions(f"name = '{quoted}' and run_id = '{subject.run.run_id}'")
    ready = [each for each in versions if each.status == "READY"]
    return max(ready, key=lambda each: int(each.version), default=None)


def _create_version(client: MlflowClient, workspace: Workspace, subject: Subject, name: str) -> ModelVersion:
    run, config = subject.run, config_of(subject.run, subject.reader)
    try:
        model = TrackedRun(run, subject.reader).load_model(places=workspace.places)
    except NotFoundError as error:
        raise NotFoundError(
            f"{error}; train it again and keep its model with `sweeper reproduce {subject.name}`"
        ) from error
    if config.task == "reconstruction":
        raise InputError(
            f"{subject.name} is an autoencoder, which gives pictures; allowed: models of classes or numbers"
        )
    description = json.loads(subject.reader.read_artifact(run, "model/model.json") or b"{}")
    tags = _tags(subject)
    logged = client.create_logged_model(
        experiment_id=subject.study.experiment_id,
        name=f"{run.name}-model",
        source_run_id=run.run_id,
        tags=tags,
        model_type="classifier" if model.class_names else "regressor",
    )
    with tempfile.TemporaryDirectory(prefix="sweeper-model-") as temporary:
        folder = Path(temporary, "model")
        _write_network(Path(temporary, "network"), model, description, config)
        saved = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run.run_id,
        )
        _save(folder, Path(temporary, "network"), saved, model, _example(workspace, run, config, model.input_shape))
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    try:
        client.create_registered_model(
            name, description=f"Image model, registered by sweeper from {subject.study.name}."
        )
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    made = client.create_model_version(
        name,
        logged.artifact_location,  # `models:/<id>` would be looked up at MLflow's global address, which nobody has set
        run_id=run.run_id,
        tags=tags,
        description=_describe(subject, model),
        model_id=logged.model_id,
    )
    versions = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(logged.model_id, {MLFLOW_MODEL_VERSIONS: versions})  # by which MLflow's UI links them
    return made


def _write_network(folder: Path, model: TrainedModel, description: Mapping[str, Any], config: TrialConfig) -> None:
    """The files that `ServedModel` reads: all weights, those of a frozen backbone too, and what they belong to."""
    folder.mkdir()
    torch.save(model.network.state_dict(), folder / WEIGHTS)
    served = {**description, "has_backbone": True, "resize": config.data.resize}
    (folder / DESCRIPTION).write_text(json.dumps(served, ensure_ascii=False, indent=1), encoding="utf-8")


def _save(folder: Path, network: Path, saved: Model, model: TrainedModel, example: bytes) -> None:
    """Write the model's folder in MLflow's format: from code, without a pickle."""
    # Information on what MLflow infers or stores is not for our users, and its loggers are set anew at each import.
    for logger in ("mlflow.models.model", "mlflow.pyfunc", "mlflow.models.utils"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    mlflow.pyfunc.save_model(
        path=str(folder),
        mlflow_model=saved,
        python_model=str(Path(__file__).with_name("served_code.py")),
        artifacts={"network": str(network)},
        # With it the model loads wherever its requirements are installed, and years later as it was.
        code_paths=[str(Path(sweeper.__file__).parent)],
        signature=signature_of(model.class_names, model.output_names),
        input_example=pd.DataFrame({COLUMN: [base64.b64encode(example).decode()]}),
        # Given, since MLflow would find them out by loading the model in another process.
        pip_requirements=[f"{package}=={version(package).partition('+')[0]}" for package in _PACKAGES],
    )
    # Where things lay on this machine means nothing elsewhere; MLflow reads the name of the file alone.
    flavor = saved.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    flavor["artifacts"]["network"]["uri"] = flavor["artifacts"]["network"]["path"]
    saved.save(str(folder / "MLmodel"))
    for cached in sorted(folder.rglob("__pycache__")):
        for file in cached.iterdir():
            file.unlink()
        cached.rmdir()


def _example(workspace: Workspace, run: RunRecord, config: TrialConfig, shape: tuple[int, int, int]) -> bytes:
    """A PNG file to try the model with: a validation picture, or a gray one where the data are not at hand."""
    try:
        if is_decoded(config.data, cache_dir=workspace.cache_dir, data_dir=workspace.data_dir):
            validation = open_pictures(workspace, run, config).validation
            return encode_png(validation.images_NCHW[validation.indices_M[0]].numpy())
    except (DataError, OSError):
        pass
    return encode_png(np.full(shape, 128, dtype=np.uint8))


def _tags(subject: Subject) -> dict[str, str]:
    tags = {"sweeper.study": subject.study.name, "sweeper.trial_number": str(subject.run.number)}
    for name in ("commit", "data_fingerprint", "version", "best_epoch"):
        if f"sweeper.{name}" in subject.run.tags:
            tags[f"sweeper.{name}"] = subject.run.tags[f"sweeper.{name}"]
    return tags


def _describe(subject: Subject, model: TrainedModel) -> str:
    """Markdown for MLflow's UI."""
    channels, height, width = model.input_shape
    objective = subject.study.study.get("objective", {}).get("metric", "val/accuracy")
    value = "" if subject.run.value is None else f", {objective} {subject.run.value:.4g}"
    if model.class_names:
        gives = f"`class`, `probability` and `probabilities` of {len(model.class_names)} classes"
    else:
        gives = ", ".join(f"`{name}`" for name in model.output_names)
    return (
        f"Trial {subject.run.number} of the study {subject.study.name}{value}.\n\n"
        f"Input: a column `{COLUMN}` of PNG or JPEG files as base64 or bytes, or of uint8 arrays (H, W, C); they are "
        f"brought to {width} × {height} with {channels} channel{'s' * (channels != 1)}. Output: {gives}."
    )
