"""What an embedding must be."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import ModelError
from searchengine.types import Embeddings

NORM_TOLERANCE: Final = 1e-2


def usable(embeddings: Embeddings) -> NDArray[np.bool_]:
    """Tell which rows of (n, dim) float32 are finite and of unit norm; (n,) bool."""
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    # NaN and infinity fail the comparison too.
    return np.asarray(np.abs(np.sqrt(squares) - 1) < NORM_TOLERANCE)


def check_embeddings(embeddings: Embeddings, dim: int) -> None:
    """Refuse what FAISS would take silently.

    Raises:
        ModelError: not (n, dim) float32, not finite, or not of unit norm.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dim or embeddings.dtype != np.float32:
        raise ModelError(
            f"expected embeddings of shape (n, {dim}) and type float32, got "
            f"{embeddings.shape} {embeddings.dtype}; use the model that the index was made with"
        )
    if (bad := np.flatnonzero(~usable(embeddings))).size:
        raise ModelError(
            f"{bad.size} of {len(embeddings)} embeddings are not finite or not of unit norm "
            f"(first: row {bad[0]}); the model is damaged or does not normalise"
        )
