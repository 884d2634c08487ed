"""How well the CPU runtime and torch agree on real photographs and captions.

python scripts/agreement.py DATA     (DATA holds images/ and dev.csv: `image,caption`)
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from searchengine import encoders, images
from searchengine.encoders.torch_encoder import TorchEncoder
from searchengine.types import Embeddings


def main(data: Path, model: str = "builtin") -> None:
    with (data / "dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = list(dict.fromkeys(row["image"] for row in rows))
    own = np.array([names.index(row["image"]) for row in rows])
    folder = encoders.find(model)
    runtimes = {"graphs": encoders.load(folder, "cpu"), "torch": TorchEncoder(folder, "cpu")}
    found = {}
    for name, encoder in runtimes.items():
        pixels = [
            encoder.preprocess(images.read(str(data / "images" / n), min_side=224).image)
            for n in names
        ]
        pictures = np.concatenate(
            [encoder.encode_images(np.stack(pixels[i : i + 32])) for i in range(0, len(pixels), 32)]
        )
        texts = encoder.encode_texts([row["caption"] for row in rows])
        found[name] = pictures, texts
        print(f"{name}: R@1, R@5, R@10 = {recall(texts, pictures, own)}")
    for kind, a, b in zip(("photographs", "captions"), *found.values(), strict=True):
        cosine = np.sum(a * b, axis=1)
        print(f"{kind}: cosine mean {cosine.mean():.5f}, worst {cosine.min():.5f}")


def recall(texts: Embeddings, pictures: Embeddings, own: np.ndarray) -> list[float]:
    scores = texts @ pictures.T
    rank = (scores > scores[np.arange(len(own)), own][:, None]).sum(axis=1)
    return [round(float((rank < k).mean() * 100), 2) for k in (1, 5, 10)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
