"""One picture, from a file or an array to uint8 pixels of the wanted shape. The only module that imports PIL."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sweeper.errors import DataError

__all__ = ["Pixels", "convert_array", "decode_file"]

Pixels: TypeAlias = npt.NDArray[np.uint8]


def decode_file(path: str, *, image_size: int | None, resize: int | None = None, grayscale: bool) -> Pixels:
    """Decode a picture file to uint8 (C, H, W), C being 1 if `grayscale`, else 3.

    H and W are `image_size`, if given: with `resize`, the shorter side is resized to this and the middle cut out, as
    torchvision's `Resize` and `CenterCrop` do; without, the whole picture is resized, whatever its proportions.
    Upright as its EXIF orientation says; of an animation the first frame; what is transparent is laid on white.
    Raises DataError, naming the file, where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return _finish(_to_rgb_or_luminance(ImageOps.exif_transpose(image)), image_size, resize, grayscale)
    except Exception as error:  # PIL's readers raise nearly anything on damaged files
        raise DataError(f"unreadable picture: {path} ({type(error).__name__}: {error})") from error


def convert_array(pixels: Pixels, *, image_size: int | None, resize: int | None = None, grayscale: bool) -> Pixels:
    """Bring uint8 (H, W) or (H, W, 3) pixels into the wanted shape, uint8 (C, H, W); see `decode_file`."""
    n_channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    as_wanted = image_size is None or (pixels.shape[:2] == (image_size, image_size) and resize in (None, image_size))
    if as_wanted and not (grayscale and n_channels == 3):
        return pixels[np.newaxis] if n_channels == 1 else pixels.transpose(2, 0, 1)
    return _finish(Image.fromarray(pixels), image_size, resize, grayscale or n_channels == 1)


def _finish(image: Image.Image, image_size: int | None, resize: int | None, grayscale: bool) -> Pixels:
    image = image.convert("L" if grayscale else "RGB")
    if image_size is not None and resize is not None:
        image = _resize_shorter_side(image, resize)
        left, top = (round((side - image_size) / 2.0) for side in image.size)
        image = image.crop((left, top, left + image_size, top + image_size))
    elif image_size is not None and image.size != (image_size, image_size):
        # PIL widens the bilinear filter when it shrinks a picture: no aliasing.
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[np.newaxis] if grayscale else pixels.transpose(2, 0, 1)


def _resize_shorter_side(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    if shorter == size:
        return image
    width, height = (size if side == shorter else int(size * side / shorter) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _to_rgb_or_luminance(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no defined range; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
