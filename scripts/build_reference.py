"""Write a model's reference texts: what people called the things in captioned photographs.

    python scripts/build_reference.py PAIRS --images DIR --model builtin

Writes reference.txt (each photograph's words with the share of people who used them; no sentence,
no file name) and reference.npy (their embeddings) into the model folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchengine import encoders
from searchengine.captions import read_captions
from searchengine.encoders.reference import TEXTS, calibrate, describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--model", default="builtin")
    args = parser.parse_args()
    folder = encoders.find(args.model)
    captioned = read_captions(args.pairs, args.images).images
    lines = describe(image.captions for image in captioned)
    (folder.path / TEXTS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{calibrate(folder, encoders.load(folder, 'cpu'))} reference texts in {folder.path}")


if __name__ == "__main__":
    main()
