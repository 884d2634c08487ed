"""Duplicates: groups of pictures that are copies or a burst, and hits that show the same one."""

from searchengine.duplicates.collapse import collapse
from searchengine.duplicates.groups import KINDS, Group, Kind, find_duplicates

__all__ = ["KINDS", "Group", "Kind", "collapse", "find_duplicates"]
