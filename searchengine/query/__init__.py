"""Queries: what a person asks for, what answers it, and how far each hit is to be trusted."""

from searchengine.query.answer import Answerer, Model
from searchengine.query.examples import embed_example
from searchengine.query.feedback import Feedback, Marked
from searchengine.query.relevance import Judge
from searchengine.query.request import Part, Request, SearchOptions, check_k
from searchengine.query.text_cache import TextCache

__all__ = [
    "Answerer",
    "Feedback",
    "Judge",
    "Marked",
    "Model",
    "Part",
    "Request",
    "SearchOptions",
    "TextCache",
    "check_k",
    "embed_example",
]
