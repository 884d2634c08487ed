"""The CPU runtime: the folder's ONNX graphs, without importing torch.

ONNX Runtime starts fastest, so it answers texts and single pictures. OpenVINO computes fastest
(bf16 where the processor has it), so it takes batches of pictures where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.base import FolderEncoder
from searchengine.encoders.folder import IMAGE_GRAPH, TEXT_GRAPH, ModelFolder
from searchengine.errors import ModelError
from searchengine.types import Embeddings, Pixels

_FEW = 4  # up to so many pictures, compiling for OpenVINO takes longer than it saves


class OnnxEncoder(FolderEncoder):
    """Both towers as ONNX graphs on the CPU. Safe to share between threads."""

    device = "cpu"

    def __init__(self, folder: ModelFolder):
        """Raises `ModelError` when the folder has no graphs; nothing is loaded yet."""
        if not folder.has_graphs:
            raise ModelError(
                f"{folder.path} has no {IMAGE_GRAPH} and {TEXT_GRAPH}; make them with: "
                f"searchengine models export {folder.path}"
            )
        super().__init__(folder)
        self._lock = threading.Lock()

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """(n, 3, H, W) float32 pixels to (n, dim) normalised embeddings."""
        if len(pixels) <= _FEW or self._compiled is None:
            return cast(Embeddings, self._image_session.run(None, {"pixels": pixels})[0])
        with self._lock:  # a compiled model's own request serves one call at a time
            return np.array(self._compiled(pixels)[0])

    def _encode_tokens(self, tokens: NDArray[np.int64]) -> Embeddings:
        return cast(Embeddings, self._text_session.run(None, {"tokens": tokens})[0])

    @cached_property
    def _pads_texts(self) -> bool:  # type: ignore[override]
        # A graph of fixed length needs padded rows; one of free length masks padding itself.
        return isinstance(self._text_session.get_inputs()[0].shape[1], int)

    @cached_property
    def _text_session(self) -> Any:
        return self._session(TEXT_GRAPH)

    @cached_property
    def _image_session(self) -> Any:
        return self._session(IMAGE_GRAPH)

    def _session(self, graph: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        path = self.folder.path / graph
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime has no common base class
            raise ModelError(f"{path}: cannot load: {str(error).splitlines()[0]}") from error

    @cached_property
    def _compiled(self) -> Any | None:
        if importlib.util.find_spec("openvino") is None:
            return None
        import openvino

        path = self.folder.path / IMAGE_GRAPH
        try:
            return openvino.Core().compile_model(str(path), "CPU")
        except RuntimeError as error:
            raise ModelError(f"{path}: cannot load: {str(error).splitlines()[0]}") from error
