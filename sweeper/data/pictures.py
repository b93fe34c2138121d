"""One picture, from a file or an array to uint8 pixels of the wanted shape. The only module that imports PIL."""

from __future__ import annotations

import io
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sweeper.errors import DataError

__all__ = ["Pixels", "convert_array", "decode_bytes", "decode_file", "encode_png", "fit_array"]

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
            return _finish(_upright(image), _square(image_size), resize, grayscale)
    except Exception as error:  # PIL's readers raise nearly anything on damaged files
        raise DataError(f"unreadable picture: {path} ({type(error).__name__}: {error})") from error


def decode_bytes(data: bytes, *, shape: tuple[int, int, int], resize: int | None = None) -> Pixels:
    """Decode a picture as it lies in a file (PNG, JPEG, ...) to uint8 of `shape`, (C, H, W), as `decode_file` does.

    Raises:
        DataError: It cannot be read.
    """
    n_channels, height, width = shape
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _finish(_upright(image), (height, width), resize, n_channels == 1)
    except Exception as error:  # PIL's readers raise nearly anything on damaged files
        raise DataError(f"unreadable picture of {len(data)} bytes ({type(error).__name__})") from error


def fit_array(pixels: Pixels, *, shape: tuple[int, int, int], resize: int | None = None) -> Pixels:
    """Bring uint8 (H, W), (H, W, 1), (H, W, 3) or, with transparency, (H, W, 4) pixels to `shape`, uint8 (C, H, W).

    Raises:
        DataError: They are of another form.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (1,), (3,), (4,)):
        raise DataError(
            f"a picture of shape {pixels.shape} and type {pixels.dtype}; allowed: uint8 from 0 to 255 of shape (H, W), "
            "(H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    n_channels, height, width = shape
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels)
    return _finish(_to_rgb_or_luminance(image), (height, width), resize, n_channels == 1)


def convert_array(pixels: Pixels, *, image_size: int | None, resize: int | None = None, grayscale: bool) -> Pixels:
    """Bring uint8 (H, W) or (H, W, 3) pixels into the wanted shape, uint8 (C, H, W); see `decode_file`."""
    n_channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    as_wanted = image_size is None or (pixels.shape[:2] == (image_size, image_size) and resize in (None, image_size))
    if as_wanted and not (grayscale and n_channels == 3):
        return pixels[np.newaxis] if n_channels == 1 else pixels.transpose(2, 0, 1)
    return _finish(Image.fromarray(pixels), _square(image_size), resize, grayscale or n_channels == 1)


def encode_png(pixels_CHW: Pixels) -> bytes:
    """The PNG file of a picture, uint8 (C, H, W) with C 1 or 3."""
    file = io.BytesIO()
    Image.fromarray(pixels_CHW[0] if len(pixels_CHW) == 1 else pixels_CHW.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def _square(side: int | None) -> tuple[int, int] | None:
    return None if side is None else (side, side)


def _upright(image: Image.Image) -> Image.Image:
    return _to_rgb_or_luminance(ImageOps.exif_transpose(image))


def _finish(image: Image.Image, size: tuple[int, int] | None, resize: int | None, grayscale: bool) -> Pixels:
    """The pixels of a picture, of the height and width that are wanted, if any."""
    image = image.convert("L" if grayscale else "RGB")
    height, width = size or (image.height, image.width)
    if size is not None and resize is not None:
        image = _resize_shorter_side(image, resize)
        left, top = round((image.width - width) / 2.0), round((image.height - height) / 2.0)
        image = image.crop((left, top, left + width, top + height))
    elif image.size != (width, height):
        # PIL widens the bilinear filter when it shrinks a picture: no aliasing.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
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
