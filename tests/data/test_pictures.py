from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeper.data.pictures import Pixels, convert_array, decode_file
from sweeper.errors import DataError

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GRAY = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)


def decode(path: Path, image_size: int | None = None, grayscale: bool = False) -> Pixels:
    return decode_file(str(path), image_size=image_size, grayscale=grayscale)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "picture.png"


def test_rgb(path: Path) -> None:
    Image.fromarray(RGB).save(path)
    assert np.array_equal(decode(path), RGB.transpose(2, 0, 1))


def test_grayscale_is_luminance(path: Path) -> None:
    Image.fromarray(RGB).save(path)
    luminance = RGB @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    assert decode(path, grayscale=True).shape == (1, 5, 7)
    assert np.abs(decode(path, grayscale=True)[0] - luminance).max() <= 1


def test_grey_picture_gets_three_equal_channels(path: Path) -> None:
    Image.fromarray(GRAY).save(path)
    assert np.array_equal(decode(path), np.stack([GRAY] * 3))
    assert np.array_equal(decode(path, grayscale=True)[0], GRAY)


def test_transparency_is_laid_on_white(path: Path) -> None:
    alpha = np.full((5, 7), 255, dtype=np.uint8)
    alpha[0] = 0
    Image.fromarray(np.dstack([RGB, alpha])).save(path)
    assert (decode(path)[:, 0] == 255).all()
    assert np.array_equal(decode(path)[:, 1:], RGB.transpose(2, 0, 1)[:, 1:])


def test_palette(path: Path) -> None:
    Image.fromarray(RGB).quantize(256).save(path)
    assert np.abs(decode(path).astype(int) - RGB.transpose(2, 0, 1)).max() < 40


def test_palette_with_transparency(path: Path) -> None:
    image = Image.new("P", (4, 4), color=1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), 0)
    image.save(path, transparency=0)
    assert decode(path)[:, 0, 0].tolist() == [255, 255, 255]
    assert decode(path)[:, 1, 1].tolist() == [200, 100, 50]


def test_sixteen_bits_keep_their_range(path: Path) -> None:
    Image.fromarray(np.array([[0, 256, 32768, 65535]], dtype=np.uint16)).save(path)
    assert decode(path, grayscale=True)[0].tolist() == [[0, 1, 128, 255]]


def test_pixels_without_a_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff.*mode F"):
        decode(tmp_path / "float.tiff")


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_exif_orientation(path: Path, orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(path, exif=exif)
    assert np.array_equal(decode(path), np.rot90(RGB, turns).transpose(2, 0, 1))


def test_resizing_does_not_alias(path: Path) -> None:
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(path)
    inner = decode(path, image_size=8, grayscale=True)[0, 1:-1, 1:-1]
    assert np.abs(inner.astype(int) - 127).max() <= 2


def test_resizing_agrees_with_torchvision() -> None:
    import torch
    from torchvision.transforms.v2 import functional

    picture = RANDOM.integers(0, 256, (50, 40, 3), dtype=np.uint8)
    ours = convert_array(picture, image_size=16, grayscale=False)
    theirs = functional.resize(torch.from_numpy(picture.transpose(2, 0, 1)), [16, 16], antialias=True).numpy()
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("content", [b"", b"not a picture", None])
def test_unreadable_picture_is_named(path: Path, content: bytes | None) -> None:
    if content is None:  # cut off
        Image.fromarray(RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        content = path.read_bytes()[:2000]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"unreadable picture: .*picture\.png"):
        decode(path)


def test_arrays() -> None:
    assert np.array_equal(convert_array(GRAY, image_size=None, grayscale=False), GRAY[np.newaxis])
    assert np.array_equal(convert_array(GRAY, image_size=None, grayscale=True), GRAY[np.newaxis])
    assert np.array_equal(convert_array(RGB, image_size=None, grayscale=False), RGB.transpose(2, 0, 1))
    assert convert_array(RGB, image_size=None, grayscale=True).shape == (1, 5, 7)
    assert convert_array(GRAY, image_size=9, grayscale=False).shape == (1, 9, 9)


@pytest.mark.parametrize(("size", "resize", "image_size"), [((60, 40), 32, 24), ((41, 67), 50, 50), ((30, 30), 30, 11)])
def test_resized_and_cut_out_as_torchvision_does(
    path: Path, size: tuple[int, int], resize: int, image_size: int
) -> None:
    from torchvision.transforms import v2

    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    image.save(path)
    expected = v2.CenterCrop(image_size)(v2.Resize(resize, antialias=True)(image))
    pixels = decode_file(str(path), image_size=image_size, resize=resize, grayscale=False)
    assert np.array_equal(pixels, np.asarray(expected).transpose(2, 0, 1))
    array = convert_array(np.asarray(image), image_size=image_size, resize=resize, grayscale=False)
    assert np.array_equal(array, pixels)
