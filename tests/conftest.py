"""What tests of several rooms share."""

from __future__ import annotations

import pytest

from searchengine.encoders import ModelFolder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A tiny CLIP of random weights, made once."""
    from tests.models import make_clip_folder

    return make_clip_folder(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def hf_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A tiny convolutional network beside a tiny BERT, of random weights, made once."""
    from tests.models import make_hf_folder

    return make_hf_folder(tmp_path_factory.mktemp("models") / "hf")
