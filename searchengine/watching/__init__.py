"""Watching: folders are brought up to date whenever something happens in them."""

from searchengine.watching.run import Refresh, Timing, watch

__all__ = ["Refresh", "Timing", "watch"]
