"""Encoders: model folders and the two runtimes that read them.

`find` turns a model's name into its folder; `load` gives the encoder that runs best on a device.
"""

from searchengine.encoders.folder import BUILTIN, ModelFolder
from searchengine.encoders.load import load, require_torch
from searchengine.encoders.names import available, find, pulled_folder

__all__ = ["BUILTIN", "ModelFolder", "available", "find", "load", "pulled_folder", "require_torch"]
