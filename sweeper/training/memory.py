"""Batches that do not fit into the memory of the device: gradients summed over pieces, then giving up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sweeper.errors import InfeasibleError
from sweeper.training.losses import Loss
from sweeper.training.precision import Forward

__all__ = ["GradientAccumulation", "out_of_memory_is_infeasible"]


@contextmanager
def out_of_memory_is_infeasible() -> Iterator[None]:
    """Turn torch's error in the block into ours.

    Raises:
        InfeasibleError: The device ran out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise InfeasibleError(
            "out of memory, even with the smallest pieces of a batch; choose a smaller model or a device with more "
            f"memory ({str(error).splitlines()[0]})"
        ) from error


class GradientAccumulation:
    """Computes the gradient of a batch: at once while that fits into memory, else in pieces of half the size, and so
    on. The gradient is that of the whole batch, whatever the pieces; only batch norm sees each piece for itself. A size
    once found is kept.

    Args:
        model: What is trained.
        loss: What is minimized.
        may_split: Whether batches may be split; else what does not fit at once does not fit.
        forward: The model's forward pass. Default: the model.
    """

    def __init__(self, model: nn.Module, loss: Loss, *, may_split: bool = True, forward: Forward | None = None) -> None:
        self.max_pictures: int | None = None
        """Most pictures in a piece; None while whole batches fit."""
        self._may_split = may_split
        self._model = model
        self._forward: Forward = model if forward is None else forward
        self._loss = loss
        has_batch_norm = any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in model.modules())
        self._min_pictures = 2 if has_batch_norm else 1

    def backward(self, inputs: torch.Tensor, learnt: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the gradient of the batch's loss into the parameters, whose `grad` must be None.

        Returns:
            The outputs and the loss, a scalar, both of the whole batch.

        Raises:
            torch.OutOfMemoryError: The smallest pieces do not fit, or the batch may not be split.
        """
        if self.max_pictures is None or self.max_pictures >= len(learnt):
            pieces = [(inputs, learnt)]
        else:
            n_pieces = max(1, min(-(-len(learnt) // self.max_pictures), len(learnt) // self._min_pictures))
            pieces = list(zip(inputs.tensor_split(n_pieces), learnt.tensor_split(n_pieces), strict=True))
        try:
            return self._backward_over(pieces, learnt)
        except torch.OutOfMemoryError:
            largest = len(pieces[0][1])
            if not self._may_split or largest // 2 < self._min_pictures:
                raise
        # Below the handler, whose traceback would hold on to the tensors of the failed attempt.
        self.max_pictures = largest // 2
        self._model.zero_grad(set_to_none=True)
        if inputs.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.backward(inputs, learnt)

    def _backward_over(
        self, pieces: list[tuple[torch.Tensor, torch.Tensor]], learnt: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if len(pieces) == 1:
            outputs = self._forward(pieces[0][0])
            loss = self._loss(outputs, learnt)
            loss.backward()  # type: ignore[no-untyped-call]
            return outputs.detach(), loss.detach()
        scale = self._loss.scale(learnt)
        all_outputs, losses = [], []
        for inputs_P, learnt_P in pieces:
            outputs_P = self._forward(inputs_P)
            loss = self._loss(outputs_P, learnt_P, scale=scale)
            loss.backward()  # type: ignore[no-untyped-call]
            all_outputs.append(outputs_P.detach())
            losses.append(loss.detach())
        return torch.cat(all_outputs), torch.stack(losses).sum()
