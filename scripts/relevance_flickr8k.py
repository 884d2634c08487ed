"""Are the bands strong, likely and weak to be trusted? Concepts in photographs, and things absent.

    python scripts/relevance_flickr8k.py DATA WORK [--fit]

DATA holds dev.csv, train.csv and images/. A photograph is relevant to a concept when at least two
of its five captions name it. Concepts that occur are the `--concepts` nouns below that most
photographs of the development split show; absent ones are things that no caption of it names.
Recall of whole captions is printed with each step of the ranking left out, and so is the precision
of the concepts' first hits. `--fit` prints the coefficients of `query/relevance.py`, from train.csv
alone, where the references of a photograph itself do not count.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from searchengine import SearchEngine, encoders, images
from searchengine.encoders.reference import Evidence, Reference
from searchengine.keywords import keywords
from searchengine.query import TextCache
from searchengine.query import relevance as bands
from searchengine.query.prompts import embed_texts

PRESENT_WORDS = (
    "dog man woman boy girl child water grass snow beach street rock crowd bicycle ocean mountain "
    "hat toy tree skateboard pool jacket building stick sand lake ramp park dress wave soccer hill "
    "camera wall sidewalk swing sign car boat bench baby frisbee basketball playground flower "
    "costume collar baseball table surfer sunglasses suit snowboarder slide rope road motorcycle "
    "football fence couch city chair bag window skier helmet fountain bird tennis horse guitar "
    "flag fire bus bottle bed sunset ice tire store stairs sled river puppy kayak cat tent "
    "trampoline skirt mud hockey graffiti bucket bikini dock cup cliff cigarette"
)
ABSENT_THINGS = (
    "an x-ray of a knee, a printed circuit board, a refrigerator, a microscope, a toaster, "
    "a washing machine, a grand piano, a submarine, a space shuttle, a satellite dish, "
    "a nuclear power plant, a wind turbine, a chessboard, a calculator, a stapler, a screwdriver, "
    "a light bulb, a lobster, a penguin, an octopus, a giraffe, an elephant, a zebra, a kangaroo, "
    "a crocodile, a snail, a cactus, a pineapple, a banana, broccoli, sushi, a hamburger, "
    "spaghetti, a wedding cake, a croissant, a fried egg, a teapot, a wine cellar, "
    "a dentist's chair, an operating theatre, a syringe, a stethoscope, a passport, a credit card, "
    "a bar chart, a page of sheet music, a world map, a crossword puzzle, a newspaper front page, "
    "handwriting on paper, a spreadsheet, a QR code, a keyboard and mouse, a laptop computer, "
    "a server room, a fax machine, an oscilloscope, a solar panel, an aircraft carrier, "
    "a helicopter cockpit, an oil rig, a cement mixer, a forklift, a combine harvester, "
    "a greenhouse, a beehive, a lighthouse, the Eiffel Tower, a suspension bridge at night, "
    "a volcano, a glacier, a tornado, lightning, the moon, the Milky Way, a galaxy, "
    "cells under a microscope, a fingerprint, a dinosaur fossil, a Roman coin, a suit of armor, "
    "a samurai sword, a grandfather clock, a vacuum cleaner, a toilet, a kitchen sink, "
    "a chandelier, a fireplace, a pair of scissors, a diamond ring, a lipstick, a perfume bottle, "
    "nail polish, a jigsaw puzzle, a roulette wheel, a slot machine, a tax form, a floor plan, "
    "a barcode, a thermometer"
)
PRESENT, ABSENT = PRESENT_WORDS.split(), ABSENT_THINGS.split(", ")


def captions_of(path: Path) -> dict[str, list[str]]:
    """Image name -> captions."""
    found: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["image"], []).append(row["caption"])
    return found


def named(captions: dict[str, list[str]]) -> dict[str, np.ndarray]:
    """Stem -> (n,) how many captions of each image have it."""
    found: dict[str, np.ndarray] = {}
    for number, texts in enumerate(captions.values()):
        for stem in (stem for text in texts for stem in keywords(text)):
            found.setdefault(stem, np.zeros(len(captions), int))[number] += 1
    return found


def open_index(data: Path, names: Sequence[str], work: Path) -> SearchEngine:
    """The development photographs as an index of their own."""
    folder = work / "photographs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if not (folder / name).exists():
            (folder / name).symlink_to(data / "images" / name)
    engine = SearchEngine.open(work / "index")
    engine.index(folder)
    return engine


# --- measuring ---------------------------------------------------------------------------------


def measure(data: Path, work: Path) -> None:
    captions = captions_of(data / "dev.csv")
    counts = named(captions)
    engine = open_index(data, list(captions), work)
    stem = {word: keywords(word)[0] for word in PRESENT}
    present = [word for word in PRESENT if (counts.get(stem[word], np.zeros(1)) >= 2).sum() >= 3]
    said = set(counts)
    absent = [text for text in ABSENT if not said.issuperset(keywords(text))]
    relevant = {
        w: {n for n, c in zip(captions, counts[stem[w]], strict=True) if c >= 2} for w in present
    }
    judged = {"strong": [0, 0], "likely": [0, 0]}
    silent = 0
    for word, hits in zip(present, engine.search_many(present, 200), strict=True):
        silent += hits[0].relevance == "weak"
        for hit in hits:
            if hit.relevance in judged:
                judged[hit.relevance][0] += Path(hit.path).name in relevant[word]
                judged[hit.relevance][1] += 1
    refused = [hits[0].relevance == "weak" for hits in engine.search_many(absent, 1)]
    print(f"{len(present)} concepts that occur, {len(absent)} absent things")
    for band, (right, count) in judged.items():
        print(f"precision of {band}: {right / max(1, count):.1%} of {count} hits")
    print(f"no good match: {silent / len(present):.1%} of those that occur")
    print(f"no good match: {np.mean(refused):.1%} of the absent")
    print("  found after all:", [t for t, no in zip(absent, refused, strict=True) if not no])
    ablate(engine, captions, present, relevant)


def ablate(engine: SearchEngine, captions: dict, present: list[str], relevant: dict) -> None:
    """Recall of captions and precision of concepts, each step of the ranking left out."""
    catalog = engine.catalog
    ids = sorted(catalog.ids().tolist())
    gallery = catalog.embeddings(ids)
    names = [Path(image.path).name for image in catalog.images(ids)]
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[name], text) for name, texts in captions.items() for text in texts]
    own = np.array([number for number, _ in pairs])
    right = np.array([[name in relevant[word] for name in names] for word in present])
    reference = Reference.open(encoders.find("builtin"))
    evidence = reference.beside(gallery)
    encode = engine.encoder("cpu").encode_texts
    print("| ranking | R@1 | R@5 | R@10 | concepts P@1 | P@10 |\n|---|---|---|---|---|---|")
    for name, (raw, hubness, said) in {
        "the bare cosine (`--raw`)": (True, 0.0, 0.0),
        "prompt templates for short queries": (False, 0.0, 0.0),
        "and hubness taken off descriptions": (False, bands.HUBNESS, 0.0),
        "and what people said": (False, bands.HUBNESS, 1.0),
    }.items():
        keys = []
        for texts in ([text for _, text in pairs], present):
            cosines = embed_texts(encode, "", texts, TextCache(None), raw=raw) @ gallery.T
            judge = bands.Judge(reference, True, hubness=hubness, said=said)
            keys.append(
                np.stack(
                    [
                        judge({text: 1.0}, row, evidence)[0]
                        for text, row in zip(texts, cosines, strict=True)
                    ]
                )
            )
        of_own = np.take_along_axis(keys[0], own[:, None], 1)
        places = (keys[0] > of_own).sum(1)
        recall = [f"{(places < k).mean():.1%}" for k in (1, 5, 10)]
        best = np.take_along_axis(right, np.argsort(-keys[1], 1)[:, :10], 1)
        print(f"| {name} | {' | '.join(recall)} | {best[:, 0].mean():.1%} | {best.mean():.1%} |")


# --- fitting -----------------------------------------------------------------------------------


def fit(data: Path) -> None:
    """Logistic regressions on names and on whole captions, from the training photographs."""
    from sklearn.linear_model import LogisticRegression

    captions = captions_of(data / "train.csv")
    folder = encoders.find("builtin")
    encoder, reference = encoders.load(folder, "cpu"), Reference.open(folder)
    names, counts = list(captions), named(captions)
    pixels = (
        encoder.preprocess(images.read(str(data / "images" / n), min_side=224).image) for n in names
    )
    gallery = np.concatenate(
        [encoder.encode_images(np.stack(part)) for part in batches(pixels, 32)]
    )
    rng = np.random.default_rng(0)
    words = Counter({w: int((c >= 2).sum()) for w, c in counts.items()})
    nouns = [w for w, n in words.items() if n >= 15 and len(w) > 2]
    for kind, regression in (("NAME", bands.NAME), ("DESCRIPTION", bands.DESCRIPTION)):
        features, labels = [], []
        for _ in range(3):
            chosen = rng.choice(len(names), 1000, replace=False)
            evidence = beside(reference, gallery, chosen)
            if kind == "NAME":
                texts = nouns
                right = np.stack([counts[w][chosen] >= 2 for w in nouns])
            else:
                own = rng.choice(chosen, 400, replace=False)
                texts = [captions[names[i]][rng.integers(len(captions[names[i]]))] for i in own]
                right = np.stack([share_named(t, counts, chosen) >= 0.6 for t in texts])
            queries = embed_texts(
                encoder.encode_texts, "", texts, TextCache(None), raw=kind != "NAME"
            )
            cosines = queries @ gallery[chosen].T
            for text, row, label in zip(texts, cosines, right, strict=True):
                terms = keywords(text)
                said = [np.log(reference.share_that_says(w, evidence) + bands.FLOOR) for w in terms]
                if not said:
                    continue
                base = row - (0 if kind == "NAME" else bands.HUBNESS * evidence.hubness)
                best = np.argsort(-base)[:100]
                features.append(np.stack([base, np.mean(said, 0)], 1)[best])
                labels.append(label[best])
        model = LogisticRegression(C=100, max_iter=1000)
        model.fit(np.concatenate(features), np.concatenate(labels))
        print(kind, model.coef_.round(2), model.intercept_.round(2), "now", regression)


def beside(reference: Reference, gallery: np.ndarray, chosen: np.ndarray) -> Evidence:
    """The evidence of chosen photographs, without each one's own reference."""
    cosines = reference.embeddings @ gallery[chosen].T
    cosines[chosen, np.arange(len(chosen))] = -1
    return Evidence.from_cosines(cosines, reference.sharpness)


def share_named(text: str, counts: dict[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """(n,) share of a text's words that any caption of an image has."""
    rows = [counts[w][chosen] >= 1 for w in keywords(text) if w in counts]
    return np.mean(rows, 0) if rows else np.zeros(len(chosen))


def batches(items, size):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--fit", action="store_true")
    args = parser.parse_args()
    if args.fit:
        fit(args.data)
    else:
        measure(args.data, args.work)


if __name__ == "__main__":
    main()
