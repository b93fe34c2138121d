"""Pictures of pictures, as PNG: some of each class, and one before and after each augmentation."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from sweeper.data.augmentation import augment_one
from sweeper.data.dataset import Dataset, Split
from sweeper.study.config import AugmentConfig

__all__ = ["draw_augmentations", "draw_classes"]

_PAPER = (255, 255, 255, 0)
"""Clear, so that pages of any colour show through; text stands on a label of its own."""
_INK, _WRONG = (61, 68, 77), (214, 39, 40)
_TEXT = (255, 255, 255)
_GAP, _FRAME, _LINE = 4, 3, 18
"""Pixels between pictures, of a frame around one, and of a line of text."""
_MIN_SIDE, _MAX_SIDE = 96, 128
"""Pixels of a picture that is shown: small ones are enlarged to at least, large ones reduced to at most this."""
_SIDE_OF_MANY, _MANY = 64, 20
"""The same, where more rows than this are shown."""
_MAX_WIDTH = 1600


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A title, and pictures below it."""

    title: str
    pixels_BCHW: npt.NDArray[np.uint8]
    framed: Sequence[bool]
    """Which pictures have a frame."""


def draw_classes(dataset: Dataset, *, part: str = "train", per_class: int = 4, seed: int = 0) -> bytes:
    """A PNG with some random pictures of each class of a part, by their labels as given.

    Those whose true class is another have a red frame. For a regression, the pictures are of no class.

    Args:
        dataset: The data set.
        part: `train`, `validation` or `test`.
        per_class: Pictures of each class, or all where there are fewer.
        seed: Seed of the draw.
    """
    split: Split = getattr(dataset, part)
    labels_M = split.labels_N[split.indices_M]
    random = np.random.default_rng(seed)
    rows = []
    for label, name in enumerate(dataset.class_names or (dataset.name,)):
        members = split.indices_M[labels_M == label].numpy()
        drawn = random.choice(members, size=min(per_class, len(members)), replace=False)
        framed = [split.true_labels_N is not None and int(split.true_labels_N[index]) != label for index in drawn]
        rows.append(
            _Row(title=f"{name} ({len(members):,})", pixels_BCHW=split.images_NCHW[drawn].numpy(), framed=framed)
        )
    legend = "red frame: the true class is another" if any(any(row.framed) for row in rows) else ""
    return _draw(rows, per_row=per_class, legend=legend)


def draw_augmentations(dataset: Dataset, configs: Sequence[AugmentConfig], *, n_draws: int = 4, seed: int = 0) -> bytes:
    """A PNG with one training picture before, framed, and after each augmentation, drawn `n_draws` times.

    Each is applied for sure, whatever its probability, and to the picture as it is, not to what others have made of it.
    """
    split = dataset.train
    index = int(np.random.default_rng(seed).choice(split.indices_M.numpy()))
    before_1CHW = split.images_NCHW[index : index + 1]
    rows = []
    for config in configs:
        after_BCHW = augment_one(config, before_1CHW.expand(n_draws, -1, -1, -1).contiguous(), seed=seed)
        fields = config.model_dump(exclude={"name", "probability"}, exclude_defaults=True)
        title = " ".join([config.name, *(f"{name}={_plain(value)}" for name, value in fields.items())])
        if (after_BCHW == after_BCHW[:1]).all():  # nothing of it is drawn
            after_BCHW = after_BCHW[:1]
        pixels_BCHW = torch.cat((before_1CHW, after_BCHW)).numpy()
        rows.append(_Row(title=title, pixels_BCHW=pixels_BCHW, framed=[True] + [False] * len(after_BCHW)))
    return _draw(rows, per_row=n_draws + 1, legend="framed: before", ink=_INK)


def _plain(value: object) -> str:
    return " to ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else f"{value}"


def _draw(rows: Sequence[_Row], *, per_row: int, legend: str = "", ink: tuple[int, int, int] = _WRONG) -> bytes:
    _, _, height, width = rows[0].pixels_BCHW.shape
    height, width = _shown_size(height, width, *((_SIDE_OF_MANY,) * 2 if len(rows) > _MANY else (_MIN_SIDE, _MAX_SIDE)))
    font = ImageFont.load_default(12)
    step_x, step_y = width + 2 * _FRAME + _GAP, height + 2 * _FRAME
    longest = max(math.ceil(font.getlength(row.title)) for row in rows)
    block_width, block_height = max(per_row * step_x, longest + 2 * _GAP) + 3 * _GAP, _LINE + step_y + 2 * _GAP
    # As near to four by three as whole blocks come, within the widest that a page shows well.
    n_columns = round(math.sqrt(len(rows) * block_height * 4 / 3 / block_width))
    n_columns = max(1, min(n_columns, len(rows), _MAX_WIDTH // block_width))
    n_lines = math.ceil(len(rows) / n_columns)
    size = n_columns * block_width + _GAP, n_lines * block_height + _GAP + (_LINE if legend else 0)
    sheet = Image.new("RGBA", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        left = _GAP + number // n_lines * block_width
        top = _GAP + number % n_lines * block_height
        _write(pen, (left, top), row.title, font, _INK)
        for place, (pixels_CHW, is_framed) in enumerate(zip(row.pixels_BCHW, row.framed, strict=True)):
            x, y = left + place * step_x, top + _LINE
            if is_framed:
                pen.rectangle((x, y, x + width + 2 * _FRAME - 1, y + height + 2 * _FRAME - 1), fill=ink)
            sheet.paste(
                _to_image(pixels_CHW).resize((width, height), _filter(pixels_CHW, width)), (x + _FRAME, y + _FRAME)
            )
    if legend:
        _write(pen, (_GAP, size[1] - _LINE), legend, font, ink)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
) -> None:
    """A label in a colour, with white text."""
    (x, y), width = place, math.ceil(font.getlength(text))
    pen.rectangle((x, y, x + width + 2 * _GAP - 1, y + _LINE - 3), fill=colour)
    pen.text((x + _GAP, y), text, fill=_TEXT, font=font)


def _shown_size(height: int, width: int, least: int, most: int) -> tuple[int, int]:
    longer = max(height, width)
    if longer > most:
        return max(1, height * most // longer), max(1, width * most // longer)
    factor = math.ceil(least / longer)  # whole pixels stay whole
    return height * factor, width * factor


def _filter(pixels_CHW: npt.NDArray[np.uint8], width: int) -> Image.Resampling:
    return Image.Resampling.NEAREST if width >= pixels_CHW.shape[2] else Image.Resampling.LANCZOS


def _to_image(pixels_CHW: npt.NDArray[np.uint8]) -> Image.Image:
    if len(pixels_CHW) == 1:
        return Image.fromarray(pixels_CHW[0]).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(pixels_CHW.transpose(1, 2, 0)))
