"""The vector index: nearest embeddings by cosine. Wraps FAISS."""

from searchengine.vectors.embeddings import check_embeddings, usable
from searchengine.vectors.files import appearing, sync_folder
from searchengine.vectors.index import VectorIndex
from searchengine.vectors.vector_store import Among, VectorStore

__all__ = [
    "Among",
    "VectorIndex",
    "VectorStore",
    "appearing",
    "check_embeddings",
    "sync_folder",
    "usable",
]
