"""What outlives a look for garbage is not looked at again while a driver runs, and is afterwards."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from sweeper.sweep.pauses import collecting_less, switching_often


class Node:
    """May be in a cycle."""

    other: Node


def cycle() -> Node:
    one, two = Node(), Node()
    one.other, two.other = two, one
    return one


def test_new_garbage_is_collected_and_old_objects_wait() -> None:
    assert gc.get_freeze_count() == 0
    old = cycle()
    old_reference = weakref.ref(old)
    with collecting_less():
        kept, new = cycle(), cycle()
        kept_reference, new_reference = weakref.ref(kept), weakref.ref(new)
        del old, new
        gc.collect()
        assert new_reference() is None
        assert old_reference() is not None
        del kept
        gc.collect()
        assert kept_reference() is not None
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert old_reference() is None
    assert kept_reference() is None


def test_what_a_process_left_out_by_itself_stays_out() -> None:
    gc.freeze()
    try:
        n = gc.get_freeze_count()
        with pytest.raises(RuntimeError), collecting_less():
            raise RuntimeError
        assert gc.get_freeze_count() >= n
    finally:
        gc.unfreeze()


def test_threads_take_turns_often() -> None:
    before = sys.getswitchinterval()
    with switching_often():
        assert sys.getswitchinterval() < 0.001
    assert sys.getswitchinterval() == before
