"""Rare collections end with their block."""

from __future__ import annotations

import gc

import pytest

from crm_hygiene.garbage import few_collections


def _fail_within() -> None:
    with few_collections(), few_collections():
        assert gc.get_threshold()[0] > 700
        raise ValueError("within")


def test_the_threshold_is_put_back_whatever_happens() -> None:
    before = gc.get_threshold()
    gc.set_threshold(700, *before[1:])
    try:
        with pytest.raises(ValueError, match="within"):
            _fail_within()
        assert gc.get_threshold() == (700, *before[1:])
    finally:
        gc.set_threshold(*before)
