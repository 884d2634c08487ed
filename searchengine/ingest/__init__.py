"""Ingestion: files to pixels to vectors to catalog, in one stream of bounded memory.

Compare folders with the catalog, read and embed what is new or changed, settle what became of
every file and commit it every few seconds, sweep what vanished, save the snapshot.
"""

from searchengine.ingest.local import LocalWorkers, list_folders
from searchengine.ingest.report import Report
from searchengine.ingest.run import ingest
from searchengine.ingest.selection import Selection
from searchengine.ingest.workers import Workers

__all__ = ["LocalWorkers", "Report", "Selection", "Workers", "ingest", "list_folders"]
