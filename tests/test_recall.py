"""The built-in model's recall through the command line, on photographs it never saw."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts.recall_flickr8k import recall

DATA = os.environ.get("SEARCHENGINE_DATA", "")


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="SEARCHENGINE_DATA does not name the Flickr8k folder")
def test_flickr8k_development_split() -> None:
    found = recall(Path(DATA))
    assert (found["images"], found["captions"]) == (1000, 5000)
    assert found["R@10"] >= 62
