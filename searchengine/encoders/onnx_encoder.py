"""The CPU runtime: the folder's ONNX graphs, without importing torch.

ONNX Runtime starts fastest, so it answers texts and single pictures. OpenVINO computes fastest
(bf16 where the processor has it), so it takes batches of pictures where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.base import FolderEncoder
from searchengine.encoders.folder import IMAGE_GRAPH, TEXT_GRAPH, ModelFolder
from searchengine.errors import ModelError
from searchengine.types import Embeddings, Pixels

_FEW = 4  # up to so many pictures, compiling for OpenVINO takes longer than it saves
_THROUGHPUT = {"PERFORMANCE_HINT": "THROUGHPUT"}
_PART = 8  # pictures that one core takes at a time


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
        self._loaded: dict[str, Any] = {}
        self._loading = threading.Lock()
        self._computing = threading.Lock()

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Encode (n, 3, H, W) float32 pixels as (n, dim) normalised embeddings."""
        requests = None if len(pixels) <= _FEW else self._once("openvino", self._compile)
        if requests is None:
            session = self._once(IMAGE_GRAPH, self._session)
            return cast(Embeddings, session.run(None, {"pixels": pixels})[0])
        embeddings = np.empty((len(pixels), self.spec.dim), np.float32)

        def store(request: Any, start: int) -> None:
            embeddings[start : start + _PART] = request.get_output_tensor(0).data

        with self._computing:  # the queue has one callback for all its requests
            requests.set_callback(store)
            for start in range(0, len(pixels), _PART):
                requests.start_async([pixels[start : start + _PART]], start)
            requests.wait_all()
        return embeddings

    def _encode_tokens(self, tokens: NDArray[np.int64]) -> Embeddings:
        session = self._once(TEXT_GRAPH, self._session)
        return cast(Embeddings, session.run(None, {"tokens": tokens})[0])

    @property
    def _pads_texts(self) -> bool:
        # A graph of fixed length needs padded rows; one of free length masks padding itself.
        shape = self._once(TEXT_GRAPH, self._session).get_inputs()[0].shape
        return isinstance(shape[1], int)

    def _once(self, what: str, load: Callable[[str], Any]) -> Any:
        """Load something on first use; threads that want it meanwhile wait."""
        with self._loading:
            if what not in self._loaded:
                self._loaded[what] = load(what)
            return self._loaded[what]

    def _session(self, graph: str) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if graph == TEXT_GRAPH:  # either would multiply the time to load, and gain little
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.add_session_config_entry("session.disable_prepacking", "1")
        if hasattr(os, "sched_getaffinity"):
            options.intra_op_num_threads = len(os.sched_getaffinity(0))
        path = self.folder.path / graph
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base class
            raise ModelError(f"{path}: cannot load: {_first_line(error)}") from error

    def _compile(self, _: str) -> Any | None:
        if importlib.util.find_spec("openvino") is None:
            return None
        # Without this, openvino tells Google Analytics of its use, and writes to the home folder.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino

        path = self.folder.path / IMAGE_GRAPH
        try:
            # Each core works on a part of its own, which is faster than all of them on one.
            compiled = openvino.Core().compile_model(str(path), "CPU", _THROUGHPUT)
            return openvino.AsyncInferQueue(compiled)
        except RuntimeError as error:
            raise ModelError(f"{path}: cannot load: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
