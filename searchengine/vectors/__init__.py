"""The vector index: nearest embeddings by cosine. Wraps FAISS."""

from searchengine.vectors.embeddings import check_embeddings, usable
from searchengine.vectors.files import sync_folder
from searchengine.vectors.index import VectorIndex

__all__ = ["VectorIndex", "check_embeddings", "sync_folder", "usable"]
