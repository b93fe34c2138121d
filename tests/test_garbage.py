"""No garbage is looked for in a block, and it is again where it was before."""

from __future__ import annotations

import gc

import pytest

from sweeper.garbage import uncollected


def test_in_a_block() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_of_a_function_that_fails() -> None:
    @uncollected()
    def fail() -> None:
        assert not gc.isenabled()
        raise ValueError("as it must")

    with pytest.raises(ValueError, match="as it must"):
        fail()
    assert gc.isenabled()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
