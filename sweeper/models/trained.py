"""A trained model with the preprocessing that belongs to it, as loaded from a run."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from sweeper.errors import InputError
from sweeper.models.backbone_weights import find_weights, weights_hash
from sweeper.models.networks import build_model
from sweeper.places import Places
from sweeper.study.config import ModelConfig, TorchvisionConfig

__all__ = ["TrainedModel", "load_trained"]


class TrainedModel(nn.Module):
    """A network that takes pictures as they are decoded: it scales and normalizes them itself.

    Args:
        network: Maps normalized pictures to logits, log-probabilities, numbers, or pictures.
        class_names: In the order of the outputs; empty for a regression.
        input_shape: (C, H, W) of a picture.
        mean: One a channel, of values from 0 to 1.
        deviation: One a channel, of values from 0 to 1.
        output_names: Of the numbers that a regression gives, in their order; else empty.
    """

    mean_1C11: torch.Tensor
    deviation_1C11: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        class_names: tuple[str, ...],
        input_shape: tuple[int, int, int],
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        output_names: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.class_names = class_names
        self.output_names = output_names
        self.input_shape = input_shape
        self.register_buffer("mean_1C11", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation_1C11", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Outputs for pictures, uint8 (N, C, H, W) from 0 to 255: float (N, K), one a class or number; of an
        autoencoder pictures, float (N, C, H, W), with pixels from about 0 to 1."""
        if images_NCHW.dtype != torch.uint8:
            raise TypeError(f"pictures must be uint8 from 0 to 255, not {images_NCHW.dtype}")
        scaled_NCHW = images_NCHW.to(self.mean_1C11.dtype) / 255
        outputs: torch.Tensor = self.network((scaled_NCHW - self.mean_1C11) / self.deviation_1C11)
        return outputs

    @torch.inference_mode()
    def predict(self, images_NCHW: torch.Tensor) -> list[str]:
        """The class of each picture, uint8 (N, C, H, W).

        Raises:
            InputError: The outputs are no classes.
        """
        outputs = self(images_NCHW)
        if outputs.shape[1:] != (len(self.class_names),):
            what = f"numbers ({', '.join(self.output_names)})" if self.output_names else "pictures"
            raise InputError(f"this model predicts no classes but {what}; call the model itself")
        return [self.class_names[k] for k in outputs.argmax(dim=1).tolist()]


def load_trained(description: Mapping[str, Any], state: bytes, *, places: Places | None = None) -> TrainedModel:
    """The model of a run, in evaluation mode, on the CPU.

    Args:
        description: Contents of its `model.json`. With `has_backbone`, as that of a registered model has it, nothing is
            looked for elsewhere.
        state: Contents of its `model.pt`: a state dict, loaded as data only. Of a model with a frozen backbone, that of
            the head alone unless it `has_backbone`.
        places: Where the weights of a frozen backbone are looked for.

    Raises:
        InputError: The model is a plugin's that was not imported, `state` is something else, or the weights of the
            backbone are others than those it was trained on.
        DataError: The weights of the backbone are nowhere.
    """
    channels, height, width = description["input_shape"]
    class_names, output_names = tuple(description["class_names"]), tuple(description.get("output_names", ()))
    config = _read_config(description["model"])
    is_head = False
    if isinstance(config, TorchvisionConfig) and config.frozen and not description.get("has_backbone"):
        is_head = True  # the network is the head's and its backbone's, which has weights from elsewhere
        _check_weights(config, description.get("weights_sha256"), places)
    network = build_model(
        config,
        input_shape=(channels, height, width),
        n_outputs=len(output_names or class_names),
        log_probabilities=description["loss"] == "nll",
        places=places,
        load_weights=is_head,
    )
    try:
        tensors = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
        if is_head:
            tensors = {**network.state_dict(), **tensors}
        network.load_state_dict(tensors)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            "model.pt of this run is not the state dict of its network, and nothing else is loaded: "
            f"{(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error
    normalize = description["normalize"]
    model = TrainedModel(
        network,
        class_names=class_names,
        input_shape=(channels, height, width),
        mean=tuple(description["mean"]) if normalize else (0.0,) * channels,
        deviation=tuple(description["deviation"]) if normalize else (1.0,) * channels,
        output_names=output_names,
    )
    return model.eval()


def _read_config(raw: Any) -> ModelConfig:
    try:
        config: ModelConfig = TypeAdapter(ModelConfig).validate_python(raw)
    except ValidationError as error:
        name = raw.get("name") if isinstance(raw, Mapping) else raw
        raise InputError(
            f"the model {name!r} of this run is not one that is known here; where a plugin has it, import that first"
        ) from error
    return config


def _check_weights(config: TorchvisionConfig, expected: str | None, places: Places | None) -> None:
    path = find_weights(config, places)
    found = None if path is None else weights_hash(path, places)
    if found != expected:
        raise InputError(
            f"the head of this run was trained on weights of {config.network} with the SHA-256 {expected}, but {path} "
            f"has {found}; put the same file there, or train again"
        )
