"""The recipe of a simple CLIP on Flickr8k, from parts, beside CLIP's own loss in the same run.

    python scripts/source_recipe.py WORK --pairs FILE --images DIR \
        --image-encoder timm:resnet50 --text-encoder hf:distilbert-base-uncased

M. M. Shariatnia's simple CLIP: an image encoder and a BERT, a projection head of 256 dimensions on
each, soft targets at temperature 1, batches of 32, AdamW with a rate for each part, rates lowered
when the validation loss stalls, 4 epochs, a fifth of the images held out. The second model differs
in the loss alone. Prints recall after each epoch and draws both runs to WORK/recipe.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.figure

ENGINE = [sys.executable, "-m", "searchengine"]
LOSSES = {"soft": "soft targets, as in the source", "infonce": "CLIP's loss"}
RECIPE = {
    "epochs": 4,
    "batch-size": 32,
    "micro-batch": 32,
    "validation": 0.2,
    "seed": 42,
    "image-rate": 1e-4,
    "text-rate": 1e-5,
    "head-rate": 1e-3,
    "weight-decay": 1e-3,
    "schedule": "plateau",
    "crop": 1,
    "patience": 0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--image-encoder", required=True)
    parser.add_argument("--text-encoder", required=True)
    parser.add_argument("--image-weights", help="a checkpoint file of the image encoder")
    parser.add_argument("--epochs", default=RECIPE["epochs"])
    args = parser.parse_args()
    parts = args.work / "parts"
    if not parts.exists():
        encoders = ["--image-encoder", args.image_encoder, "--text-encoder", args.text_encoder]
        heads = ["--dim", "256", "--head", "mlp", "--pooler", "cls"]
        weights = ["--image-weights", args.image_weights] if args.image_weights else []
        run("models", "build", *encoders, *weights, *heads, "--out", parts)
    found = {}
    for loss in LOSSES:
        out = args.work / loss
        options = {**RECIPE, "loss": loss, "epochs": args.epochs, "images": args.images}
        flags = [text for name, value in options.items() for text in (f"--{name}", value)]
        run("finetune", args.pairs, "--model", parts, "--out", out, *flags)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found[loss] = [json.loads(line) for line in lines]
    show(found)
    draw(found, args.work / "recipe.png")


def run(*arguments: object) -> None:
    print("$ searchengine", *arguments, flush=True)
    subprocess.run([*ENGINE, *map(str, arguments)], check=True)


def show(found: dict[str, list[dict]]) -> None:
    print(
        "| loss | epoch | training | validation | R@1 | R@5 | R@10 |\n|---|---|---|---|---|---|---|"
    )
    for loss, rows in found.items():
        for row in rows:
            recall = row["text_to_image"]
            figures = [row["loss"], row["validation_loss"], *(recall[f"R@{k}"] for k in (1, 5, 10))]
            cells = " | ".join(f"{figure:.2f}" for figure in figures)
            print(f"| {LOSSES[loss]} | {row['epoch']} | {cells} |")


def draw(found: dict[str, list[dict]], path: Path) -> None:
    figure = matplotlib.figure.Figure(figsize=(9, 4), layout="constrained")
    losses, recalls = figure.subplots(1, 2)
    for loss, rows in found.items():
        epochs = [row["epoch"] for row in rows]
        (line,) = losses.plot(epochs, [row["loss"] for row in rows], marker="o", label=LOSSES[loss])
        validation = [row["validation_loss"] for row in rows]
        losses.plot(epochs, validation, marker="o", linestyle="--", color=line.get_color())
        recall = [row["text_to_image"]["R@10"] for row in rows]
        recalls.plot(epochs, recall, marker="o", label=LOSSES[loss])
    losses.set_ylabel("loss (dashed: validation)")
    recalls.set_ylabel("text to image R@10 on validation, %")
    for axes in (losses, recalls):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
