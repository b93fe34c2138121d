"""Sheets of pictures with captions, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Tile", "draw_sheet"]

_SIDE = 112
"""Pixels of the longer side of a picture in a sheet; larger ones are shrunk."""
_FONT_SIZE = 13
_LINE = 16
_GAP = 10
_MARGIN = 4
_INK, _TEXT = "#3d444d", "#ffffff"
_PAPER = "#ffffff00"
"""Clear, so that pages of any colour show through; captions stand on labels of their own."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One picture of a sheet."""

    image_CHW: torch.Tensor
    """float, (1 or 3, H, W), 0 to 1; or uint8."""
    caption: Sequence[str]
    """Lines below it; the same number in all tiles of a sheet. What does not fit is cut."""
    colour: str = _INK
    """Behind the caption, which is white."""


def draw_sheet(rows: Sequence[Sequence[Tile]]) -> bytes:
    """Pictures in rows, each enlarged without smoothing, so that its own pixels are seen, with its caption below.

    The same tiles give the same bytes.

    Args:
        rows: At least one, each with at least one tile; all pictures are of one shape.
    """
    font = ImageFont.load_default(_FONT_SIZE)
    first = rows[0][0]
    height, width = first.image_CHW.shape[1:]
    scale = _SIDE / max(height, width)
    scale = float(int(scale)) if scale >= 1.0 else scale  # whole pixels of the picture
    tile_w, tile_h = max(1, round(width * scale)), max(1, round(height * scale))
    cell_w = max(tile_w, _SIDE) + _GAP
    cell_h = tile_h + _LINE * len(first.caption) + _GAP
    n_columns = max(len(row) for row in rows)
    sheet = Image.new("RGBA", (n_columns * cell_w + _GAP, len(rows) * cell_h + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            left, top = _GAP + j * cell_w, _GAP + i * cell_h
            pixels = Image.fromarray(_pixels(tile.image_CHW))
            smooth = Image.Resampling.BOX if scale < 1.0 else Image.Resampling.NEAREST
            sheet.paste(pixels.resize((tile_w, tile_h), smooth), (left, top))
            below = top + tile_h
            label = (left, below, left + cell_w - _GAP - 1, below + len(tile.caption) * _LINE + 1)
            if tile.caption:
                draw.rectangle(label, fill=tile.colour)
            for line, text in enumerate(tile.caption):
                words = _cut(text, font, cell_w - _GAP - 2 * _MARGIN)
                draw.text((left + _MARGIN, below + line * _LINE), words, fill=_TEXT, font=font)
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()


def _pixels(image_CHW: torch.Tensor) -> npt.NDArray[np.uint8]:
    """uint8, (H, W, 3)."""
    if image_CHW.dtype != torch.uint8:
        image_CHW = (image_CHW.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    array_HWC: npt.NDArray[np.uint8] = image_CHW.expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()
    return array_HWC


def _cut(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
