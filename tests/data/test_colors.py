from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from sweeper.data.colors import adjust, shift_hue

IMAGES = torch.rand((3, 3, 20, 30), generator=torch.Generator().manual_seed(0))
FACTORS = torch.tensor([0.5, 1.0, 1.6])


@pytest.mark.parametrize("what", ["brightness", "contrast", "saturation"])
def test_factors_agree_with_torchvision(what: str) -> None:
    change = getattr(reference, f"adjust_{what}")
    theirs = torch.cat([change(IMAGES[row : row + 1], float(FACTORS[row])) for row in range(3)])
    ours = adjust(IMAGES, white=1.0, **{f"{what}_N": FACTORS})
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)  # torchvision's weights of red, green, blue are rounded
    scaled = adjust(IMAGES * 255, white=255.0, **{f"{what}_N": FACTORS})
    torch.testing.assert_close(scaled / 255, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize("turn", [-0.5, -0.2, 0.0, 0.1, 0.5])
def test_hue_agrees_with_torchvision(turn: float) -> None:
    ours = shift_hue(IMAGES * 255, torch.full((3,), turn)) / 255
    torch.testing.assert_close(ours, reference.adjust_hue(IMAGES, turn), atol=1e-5, rtol=0)


def test_colours_turn_around_the_circle() -> None:
    red_green_blue_gray = torch.tensor([[255.0, 0, 0], [0, 255, 0], [0, 0, 255], [80, 80, 80]]).T[None, :, None]
    turned = shift_hue(red_green_blue_gray, torch.tensor([1 / 3]))[0, :, 0].T
    expected = torch.tensor([[0.0, 255, 0], [0, 0, 255], [255, 0, 0], [80, 80, 80]])
    torch.testing.assert_close(turned, expected, atol=1e-3, rtol=0)


def test_pictures_of_one_channel_have_no_colours() -> None:
    gray = IMAGES[:, :1]
    assert torch.equal(shift_hue(gray, FACTORS), gray)
    assert torch.equal(adjust(gray, white=1.0, saturation_N=FACTORS), gray)
