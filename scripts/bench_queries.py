"""What a query takes: a fresh process, beside rclip, and many queries from a file.

    make bench PHOTOS=~/Pictures           (default: the demo's photographs, varied)
    python scripts/bench_queries.py --only rclip --rclip /elsewhere/bin/rclip --photos DIR

rclip (https://github.com/yurijmikhalevich/rclip, measured with 3.3.0) is not a dependency: install
it into an environment of its own, and name its executable. Both get one ViT-B-32-256 with random
weights, which rclip finds where it keeps the model that it would download; so neither needs a
network. Everything compared is measured alternately in one run. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from searchengine import encoders, images
from searchengine.index import Changes, Index, NewImage
from searchengine.types import Embeddings, EncoderSpec, ImageFile, ImageInfo

BASELINE = "import numpy, faiss, sqlalchemy, click, onnxruntime"
ARCHITECTURE = "ViT-B-32-256"
MODELS = Path(".cache/rclip-comparison")
RCLIP_MODEL = "ViT-B-32-256-datacomp_s34b_b86k"  # the folder in which rclip looks for its model
MANY, FEW = 100_000, 1000

WHO = "a dog|a black dog|two dogs|a boy|a girl|a woman in a red dress|an old man|three children|"
DOES = "running|sitting|jumping|playing|standing|looking up|walking|swimming|eating|sleeping"
WHERE = "on the beach|in the snow|in the grass|on a street|near a tree|beside the water|in a field|"
WHO, WHERE = WHO + "a horse|a climber", WHERE + "on a bench|in front of a house|at night"
QUERIES = [" ".join(words) for words in product(*(part.split("|") for part in (WHO, DOES, WHERE)))]


class Bench:
    """The photographs, how often to measure, and processes as on a machine of one's own."""

    def __init__(self, sources: list[str], rounds: int, rclip: str | None):
        self.sources, self.rounds, self.rclip = sources, rounds, rclip

    def median(self, *actions: Callable[[str], object]) -> list[float]:
        """Seconds of each action on a query, a new one every time; the first round warms up."""
        fresh = islice(cycle(QUERIES[::37]), self.rounds + 1)
        rounds = [[timed(action, query) for action in actions] for query in fresh]
        return [statistics.median(column) for column in zip(*rounds[1:], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, default=Path(".cache/demo-photos"))
    parser.add_argument("--only", choices=BENCHMARKS, action="append")
    parser.add_argument("--rounds", type=int, default=11, help="processes of each kind")
    parser.add_argument("--rclip", default=shutil.which("rclip"), help="its executable")
    args = parser.parse_args()
    found = images.walk(str(args.photos.expanduser().resolve()))
    sources = [f.absolute for f in found if not isinstance(f, images.UnreadableFolder)]
    if not sources:
        sys.exit(f"no photographs in {args.photos}; run `make demo` first, or name a folder")
    print("| benchmark | measured | beside | ratio |\n|---|---|---|---|", flush=True)
    for name in args.only or BENCHMARKS:
        BENCHMARKS[name](Bench(sources, args.rounds, args.rclip))


def row(name: str, measured: str, beside: str, ratio: str) -> None:
    print(f"| {name} | {measured} | {beside} | {ratio} |", flush=True)


def timed(action: Callable[..., object], *args: str) -> float:
    started = time.perf_counter()
    action(*args)
    return time.perf_counter() - started


@contextmanager
def workplace() -> Iterator[tuple[Path, Callable[..., None]]]:
    """A folder, and what runs a command with an empty text cache and with compiled sources."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        # As after an installation: who switches bytecode off would measure Python's compiler.
        env |= {"XDG_CACHE_HOME": f"{home}/cache", "PYTHONPYCACHEPREFIX": f"{home}/bytecode"}
        env |= {"RCLIP_DATADIR": f"{home}/rclip"}

        def run(*command: str, **options: Any) -> None:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
            done = subprocess.run(command, env=env, check=False, **(quiet | options))
            if done.returncode:
                sys.exit(f"{' '.join(command)} failed: {(done.stderr or b'').decode()}")

        yield home, run


def searchengine(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "searchengine", *arguments]


def embeddings(count: int, dim: int) -> Iterator[tuple[int, Embeddings]]:
    """Random vectors of length 1, block by block, each with the number of its first one."""
    rng = np.random.default_rng(0)
    for start in range(0, count, 5000):
        vectors = rng.standard_normal((min(5000, count - start), dim)).astype(np.float32)
        yield start, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill_index(folder: Path, spec: EncoderSpec, root: Path) -> None:
    """An index of 100,000 pictures that do not exist."""
    with Index.create(folder, spec) as index:
        base, _ = index.add_root(root)
        info = ImageInfo(640, 480, "JPEG")
        for start, vectors in embeddings(MANY, spec.dim):
            files = (ImageFile(base, f"{start + n:06}.jpg", 1000, n) for n in range(len(vectors)))
            added = [
                NewImage(file, file.path.encode(), info, vector)
                for file, vector in zip(files, vectors, strict=True)
            ]
            index.write(Changes(added=added))
        index.save_snapshot()


def fill_rclip(database: Path, root: Path) -> None:
    """The same in the tables that rclip has made."""
    into = (
        "INSERT INTO images (filepath, modified_at, size, vector, hash) VALUES (?, 0, 1000, ?, ?)"
    )
    with closing(sqlite3.connect(database)) as db, db:
        for start, vectors in embeddings(MANY, 512):
            names = (f"{start + n:06}" for n in range(len(vectors)))
            db.executemany(
                into,
                [
                    (f"{root}/{name}.jpg", vector.tobytes(), name)
                    for name, vector in zip(names, vectors, strict=True)
                ],
            )


def startup(bench: Bench) -> None:
    """A fresh `searchengine search` with the built-in model beside a process that only imports."""
    with workplace() as (home, run):
        fill_index(home / "index", encoders.find("builtin").spec, home)
        index = ["--index", f"{home}/index"]
        new, again, bare = bench.median(
            lambda query: run(*searchengine("search", query, *index)),
            lambda query: run(*searchengine("search", query, *index)),
            lambda _: run(sys.executable, "-c", BASELINE),
        )
    name = "fresh search process, built-in model, 100,000 images"
    for kind, seconds in (("new query", new), ("repeated query", again)):
        beside = f"imports alone {bare:.3f} s"
        row(f"{name}, {kind}", f"{seconds:.3f} s", beside, f"{seconds / bare:.2f} x")


def from_file(bench: Bench) -> None:
    """1,000 queries from a file beside 1,000 processes, of which only some are run."""
    with workplace() as (home, run):
        fill_index(home / "index", encoders.find("builtin").spec, home)
        index = ["--index", f"{home}/index"]
        run(*searchengine("search", "a first one", *index))
        queries = home / "queries.txt"
        queries.write_text("\n".join(QUERIES))
        of_file = searchengine("search", "--from-file", str(queries), "--json", *index)
        times = []
        for _ in range(3):
            shutil.rmtree(home / "cache")
            times.append(timed(lambda: run(*of_file)))
        together = statistics.median(times)
        shutil.rmtree(home / "cache")
        some = QUERIES[::50]
        alone = [timed(lambda q=q: run(*searchengine("search", q, "--json", *index))) for q in some]
    total = statistics.median(alone) * len(QUERIES)
    row(
        "1,000 queries with --from-file, 100,000 images",
        f"{together:.1f} s",
        f"1,000 processes {total:.0f} s (from {len(some)})",
        f"{total / together:.0f} x",
    )


def rclip(bench: Bench) -> None:
    """Fresh search processes beside rclip's, on photographs and on 100,000 random vectors."""
    if bench.rclip is None:
        row("beside rclip", "not measured: no rclip here; name it with --rclip", "-", "-")
        return
    model = both_models()
    version = subprocess.run([bench.rclip, "--version"], capture_output=True, text=True, check=True)
    with workplace() as (home, run):
        shutil.copytree(MODELS / "rclip", home / "rclip", copy_function=os.link)
        (elsewhere := home / "random").mkdir()
        fill_index(home / "many", model.spec, elsewhere)
        run(bench.rclip, "a first one", cwd=elsewhere)  # makes its tables
        fill_rclip(home / "rclip" / "db.sqlite3", elsewhere)
        index = ["--index", f"{home}/many"]
        beside_rclip(bench, run, f"{MANY:,} images", elsewhere, index, version.stdout.strip())
        (photos := home / "photos").mkdir()
        for number, source in enumerate(islice(cycle(bench.sources), FEW)):
            content = Path(source).read_bytes() + b"\0" * (number // len(bench.sources))
            (photos / f"{number:06}{Path(source).suffix}").write_bytes(content)
        shutil.rmtree(home / "cache")  # it knows the queries
        index = ["--index", f"{home}/real"]
        run(*searchengine("index", str(photos), "--quiet", "--model", model.name, *index))
        (home / "rclip" / "db.sqlite3").unlink()
        run(bench.rclip, "a first one", cwd=photos)  # indexes the folder that it is called in
        beside_rclip(bench, run, f"{FEW:,} photographs", photos, index, version.stdout.strip())


def beside_rclip(
    bench: Bench,
    run: Callable[..., None],
    what: str,
    folder: Path,
    index: list[str],
    version: str,
) -> None:
    """Two rows, for new and repeated queries; rclip does not look for changed files (`-n`)."""
    executable = bench.rclip or ""
    new, again, theirs = bench.median(
        lambda query: run(*searchengine("search", query, *index)),
        lambda query: run(*searchengine("search", query, *index)),
        lambda query: run(executable, "--no-indexing", query, cwd=folder),
    )
    for kind, seconds in (("new query", new), ("repeated query", again)):
        row(
            f"fresh search process, {ARCHITECTURE}, {what}, {kind}",
            f"{seconds:.3f} s",
            f"{version} {theirs:.3f} s",
            f"{seconds / theirs:.2f} x",
        )


def both_models() -> encoders.ModelFolder:
    """One model with random weights, as a model folder and as rclip's files, made once."""
    if not MODELS.exists():
        import open_clip
        import torch

        from searchengine.encoders.export import save_model
        from searchengine.encoders.load import load
        from searchengine.encoders.reference import calibrate

        torch.manual_seed(0)
        model = open_clip.create_model(ARCHITECTURE).eval()
        config = {
            "model_cfg": open_clip.get_model_config(ARCHITECTURE),
            "preprocess_cfg": open_clip.get_model_preprocess_cfg(model),
        }
        tokenizer = open_clip.get_tokenizer(ARCHITECTURE)
        partial = MODELS.with_name(f"{MODELS.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_model(model, config, tokenizer, partial / "model", card={"name": ARCHITECTURE})
        folder = encoders.find(str((partial / "model").resolve()))
        calibrate(folder, load(folder, "cpu"))  # as pulling a model does
        save_for_rclip(model, partial / "rclip")
        partial.rename(MODELS)
    return encoders.find(str((MODELS / "model").resolve()))


def save_for_rclip(model: Any, folder: Path) -> None:
    """The two ONNX graphs and the vocabulary, by the names and shapes that rclip expects."""
    import open_clip
    import torch

    (folder / RCLIP_MODEL).mkdir(parents=True)
    (folder / "tokenizer").mkdir()
    vocabulary = "bpe_simple_vocab_16e6.txt.gz"
    shutil.copy(Path(open_clip.__file__).parent / vocabulary, folder / "tokenizer" / vocabulary)

    class Text(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.model.encode_text(tokens)

    towers = {
        "visual": (model.visual, torch.zeros(1, 3, 256, 256)),
        "textual": (Text(), torch.zeros(1, 77, dtype=torch.long)),
    }
    for name, (tower, example) in towers.items():
        torch.onnx.export(
            tower,
            (example,),
            str(folder / RCLIP_MODEL / f"{name}.onnx"),
            input_names=["input"],
            output_names=["output"],
            dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
            opset_version=18,
            dynamo=False,
        )


BENCHMARKS: dict[str, Callable[[Bench], None]] = {
    "startup": startup,
    "from-file": from_file,
    "rclip": rclip,
}

if __name__ == "__main__":
    main()
