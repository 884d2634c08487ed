"""Text-to-image recall of the built-in model, through the command line as a person would use it.

    python scripts/recall_flickr8k.py DATA     (DATA holds images/ and dev.csv: `image,caption`)

Indexes the split's 1,000 photographs, asks its 5,000 captions from one file, and prints the share
of captions whose own photograph is among the first 1, 5 and 10 hits.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="builtin")
    args = parser.parse_args()
    print(json.dumps(recall(args.data.resolve(), args.model)))


def recall(data: Path, model: str = "builtin") -> dict[str, float]:
    """R@1, R@5, R@10 in percent, and the numbers of images and captions."""
    with (data / "dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "photos").mkdir()
        for image in {row["image"] for row in rows}:
            (home / "photos" / image).symlink_to(data / "images" / image)
        (home / "queries.txt").write_text(
            "".join(f"{row['caption']}\n" for row in rows), encoding="utf-8"
        )
        engine("index", str(home / "photos"), "--index", str(home / "index"), "--model", model)
        answers = engine(
            "search",
            "--from-file",
            str(home / "queries.txt"),
            "-k",
            "10",
            "--index",
            str(home / "index"),
        )
    ranks = [
        rank_of(row["image"], json.loads(line)) for row, line in zip(rows, answers, strict=True)
    ]
    shares = {f"R@{k}": round(100 * sum(r <= k for r in ranks) / len(ranks), 1) for k in (1, 5, 10)}
    return {**shares, "images": len({row["image"] for row in rows}), "captions": len(rows)}


def engine(*arguments: str) -> list[str]:
    """Run a command and return the lines it prints."""
    command = [sys.executable, "-m", "searchengine", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def rank_of(image: str, answer: dict[str, list[dict[str, str | int]]]) -> float:
    for hit in answer["hits"]:
        if Path(str(hit["path"])).name == image:
            return int(hit["rank"])
    return float("inf")


if __name__ == "__main__":
    main()
