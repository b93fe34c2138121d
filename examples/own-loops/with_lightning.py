"""A module of Lightning, whose trainer runs one epoch at a time."""

from __future__ import annotations

from collections.abc import Iterator

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import sweeper


class Classifier(lightning.LightningModule):
    def __init__(self, lr: float, width: int) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        loss = functional.cross_entropy(self.layers(batch[0]), batch[1])
        self.log("train/loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.log("val/accuracy", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


@sweeper.training_loop("lightning")
def train(trial: sweeper.Trial, *, lr: float, width: int = 32, epochs: int = 4) -> Iterator[dict[str, float]]:
    """Two layers on scikit-learn's digits, by Lightning's trainer."""
    digits = load_digits()
    images, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    training = DataLoader(TensorDataset(images[:1400], labels[:1400]), batch_size=64, shuffle=True)
    validation = DataLoader(TensorDataset(images[1400:], labels[1400:]), batch_size=512)
    module = Classifier(lr, width)
    last = trial.folder / "last.ckpt"
    trial.keep(checkpoint=last)
    for epoch in trial.epochs(epochs):
        trainer = lightning.Trainer(
            accelerator="gpu" if trial.device.type == "cuda" else "cpu",
            devices=[trial.device.index or 0] if trial.device.type == "cuda" else 1,
            max_epochs=epoch,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, training, validation, ckpt_path=last if last.exists() else None)
        trainer.save_checkpoint(last)
        yield {name: value.item() for name, value in trainer.callback_metrics.items()}
