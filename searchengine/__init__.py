"""A text-to-image search engine: find pictures by words or by example.

`SearchEngine` is the whole of it; the modules below it are public too. It is imported on first
use, so that `searchengine --help` answers at once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from searchengine.engine import SearchEngine

__all__ = ["SearchEngine", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "SearchEngine":
        from searchengine.engine import SearchEngine

        return SearchEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
