"""Seeds are told apart by every key, and the caller's state comes back."""

from __future__ import annotations

import pytest
import torch

from sweeper.training.seeding import derive_seed, seeded

CPU = torch.device("cpu")


def test_every_key_and_its_place_count() -> None:
    keys = [(0, 0), (0, 1), (1, 0), (0, 1, 1), (0, 2), (2**32 - 1, 0)]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(3, 4) == derive_seed(3, 4) < 2**64


def test_draws_in_the_block_come_from_the_seed_and_those_outside_do_not() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with seeded(5, CPU):
        first = torch.rand(2)
    with seeded(5, CPU):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.rand(2), expected)


def test_the_callers_state_comes_back_after_an_error() -> None:
    def fail() -> None:
        with seeded(5, CPU):
            raise ZeroDivisionError

    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)
