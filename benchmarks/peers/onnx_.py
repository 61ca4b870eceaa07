"""ONNX Runtime on models that PyTorch exports; inference only."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import warnings
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Peer


def make(name: str, case: Case, a: dict[str, Any], threads: int, folder: Path) -> Peer | None:
    """See `benchmarks.peers`. Exported files are kept in `folder`: the export of a large model takes longer than measuring it."""
    if case.kind in ("training", "program") or case.key.startswith(("products.product_", "kernels.")):
        return None
    import onnxruntime

    path, inputs = _model(case, a, folder)
    if path is None:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given = {i.name: value for i, value in zip(session.get_inputs(), inputs)}
    return Peer(name, lambda: session.run(None, given), lambda z: z[0])


def path_of(case: Case, folder: Path) -> Path:
    """Where the exported model of a case is kept."""
    key = hashlib.sha256(f"{case.key} {case.name} {importlib.metadata.version('torch')} 1".encode())
    return folder / f"{case.key}-{key.hexdigest()[:12]}.onnx"


def _model(case: Case, a: dict[str, Any], folder: Path) -> tuple[Path | None, list[Any]]:
    path = path_of(case, folder)
    if case.key == "products.product":
        if not path.exists():
            _save_product(path, a["a"].shape, a["b"].shape)
        return path, [a["a"], a["b"]]
    from benchmarks.peers import torch_nets

    found = torch_nets.inference(case.key, a, case.options)
    if found is None:
        return None, []
    module, inputs = found
    if not path.exists():
        _export(path, module, inputs, modern=not case.key.startswith("lstm"))
    return path, [x.numpy() for x in inputs]


def _save_product(path: Path, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    import onnx
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("a", a), ("b", b))]
    result = helper.make_tensor_value_info("c", TensorProto.FLOAT, (a[0], b[1]))
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", given, [result])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def _export(path: Path, module: Any, inputs: Any, modern: bool) -> None:
    """`modern`: with the newer exporter, which unrolls loops over time."""
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    kwargs: dict[str, Any] = {"external_data": False} if modern else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, inputs, f"{path}.new", dynamo=modern, verbose=False, **kwargs)
    Path(f"{path}.new").rename(path)
