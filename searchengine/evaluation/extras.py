"""Libraries that only some measurements need."""

from __future__ import annotations

import importlib.util

from searchengine.errors import EvaluationError

_NAMES = {"sklearn": "scikit-learn"}


def require(module: str, what: str) -> None:
    """Raise `EvaluationError`, naming the extra, where `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise EvaluationError(
            f"{what} needs {_NAMES.get(module, module)}; "
            "install it with: pip install 'searchengine[evaluate]'"
        )
