"""The benchmarks: every ratio is measured side by side in one run.

    make bench PHOTOS=~/Pictures           (default: the demo's photographs, varied)
    python scripts/bench.py --only startup --photos DIR

Prints a Markdown table; `docs/experiments.md` keeps what was seen.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from searchengine import encoders, images
from searchengine.engine import SearchEngine
from searchengine.index import Changes, Index, NewImage
from searchengine.ingest import ingest
from searchengine.types import Encoder, ImageFile, ImageInfo

BASELINE = "import numpy, faiss, sqlalchemy, click, onnxruntime"
CORES = os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=Path(".cache/demo-photos"))
    parser.add_argument("--only", choices=BENCHMARKS, action="append")
    parser.add_argument(
        "--images", type=int, default=2000, help="photographs for the throughput runs"
    )
    args = parser.parse_args()
    sources = [
        f.absolute
        for f in images.walk(str(args.photos.expanduser().resolve()))
        if not isinstance(f, images.UnreadableFolder)
    ]
    if not sources:
        sys.exit(f"no photographs in {args.photos}; run `make demo` first, or name a folder")
    print("| benchmark | measured | beside | ratio |\n|---|---|---|---|", flush=True)
    for name in args.only or BENCHMARKS:
        BENCHMARKS[name](sources, args.images)


def row(name: str, measured: str, beside: str, ratio: str) -> None:
    print(f"| {name} | {measured} | {beside} | {ratio} |", flush=True)


@contextmanager
def varied(sources: list[str], count: int) -> Iterator[Path]:
    """A folder of `count` photographs with different bytes: a repeated one gets a longer tail."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        for number, source in enumerate(islice(cycle(sources), count)):
            content = Path(source).read_bytes() + b"\0" * (number // len(sources))
            (folder / f"{number:06}{Path(source).suffix}").write_bytes(content)
        yield folder


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def decode_all(encoder: Encoder, paths: list[str]) -> list[np.ndarray]:
    side = min(encoder.pixel_shape[1:])
    with ThreadPoolExecutor(CORES) as pool:
        return list(
            pool.map(lambda p: encoder.preprocess(images.read(p, min_side=side).image), paths)
        )


def encode_all(encoder: Encoder, pixels: list[np.ndarray]) -> None:
    for start in range(0, len(pixels), encoder.batch_size):
        encoder.encode_images(np.stack(pixels[start : start + encoder.batch_size]))


def ingestion(sources: list[str], count: int) -> None:
    """Ingestion beside the bound that decoding and encoding set together."""
    encoder = encoders.load(encoders.find("builtin"), "cpu")
    with varied(sources, count) as folder:
        paths = [str(path) for path in sorted(folder.iterdir())]
        encode_all(encoder, decode_all(encoder, paths[:64]))
        best: dict[str, float] = {}
        pixels = decode_all(encoder, paths)
        for _ in range(3):
            times = {
                "decode": timed(lambda: decode_all(encoder, paths)),
                "encode": timed(lambda: encode_all(encoder, pixels)),
            }
            with tempfile.TemporaryDirectory() as home, Index.create(home, encoder.spec) as index:
                times["ingest"] = timed(lambda: ingest(index, lambda: encoder, [folder]))
            best = {key: min(best.get(key, value), value) for key, value in times.items()}
    rates = {key: count / value for key, value in best.items()}
    bound = 1 / (1 / rates["decode"] + 1 / rates["encode"])
    row(
        "ingestion, built-in model, CPU",
        f"{rates['ingest']:.0f} images/s",
        f"bound {bound:.0f} (decode {rates['decode']:.0f}, encode {rates['encode']:.0f})",
        f"{rates['ingest'] / bound:.0%}",
    )


def plain_loop(sources: list[str], count: int) -> None:
    """Ingestion with a ViT-B/32 of random weights beside a loop of Pillow and onnxruntime fp32."""
    count = min(count, 400)
    folder_ = random_vit()
    encoder = encoders.load(folder_, "cpu")
    with varied(sources, count) as folder:
        paths = [str(path) for path in sorted(folder.iterdir())]
        encode_all(encoder, decode_all(encoder, paths[:64]))
        plain = timed(lambda: plain_pillow_loop(folder_.path, paths))
        with tempfile.TemporaryDirectory() as home, Index.create(home, encoder.spec) as index:
            ours = timed(lambda: ingest(index, lambda: encoder, [folder]))
    row(
        "ingestion, ViT-B/32, CPU",
        f"{count / ours:.1f} images/s",
        f"plain Pillow + onnxruntime fp32 loop {count / plain:.1f}",
        f"{plain / ours:.2f} x",
    )


def plain_pillow_loop(model: Path, paths: list[str]) -> None:
    """What a tutorial does: open, resize, crop, normalise, encode in batches of 32."""
    import onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession(model / "image.onnx", providers=["CPUExecutionProvider"])
    mean = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
    std = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
    batch = []
    for number, path in enumerate(paths, 1):
        image = Image.open(path).convert("RGB")
        scale = 224 / min(image.size)
        image = image.resize(
            (max(224, round(image.width * scale)), max(224, round(image.height * scale))),
            Image.Resampling.BICUBIC,
        )
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        array = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
        batch.append(((array - mean) / std).transpose(2, 0, 1))
        if len(batch) == 32 or number == len(paths):
            session.run(None, {"pixels": np.stack(batch)})
            batch = []


def random_vit() -> encoders.ModelFolder:
    """A ViT-B/32 with random weights as a model folder, made once."""
    path = Path(".cache/vit-b-32-random")
    if not path.exists():
        import open_clip
        import torch

        from searchengine.encoders.export import save_model

        torch.manual_seed(0)
        model = open_clip.create_model("ViT-B-32").eval()
        config = {
            "model_cfg": open_clip.get_model_config("ViT-B-32"),
            "preprocess_cfg": open_clip.get_model_preprocess_cfg(model),
        }
        save_model(model, config, open_clip.get_tokenizer("ViT-B-32"), path, card={"name": "vit"})
    return encoders.find(str(path.resolve()))


def startup(sources: list[str], count: int) -> None:
    """A fresh `searchengine search` on 100,000 vectors beside a process that only imports."""
    with tempfile.TemporaryDirectory() as home:
        fill_index(Path(home) / "index", 100_000)
        search = [
            sys.executable,
            "-m",
            "searchengine",
            "search",
            "a dog on the beach",
            "--index",
            f"{home}/index",
        ]
        imports = [sys.executable, "-c", BASELINE]
        pairs = [(timed(lambda: run(search)), timed(lambda: run(imports))) for _ in range(12)]
    ours, bare = (float(np.median(column)) for column in zip(*pairs[2:], strict=True))
    row(
        "fresh search process, 100,000 vectors",
        f"{ours:.3f} s",
        f"imports alone {bare:.3f} s",
        f"{ours / bare:.2f} x",
    )


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def fill_index(folder: Path, count: int, root: Path | None = None) -> None:
    """An index of the built-in model with random vectors, over real files if a root is given."""
    spec = encoders.find("builtin").spec
    rng = np.random.default_rng(0)
    with Index.create(folder, spec) as index:
        base, _ = index.add_root(root or "/nowhere")
        files = (
            list(images.walk(str(root)))
            if root
            else [ImageFile(base, f"{n:06}.jpg", 1000, n) for n in range(count)]
        )
        for start in range(0, len(files), 5000):
            part = files[start : start + 5000]
            vectors = rng.standard_normal((len(part), spec.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            info = ImageInfo(640, 480, "JPEG")
            index.write(
                Changes(
                    added=[
                        NewImage(file, f"{start + i:016}".encode(), info, vector)
                        for i, (file, vector) in enumerate(zip(part, vectors, strict=True))
                    ]
                )
            )
        index.save_snapshot()


def refresh(sources: list[str], count: int) -> None:
    """Refreshing 100,000 unchanged files beside a bare os.walk and stat over them."""
    with tempfile.TemporaryDirectory() as home:
        root = Path(home) / "photos"
        for number in range(100_000):
            if number % 500 == 0:
                (folder := root / f"{number // 500:03}").mkdir(parents=True)
            (folder / f"{number:06}.jpg").write_bytes(b"x")
        fill_index(Path(home) / "index", 0, root)
        with SearchEngine.open(Path(home) / "index") as engine:
            engine.index(root)
            pairs = [
                (timed(lambda: engine.index(root)), timed(lambda: bare_walk(root)))
                for _ in range(5)
            ]
    ours, bare = (min(column) for column in zip(*pairs, strict=True))
    row(
        "refresh of 100,000 unchanged files",
        f"{ours:.2f} s",
        f"os.walk + stat {bare:.2f} s",
        f"{ours / bare:.2f} x",
    )


def bare_walk(root: Path) -> int:
    return sum(
        os.stat(os.path.join(base, name)).st_size
        for base, _, names in os.walk(root)
        for name in names
    )


def memory(sources: list[str], count: int) -> None:
    """Peak memory of an indexing process at 1,000 and at 20,000 images."""
    peaks = []
    for number in (1_000, 20_000):
        with varied(sources, number) as folder:
            command = [
                sys.executable,
                "-m",
                "searchengine",
                "index",
                str(folder),
                "--quiet",
                "--index",
                str(folder.parent / "index"),
            ]
            peaks.append(
                int(
                    subprocess.run(
                        [sys.executable, __file__, "--peak", *command],
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout.split()[-1]
                )
            )
    row(
        "peak memory while indexing",
        f"20,000 images: {peaks[1]} MB",
        f"1,000 images: {peaks[0]} MB",
        f"{peaks[1] / peaks[0]:.2f} x",
    )


def peak_of(command: list[str]) -> None:
    """Run a command and print the largest resident size of it, in MB."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)


def vectors(sources: list[str], count: int) -> None:
    """Search among a million vectors grown from the photographs, in a process of its own."""
    script = Path(__file__).with_name("bench_vectors.py")
    folder = os.path.commonpath([os.path.dirname(source) for source in sources])
    subprocess.run([sys.executable, script, "--photos", folder], check=True)


def gpu(sources: list[str], count: int) -> None:
    """Ingestion with ViT-B/32 on CUDA beside decoding alone and the model alone."""
    if shutil.which("nvidia-smi") is None:
        row("ingestion, ViT-B/32, CUDA", "no CUDA device here", "-", "-")
        return
    encoder = encoders.load(random_vit(), "cuda")
    with varied(sources, count) as folder:
        paths = [str(path) for path in sorted(folder.iterdir())]
        pixels: list[np.ndarray] = []
        decode = count / timed(lambda: pixels.extend(decode_all(encoder, paths)))
        encode_all(encoder, pixels)
        encode = count / timed(lambda: encode_all(encoder, pixels))
        with tempfile.TemporaryDirectory() as home, Index.create(home, encoder.spec) as index:
            ours = count / timed(lambda: ingest(index, lambda: encoder, [folder]))
    row(
        "ingestion, ViT-B/32, CUDA",
        f"{ours:.0f} images/s",
        f"decode alone {decode:.0f}, model alone {encode:.0f}",
        f"{ours / min(decode, encode):.0%}",
    )


BENCHMARKS: dict[str, Callable[[list[str], int], None]] = {
    "ingestion": ingestion,
    "plain": plain_loop,
    "startup": startup,
    "refresh": refresh,
    "memory": memory,
    "vectors": vectors,
    "gpu": gpu,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak_of(sys.argv[2:])
    else:
        main()
