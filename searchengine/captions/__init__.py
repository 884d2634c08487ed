"""Captioned images: which picture a text describes, as the usual formats write it down.

CSV and TSV tables, Flickr's `name#number` lists, JSON lines, COCO's captions, a folder of pictures
with a `.txt` beside each, WebDataset shards. All give the same `Captions`; nothing of them is ever
written.
"""

from searchengine.captions.gather import Captions
from searchengine.captions.read import read_captions

__all__ = ["Captions", "read_captions"]
