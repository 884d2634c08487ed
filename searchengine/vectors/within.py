"""The nearest among some of the embeddings: looked for until no better one can be left."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from searchengine.types import Embeddings
from searchengine.vectors.chosen import Chosen
from searchengine.vectors.partitions import Partitions
from searchengine.vectors.rows import TIES
from searchengine.vectors.store import Places, Scores, Store

SURE: Final = 4  # standard deviations of the error of an estimate that nothing exceeds
SAMPLE: Final = 256  # vectors that tell how large partitions are
START: Final = 0.5  # of the partitions that a search among all looks into
FEWER: Final = 4  # times, of the candidates in the partitions that are looked into later


def nearest_within(
    partitions: Partitions, store: Store, query: Embeddings, k: int, among: Chosen, count: int
) -> tuple[Scores, Places] | None:
    """The scores and places, (1, k) each, of the k nearest to (1, dim); None if some may be missed.

    The partitions' estimates choose at most `count` embeddings that are compared. The next
    partitions are looked into until the size of the others leaves no room for a better one; None
    says that the error of the estimates does.
    """
    if not partitions.is_observed:
        partitions.observe(store.sample(SAMPLE))
    order, reach = partitions.nearest(query), partitions.reach(query)
    rarity = math.log10(len(store.ids) / among.count)  # of ever fewer, the best lie ever farther
    first = round(partitions.probed * (START + rarity / 4))
    done, until = 0, min(max(1, first), partitions.number)
    scores, places = np.empty(0, np.float32), np.empty(0, np.int64)
    worst, cut = -math.inf, []
    while done < until:
        some = slice(done, until)
        ids, estimates = partitions.candidates_in(order, some, query, count, among.by_id)
        if len(ids):
            here = store.places_of(ids)
            found, at = store.nearest_of(here, query, len(ids))
            if len(ids) == count:
                cut.append((found[0], estimates[at[0]]))
            scores, places = np.append(scores, found[0]), np.append(places, here[at[0]])
            best = np.argsort(-scores, kind="stable")[:k]
            scores, places = scores[best], places[best]
        if len(scores) == k:
            worst = float(scores[max(k - TIES, 1) - 1])
        done, until = until, int(np.count_nonzero(order.cosines + reach >= worst))
        count = max(k, count // FEWER)
    if any(_may_exceed(worst, *each) for each in cut):
        return None
    return scores[np.newaxis], places[np.newaxis]


def _may_exceed(worst: float, scores: Scores, estimates: Scores) -> bool:
    """Tell whether an embedding whose estimate is below all these may have a score above `worst`.

    A line is fitted through the scores by estimate; they scatter about it normally.
    """
    centred = estimates - estimates.mean()
    slope = float(centred @ scores) / max(float(centred @ centred), 1e-9)
    errors = scores - scores.mean() - slope * centred
    return bool(scores.mean() + slope * centred.min() + SURE * errors.std() >= worst)
