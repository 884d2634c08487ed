"""Training sees what the engine sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from searchengine.encoders import ModelFolder
from searchengine.encoders.torch_encoder import TorchEncoder
from searchengine.errors import ModelError
from searchengine.finetune.towers import Towers
from tests.pictures import picture

TEXTS = ["a photo of a dog", "boats", "two red boats at dusk, the pier", "a"]


@pytest.mark.parametrize("name", ["clip_folder", "hf_folder"])
def test_the_embeddings_are_those_of_the_encoder(name: str, request: pytest.FixtureRequest) -> None:
    folder: ModelFolder = request.getfixturevalue(name)
    towers, encoder = Towers(folder, "cpu"), TorchEncoder(folder, "cpu")
    towers.model.eval()
    shown = [picture(number, (50, 40)) for number in range(3)]
    pixels = torch.from_numpy(np.stack([np.array(towers.preprocess.fit(each)) for each in shown]))
    with torch.no_grad():
        images = F.normalize(towers.encode_images(pixels.permute(0, 3, 1, 2)))
        tokens, row = towers.tokenize(TEXTS, 2)
        texts = F.normalize(torch.cat([towers.encode_tokens(part) for part in tokens]))[row]
    expected = encoder.encode_images(np.stack([encoder.preprocess(each) for each in shown]))
    assert (images.numpy() * expected).sum(axis=1) == pytest.approx(1, abs=5e-3)
    assert (texts.numpy() * encoder.encode_texts(TEXTS)).sum(axis=1) == pytest.approx(1, abs=5e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_such_device(clip_folder: ModelFolder) -> None:
    with pytest.raises(ModelError, match="no CUDA device"):
        Towers(clip_folder, "cuda")
