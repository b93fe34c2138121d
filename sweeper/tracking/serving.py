"""A registered model as MLflow loads and serves it: pictures in, classes and probabilities out.

It needs no workspace: weights, configuration, preprocessing and the code are parts of the model.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Map

from sweeper.data.pictures import Pixels, decode_bytes, fit_array
from sweeper.errors import DataError
from sweeper.models.trained import TrainedModel, load_trained

__all__ = ["COLUMN", "DESCRIPTION", "WEIGHTS", "ServedModel", "signature_of"]

COLUMN = "image"
"""The one column of the input."""
DESCRIPTION = "model.json"
WEIGHTS = "weights.pt"

_BATCH = 64
"""Pictures that the network is given at once: a request of any length takes the memory of so many."""

Picture: TypeAlias = Any
"""A file's content as bytes, the same in base64, or pixels: uint8 (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."""


def signature_of(class_names: tuple[str, ...], output_names: tuple[str, ...]) -> ModelSignature:
    """What a model takes and gives: of classes the likeliest, its probability and those of all; else each number."""
    outputs: list[ColSpec | TensorSpec]
    if class_names:
        outputs = [
            ColSpec(DataType.string, "class"),
            ColSpec(DataType.double, "probability"),
            ColSpec(Map(DataType.double), "probabilities"),
        ]
    else:
        outputs = [ColSpec(DataType.double, name) for name in output_names]
    # Bytes, text and arrays: MLflow's types know no union, and `any` is what takes all of them.
    anything = AnyType()  # type: ignore[no-untyped-call]
    return ModelSignature(inputs=Schema([ColSpec(anything, COLUMN)]), outputs=Schema(outputs))


class ServedModel(PythonModel):
    """A trained model behind MLflow's interface for Python functions."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load weights and description. MLflow calls it once."""
        folder = Path(context.artifacts["network"])
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        self._model: TrainedModel = load_trained(description, (folder / WEIGHTS).read_bytes())
        self._resize: int | None = description["resize"]

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The outputs for a table with pictures in its column `image`: a row a picture, see `signature_of`.

        Raises:
            MlflowException: One of them cannot be read. A server answers with its message, and the status 400.
        """
        cells = list(_pictures(model_input[COLUMN]))
        try:
            outputs = [self._outputs(cells[start : start + _BATCH]) for start in range(0, len(cells), _BATCH)]
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        model = self._model
        names = model.class_names or model.output_names
        outputs_NK = np.concatenate(outputs) if outputs else np.empty((0, len(names)))
        if not model.class_names:
            return pd.DataFrame(outputs_NK, columns=list(names))
        best_N = outputs_NK.argmax(axis=1)
        return pd.DataFrame(
            {
                "class": [names[k] for k in best_N],
                "probability": outputs_NK[np.arange(len(best_N)), best_N],
                "probabilities": [dict(zip(names, row, strict=True)) for row in outputs_NK.tolist()],
            }
        )

    @torch.inference_mode()
    def _outputs(self, cells: list[Picture]) -> npt.NDArray[np.float64]:
        """Float64 (B, K): probabilities, or of a regression numbers."""
        images_BCHW = torch.from_numpy(np.stack([self._pixels(cell) for cell in cells]))
        outputs_BK = self._model(images_BCHW).double()
        # Of log-probabilities the softmax are the probabilities, as it is of logits.
        outputs: npt.NDArray[np.float64] = (
            outputs_BK.softmax(dim=1) if self._model.class_names else outputs_BK
        ).numpy()
        return outputs

    def _pixels(self, cell: Picture) -> Pixels:
        """One picture as the network was trained on: uint8 (C, H, W)."""
        shape = self._model.input_shape
        if isinstance(cell, str):
            cell = _decoded(cell)
        if isinstance(cell, bytes | bytearray | memoryview):
            return decode_bytes(bytes(cell), shape=shape, resize=self._resize)
        return fit_array(_array(cell), shape=shape, resize=self._resize)


def _pictures(column: pd.Series[Any]) -> Iterator[Picture]:
    """The pictures of a column. MLflow makes one cell of a list of texts, as of `{"inputs": {"image": [...]}}`."""
    for cell in column:
        if isinstance(cell, list) and cell and all(isinstance(each, str | bytes) for each in cell):
            yield from cell
        else:
            yield cell


def _decoded(text: str) -> bytes:
    """The bytes that a text holds in base64, with or without what a data URL begins with."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise DataError(f"a picture as text must be a PNG or JPEG file in base64; given is {text[:20]!r}...") from None


def _array(cell: Any) -> Pixels:
    """Pixels as an array; lists, as JSON has them, are checked to hold whole numbers from 0 to 255."""
    try:
        pixels = np.asarray(cell if isinstance(cell, np.ndarray) and cell.dtype != object else _plain(cell))
    except ValueError:
        raise DataError("a picture as a list must be rows of the same length") from None
    if np.issubdtype(pixels.dtype, np.integer) and pixels.size and pixels.min() >= 0 and pixels.max() <= 255:
        return pixels.astype(np.uint8)
    return pixels  # `fit_array` says what is wrong with it


def _plain(cell: Any) -> Any:
    """Lists in the place of arrays of arrays."""
    return [_plain(each) for each in cell] if isinstance(cell, list | tuple | np.ndarray) else cell
