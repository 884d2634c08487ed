"""Libraries that only some measurements need."""

from __future__ import annotations

import importlib.util

from searchengine.errors import EvaluationError, SearchEngineError

_NAMES = {"sklearn": "scikit-learn"}


def require(
    module: str,
    what: str,
    extra: str = "evaluate",
    error: type[SearchEngineError] = EvaluationError,
) -> None:
    """Raise `error`, naming the extra, where `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise error(
            f"{what} needs {_NAMES.get(module, module)}; "
            f"install it with: pip install 'searchengine[{extra}]'"
        )
