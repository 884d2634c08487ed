"""Fine-tuning of the built-in model: speed beside the bare model, memory over the batch size.

    python scripts/bench_training.py PAIRS --images DIR       (some hundred captioned pictures)

*bare* is forward and backward of the same batch size on tensors that lie ready: no reading, no
optimizer, no clipping. Both take turns, as the speed of a machine wanders, and the median of the
ratios counts. Prints a Markdown table; `docs/experiments.md` keeps what was seen.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from searchengine import encoders
from searchengine.captions import read_captions
from searchengine.finetune.batches import Batches
from searchengine.finetune.losses import info_nce
from searchengine.finetune.parts import Parts
from searchengine.finetune.run import Data, Run, Watchers
from searchengine.finetune.settings import Settings
from searchengine.finetune.towers import Towers

WARM_UP, STEPS, ROUNDS = 2, 8, 5
BATCHES = (64, 256, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--peak", type=int, help="only print the peak memory of one such batch")
    args = parser.parse_args()
    captioned = list(read_captions(args.pairs, args.images).images)
    if args.peak:
        train(captioned, Settings(epochs=9, batch_size=args.peak, micro_batch=64), steps=1)
        print(peak())
        return
    print("| benchmark | measured | beside | ratio |\n|---|---|---|---|", flush=True)
    settings = Settings(epochs=100, batch_size=args.batch, micro_batch=args.batch)
    rounds = [
        (bare(captioned, settings), train(captioned, settings, steps=STEPS)) for _ in range(ROUNDS)
    ]
    for beside, ours in rounds:
        print(f"{ours:.1f} beside {beside:.1f}", file=sys.stderr, flush=True)
    beside, ours = (statistics.median(each) for each in zip(*rounds, strict=True))
    ratio = statistics.median(ours / beside for beside, ours in rounds)
    print(f"| fine-tuning loop | {ours:.1f} images/s | bare {beside:.1f} | {ratio:.0%} |")
    peaks = [
        int(
            subprocess.run(
                [sys.executable, *sys.argv, "--peak", str(size)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout.split()[-1]
        )
        for size in BATCHES
    ]
    cells = ", ".join(f"{size}: {peak} MB" for size, peak in zip(BATCHES, peaks, strict=True))
    print(f"| peak memory, micro-batch 64, batch | {cells} | | {peaks[-1] / peaks[0]:.2f} x |")


def peak() -> int:
    """The largest resident size of this process, in MB; rusage would count its parent's too."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024


def bare(captioned: list, settings: Settings) -> float:
    """Images a second of forward and backward, on one batch that lies ready."""
    towers = Towers(encoders.find("builtin"), "cpu")
    batch = next(Batches(captioned, towers.preprocess, settings).epoch(0))
    tokens, _ = towers.tokenize(batch.texts, settings.micro_batch)
    Parts(towers.model, settings).train()
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            started = time.monotonic()
        towers.model.zero_grad()
        texts = torch.cat([towers.encode_tokens(part) for part in tokens])
        scale = towers.model.logit_scale.exp()
        info_nce(towers.encode_images(batch.pixels[0]), texts, batch.fits, scale).backward()
    return STEPS * settings.batch_size / (time.monotonic() - started)


def train(captioned: list, settings: Settings, steps: int) -> float:
    """Images a second of the loop, once it is warm."""
    moments: list[float] = []
    stop = threading.Event()

    def watch(_: object) -> None:
        moments.append(time.monotonic())
        if len(moments) >= WARM_UP + steps:
            stop.set()

    with tempfile.TemporaryDirectory() as home:
        data = Data(captioned, captioned[:4])
        run = Run(encoders.find("builtin"), data, Path(home) / "out", settings, "cpu")
        run.train(Watchers(step=watch), stop=stop)
    return steps * settings.batch_size / (moments[-1] - moments[WARM_UP - 1])


if __name__ == "__main__":
    main()
