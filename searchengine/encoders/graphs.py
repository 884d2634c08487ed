"""Export a model's two towers as ONNX graphs that read their weights from the safetensors file.

A graph is small: every large tensor is ONNX *external data* that points into the model folder's
`open_clip_model.safetensors`, so weights lie on disk once, and both runtimes use the same ones.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper

from searchengine.encoders.folder import IMAGE_GRAPH, TEXT_GRAPH, WEIGHTS, ModelFolder
from searchengine.encoders.torch_encoder import load_model, one_line, quiet
from searchengine.errors import ModelError

_ONNX_TYPES = {"F32": TensorProto.FLOAT, "F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}
_ORT_DOMAIN = "com.microsoft"
_PREFIX = "model."
_SAMPLE_TEXT_LENGTH = 16


class _ImageTower(torch.nn.Module):
    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(self.model.encode_image(pixels), dim=-1)


class _TextTower(torch.nn.Module):
    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(self.model.encode_text(tokens), dim=-1)


def export_graphs(folder: ModelFolder, destination: Path) -> None:
    """Write `image.onnx` and `text.onnx` for a folder's model into `destination`.

    `destination` must hold (or come to hold) the same weights file. Raises `ModelError` when the
    architecture cannot be exported.
    """
    model = load_model(folder).eval()
    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    batch = torch.export.Dim("n")
    pixels = torch.zeros(2, 3, height, width)
    stored = _tensors_of(folder.path / WEIGHTS)
    _export(_ImageTower(model), pixels, "pixels", {0: batch}, stored, destination / IMAGE_GRAPH)

    length = int(folder.text_config.get("context_length") or 77)
    text_axes: dict[int, Any] = {0: batch}
    if "hf_model_name" in folder.text_config:  # masks padding, so short texts may stay short
        text_axes[1] = torch.export.Dim("length", max=length)
        length = min(length, _SAMPLE_TEXT_LENGTH)
    tokens = torch.ones(2, length, dtype=torch.long)
    _export(_TextTower(model), tokens, "tokens", text_axes, stored, destination / TEXT_GRAPH)


def _export(
    tower: torch.nn.Module,
    sample: torch.Tensor,
    input_name: str,
    axes: dict[int, Any],
    stored: dict[str, dict[str, Any]],
    path: Path,
) -> None:
    try:
        with quiet(), _plain_attention():
            program = torch.onnx.export(
                tower,
                (sample,),
                dynamo=True,
                dynamic_shapes=(axes,),
                input_names=[input_name],
                output_names=["embeddings"],
                optimize=False,  # it would fold the weights into tensors that are not in the file
                verbose=False,
            )
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot export {path.name}: {one_line(error)}") from error
    if program is None:
        raise ModelError(f"cannot export {path.name}: torch.onnx.export gave nothing")
    proto = program.model_proto
    _share_weights(proto.graph, stored)
    if path.name == TEXT_GRAPH:
        _multiply_in_place(proto)
    _strip(proto)
    onnx.save(proto, path)


@contextlib.contextmanager
def _plain_attention() -> Iterator[None]:
    """Turn off the fused kernel of torch's encoder layer, which has no ONNX counterpart."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


def _tensors_of(path: Path) -> dict[str, dict[str, Any]]:
    """The header of a safetensors file: name to dtype, shape and absolute byte offsets."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + length + offset for offset in entry["data_offsets"]]
    return dict(header)


def _share_weights(graph: Any, stored: dict[str, dict[str, Any]]) -> None:
    """Replace initializers that the weights file holds by references into it."""
    initializers: list[Any] = []
    casts: list[Any] = []
    for tensor in graph.initializer:
        entry = stored.get(tensor.name.removeprefix(_PREFIX))
        if entry is None or tensor.data_type != TensorProto.FLOAT or not _same(tensor, entry):
            initializers.append(tensor)
            continue
        is_float32 = entry["dtype"] == "F32"
        name = tensor.name if is_float32 else f"{tensor.name}.stored"
        initializers.append(_reference(name, entry))
        if not is_float32:
            casts += _widen(graph, name, tensor.name)
    nodes = [*casts, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)


def _same(tensor: Any, entry: dict[str, Any]) -> bool:
    # open_clip reshapes some weights as it loads them (positions, for another image size).
    return entry["dtype"] in _ONNX_TYPES and list(tensor.dims) == entry["shape"]


def _reference(name: str, entry: dict[str, Any]) -> Any:
    start, end = entry["data_offsets"]
    tensor = TensorProto(name=name, data_type=_ONNX_TYPES[entry["dtype"]], dims=entry["shape"])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", WEIGHTS), ("offset", start), ("length", end - start)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _widen(graph: Any, stored: str, name: str) -> Sequence[Any]:
    """Make `name` the float32 form of `stored`; of an embedding table, only the rows looked up."""
    users = [node for node in graph.node if name in node.input]
    if not all(node.op_type == "Gather" for node in users):
        return [helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT)]
    for node in users:
        rows = node.output[0]
        node.input[0], node.output[0] = stored, f"{rows}.stored"
        after = list(graph.node).index(node) + 1
        cast = helper.make_node("Cast", [node.output[0]], [rows], to=TensorProto.FLOAT)
        graph.node.insert(after, cast)
    return []


def _multiply_in_place(proto: Any) -> None:
    """Multiply by a transposed weight as it lies, with ONNX Runtime's own FusedMatMul.

    The text graph is run by ONNX Runtime alone, and transposing its weights when it is loaded
    takes half the time of a first query.
    """
    graph = proto.graph
    made_by = {output: node for node in graph.node for output in node.output}
    transposed = set()
    for node in graph.node:
        turn = made_by.get(node.input[1]) if node.op_type == "MatMul" else None
        source = made_by.get(turn.input[0]) if turn else None
        is_weight = source is None or (source.op_type == "Cast" and source.input[0] not in made_by)
        if turn and turn.op_type == "Transpose" and is_weight:
            transposed.add(node.input[1])
            node.op_type, node.domain, node.input[1] = "FusedMatMul", _ORT_DOMAIN, turn.input[0]
            node.attribute.append(helper.make_attribute("transB", 1))
    used = {name for node in graph.node for name in node.input}
    kept = [n for n in graph.node if not (transposed.intersection(n.output) - used)]
    del graph.node[:]
    graph.node.extend(kept)
    proto.opset_import.append(helper.make_opsetid(_ORT_DOMAIN, 1))


def _strip(proto: Any) -> None:
    """Drop the stack traces that the exporter attaches to every node, and stale shapes."""
    del proto.graph.value_info[:], proto.metadata_props[:], proto.graph.metadata_props[:]
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
