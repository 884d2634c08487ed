"""Does "more like this" help? A simulated person marks hits; where is the photograph then?

    python -m scripts.feedback_flickr8k DATA WORK [--tune]

DATA holds dev.csv, train.csv and images/. Each caption is a query for its photograph. Among the
first ten hits but that photograph, "more" is the one whose captions share most content words, and
at least two, with the photograph's other captions; "less" is the first that shares none. Then the
single words of `relevance_flickr8k.py`: "more" is the first right hit of ten, "less" the first that
no caption names, and neither counts. `--tune` varies the constants of `query/feedback.py` on the
training photographs, where the references of a photograph itself do not count and a query is the
first seven words of a caption: the model has learned these captions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from scripts.relevance_flickr8k import PRESENT, captions_of, named, open_index
from searchengine import SearchEngine, encoders
from searchengine.encoders.reference import Evidence, Reference
from searchengine.keywords import keywords
from searchengine.query import Feedback, Judge, TextCache
from searchengine.query import feedback as marks
from searchengine.query.composition import SAMPLE, Composed
from searchengine.query.prompts import embed_texts
from searchengine.query.ranking import WINDOW, Place, Ranker

SHOWN = 10
NOWHERE = 10**6  # the rank of what is not among the first window
SIDES = {"more": (True, False), "less": (False, True), "both": (True, True)}


@dataclass(frozen=True)
class Query:
    """A text, what is relevant to it, and what makes a hit good or bad: (n,) by photograph."""

    text: str
    embedding: np.ndarray
    target: int
    shared: np.ndarray


class Collection:
    """Photographs with captions, and their index."""

    def __init__(self, engine: SearchEngine, captions: dict[str, list[str]], judge: Judge):
        self.engine, self.judge, self.captions = engine, judge, list(captions.values())
        self.index = engine.catalog
        number = {name: i for i, name in enumerate(captions)}
        ids = self.index.ids().tolist()
        self.number = {i.id: number[Path(i.path).name] for i in self.index.images(ids)}
        self.id = {number: each for each, number in self.number.items()}
        self.sample = self.index.sample(SAMPLE)

    @cached_property
    def said(self) -> tuple[dict[str, int], np.ndarray]:
        """Stem -> column, and (n, stems) whether any caption of a photograph has it."""
        counts = named(dict(enumerate(self.captions)))
        column = {stem: at for at, stem in enumerate(counts)}
        return column, np.stack(list(counts.values()), 1) > 0

    def rank(self, query: Query, feedback: Feedback) -> list[Place]:
        """At least the first window of a query's hits."""
        pull = None
        if feedback:
            marked = self.index.embeddings(feedback.ids)
            pull = marks.Pull(feedback, marked, query.embedding, self.sample)
        ranker = Ranker(self.index, self.judge, {query.text: 1.0}, pull=pull)
        return ranker.rank(Composed(query.embedding), None, WINDOW)

    def described(self, words: int | None, count: int) -> list[Query]:
        """Captions as queries; only the first words of each, and only so many, evenly."""
        pairs = [(i, c) for i, texts in enumerate(self.captions) for c in range(len(texts))]
        taken = np.linspace(0, len(pairs) - 1, min(count, len(pairs)), dtype=int)
        pairs = [pairs[at] for at in taken]
        texts = [" ".join(self.captions[i][c].split()[:words]) for i, c in pairs]
        column, said = self.said
        queries = []
        for (i, c), text, embedding in zip(pairs, texts, self.embed(texts), strict=True):
            others = [other for at, other in enumerate(self.captions[i]) if at != c]
            stems = {column[stem] for other in others for stem in keywords(other)}
            queries.append(Query(text, embedding, i, said[:, sorted(stems)].sum(1)))
        return queries

    def concepts(self, words: Sequence[str]) -> list[Query]:
        """Words as queries; what is shared is how many captions of a photograph name it."""
        counts = named(dict(enumerate(self.captions)))
        stems = [keywords(word)[0] for word in words]
        kept = [(w, counts[s]) for w, s in zip(words, stems, strict=True) if s in counts]
        kept = [(word, count) for word, count in kept if (count >= 2).sum() >= 3]
        embedded = self.embed([word for word, _ in kept])
        return [Query(w, e, -1, c) for (w, c), e in zip(kept, embedded, strict=True)]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Their embeddings as of queries, (n, dim)."""
        encode = self.engine.encoder("cpu").encode_texts
        return np.concatenate(
            [
                embed_texts(encode, "", list(texts[at : at + 256]), TextCache(None), raw=False)
                for at in range(0, len(texts), 256)
            ]
        )

    def marks(self, query: Query, places: Sequence[Place]) -> tuple[int | None, int | None]:
        """The ids that the person marks as good and as bad."""
        hits = [p.id for p in places[:SHOWN] if self.number[p.id] != query.target]
        shared = [int(query.shared[self.number[each]]) for each in hits]
        if query.target < 0:  # a word: the first right hit is as good as any
            shared = [min(each, 2) for each in shared]
        best, worst = int(np.argmax(shared)), int(np.argmin(shared))
        return (
            hits[best] if shared[best] >= 2 else None,
            hits[worst] if shared[worst] == 0 else None,
        )


# --- measuring ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """Ranks of a query's photograph, from 0, without and with each kind of marks, if any."""

    target: int
    band: str
    before: int
    after: dict[str, int]


def results(collection: Collection, queries: Sequence[Query]) -> list[Result]:
    found = []
    for query in queries:
        places = collection.rank(query, Feedback())
        more, less = collection.marks(query, places)
        after = {
            name: rank_of(collection, query, collection.rank(query, feedback))
            for name, feedback in feedbacks(more, less)
        }
        before = rank_of(collection, query, places)
        found.append(Result(query.target, places[0].relevance or "none", before, after))
    return found


def feedbacks(more: int | None, less: int | None) -> Iterator[tuple[str, Feedback]]:
    """Of each kind, where there is something to mark."""
    for name, (good, bad) in SIDES.items():
        if not (good and more is None) and not (bad and less is None):
            yield name, Feedback((more,) if good else (), (less,) if bad else ())


def rank_of(collection: Collection, query: Query, places: Sequence[Place]) -> int:
    target = collection.id[query.target]
    return next((rank for rank, place in enumerate(places) if place.id == target), NOWHERE)


def report(found: Sequence[Result]) -> None:
    print("| marks | queries | n | R@1 | R@5 | R@10 | MRR |\n|---|---|---|---|---|---|---|")
    groups = {"all": lambda r: True}
    groups |= {f"best hit {b}": lambda r, b=b: r.band == b for b in ("strong", "likely", "weak")}
    spans = {"1": (0, 1), "2 to 10": (1, 10), "11 to 100": (10, 100), "beyond": (100, NOWHERE + 1)}
    groups |= {f"rank {s}": lambda r, a=a, b=b: a <= r.before < b for s, (a, b) in spans.items()}
    for name in SIDES:
        for group, belongs in groups.items():
            kept = [r for r in found if name in r.after and belongs(r)]
            if kept:
                print(f"| {name} | {group} | {len(kept)} | {' | '.join(cells(kept, name))} |")


def cells(kept: Sequence[Result], name: str) -> list[str]:
    """Recall and mean reciprocal rank before, and the change with its 95 % interval."""
    before = np.array([r.before for r in kept])
    after = np.array([r.after[name] for r in kept])
    targets = np.array([r.target for r in kept])
    measures = [(lambda x, k=k: (x < k).astype(float)) for k in (1, 5, 10)]
    return [
        change(measure(before), measure(after), targets)
        for measure in [*measures, lambda x: 1 / (x + 1)]
    ]


def change(before: np.ndarray, after: np.ndarray, targets: np.ndarray) -> str:
    """Whole photographs are drawn: the captions of one are not independent."""
    groups, place = np.unique(targets, return_inverse=True)
    sums, sizes = np.bincount(place, after - before), np.bincount(place)
    drawn = np.random.default_rng(0).multinomial(len(groups), [1 / len(groups)] * len(groups), 2000)
    low, high = 100 * np.percentile((drawn @ sums) / (drawn @ sizes), [2.5, 97.5])
    mean = f"{100 * before.mean():.1f} {100 * (after - before).mean():+.1f}"
    return f"{mean} ({low:+.1f} to {high:+.1f})"


def report_concepts(collection: Collection, queries: Sequence[Query]) -> None:
    """Precision of the first ten hits that are not marked."""
    before: dict[str, list[float]] = {name: [] for name in SIDES}
    after: dict[str, list[float]] = {name: [] for name in SIDES}
    for query in queries:
        places = collection.rank(query, Feedback())
        for name, feedback in feedbacks(*collection.marks(query, places)):
            for kept, ranking in (
                (before, places),
                (after, collection.rank(query, feedback)),
            ):
                rest = [p.id for p in ranking if p.id not in feedback.ids][:SHOWN]
                right = [query.shared[collection.number[each]] >= 2 for each in rest]
                kept[name].append(float(np.mean(right)))
    for name in SIDES:
        old, new = np.array(before[name]), np.array(after[name])
        told = change(old, new, np.arange(len(old)))
        print(f"{name}: P@10 of {len(old)} words {told}; {(new > old).sum()} better, ", end="")
        print(f"{(new < old).sum()} worse")


# --- tuning ------------------------------------------------------------------------------------


class Others(Reference):
    """References of which a photograph's own has no say."""

    def __init__(self, reference: Reference, gallery: np.ndarray):
        super().__init__(reference.embeddings, reference._text, reference.sharpness)
        self._gallery = gallery

    def beside(self, images: np.ndarray) -> Evidence:
        """What the other references say of images that are in the gallery."""
        cosines = self.embeddings @ images.T
        cosines[(images @ self._gallery.T).argmax(1), np.arange(len(images))] = -1
        return Evidence.from_cosines(cosines, self.sharpness)


@contextmanager
def constants(**changed: object) -> Iterator[None]:
    kept = {name: getattr(marks, name) for name in changed}
    for name, value in changed.items():
        setattr(marks, name, value)
    yield
    for name, value in kept.items():
        setattr(marks, name, value)


def whole(likeness: np.ndarray, keys: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Likeness to bad hits as it is, whether the query explains it or not."""
    return np.maximum(likeness - marks.UNUSUAL, 0)


def tune(collection: Collection) -> None:
    queries = collection.described(7, 1000)
    words = sorted({w for texts in collection.captions for t in texts for w in keywords(t)})
    concepts = collection.concepts(words)[::3]
    for changed in (
        *({"MORE": more} for more in (0.05, 0.1, 0.2, 0.3, 0.5)),
        *({"LESS": less} for less in (0.2, 0.4, 0.8)),
        {"UNUSUAL": 0.0},
        *({"_unexplained": whole, "LESS": less} for less in (0.1, 0.4)),
    ):
        print("\n", {name: getattr(value, "__name__", value) for name, value in changed.items()})
        with constants(**changed):
            report(results(collection, queries))
            report_concepts(collection, concepts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--tune", action="store_true")
    args = parser.parse_args()
    reference = Reference.open(encoders.find("builtin"))
    captions = captions_of(args.data / ("train.csv" if args.tune else "dev.csv"))
    engine = open_index(args.data, list(captions), args.work / "train" if args.tune else args.work)
    collection = Collection(engine, captions, Judge(reference, True))
    if args.tune:
        gallery = engine.catalog.embeddings([collection.id[i] for i in range(len(captions))])
        collection.judge = Judge(Others(reference, gallery), True)
        tune(collection)
    else:
        report(results(collection, collection.described(None, 10**9)))
        report_concepts(collection, collection.concepts(PRESENT))


if __name__ == "__main__":
    main()
