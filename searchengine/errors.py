"""Every error the engine raises on purpose. A message says what, where, and what to do next."""


class SearchEngineError(Exception):
    """Base of all errors of the engine; the command line prints it on one line and exits 1."""


class ImageError(SearchEngineError):
    """A file cannot be read as a picture."""


class ModelError(SearchEngineError):
    """A model cannot be found, loaded or exported."""


class IndexFolderError(SearchEngineError):
    """An index folder cannot be opened, read or written, or is not an index."""


class StoreError(SearchEngineError):
    """A vector store cannot be reached, refuses what it is asked, or is full."""


class ClusterError(SearchEngineError):
    """A cluster cannot be reached, has too little, or cannot do what it is asked."""


class IndexModelError(SearchEngineError):
    """The index was made by another model than the one asked for."""


class IndexChangedError(SearchEngineError):
    """Another process wrote to the index while this one was writing."""


class QueryError(SearchEngineError):
    """A query has no answer: it is empty, or names an image that does not exist."""


class CaptionError(SearchEngineError):
    """A caption file cannot be read, or holds no usable pair of an image and a text."""


class ExchangeError(SearchEngineError):
    """An index cannot be exported or merged, or what is to be imported cannot be read."""


class TrainingError(SearchEngineError):
    """Training cannot start, or cannot go on."""


class EvaluationError(SearchEngineError):
    """A model cannot be measured on what was given."""
