"""llama.cpp on GPT-2, all numbers in f32; inference only."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, Leaves, Peer

TOLERANCE = 5e-3  # it takes gelu from a table in half precision


def make(name: str, case: Case, a: dict[str, Any], threads: int, folder: Path) -> Peer | None:
    """See `benchmarks.peers`. The model's file is kept in `folder`."""
    if case.key not in ("gpt.prompt", "gpt.token"):
        return None
    import llama_cpp

    shape = case.options
    model = llama_cpp.Llama(
        str(_file(folder, a["net"], shape)), n_ctx=shape["context"], n_batch=512, n_threads=threads,
        n_threads_batch=threads, type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32, verbose=False,
    )  # fmt: skip
    before = [] if case.key == "gpt.prompt" else a["text"].tolist()
    tokens = (a["ids"][0] if case.key == "gpt.prompt" else a["id"]).tolist()
    model.reset()
    if before:
        model.eval(before)

    def step() -> None:
        model.n_tokens = len(before)  # what came later is forgotten
        model.eval(tokens)

    def scores(_: Any) -> Any:
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(model.ctx, -1), (shape["vocab"],)).copy()

    return Peer(name, step, scores, tolerance=TOLERANCE)


def _file(folder: Path, net: Leaves, shape: dict[str, int]) -> Path:
    key = hashlib.sha256(repr(sorted(shape.items())).encode() + net["ln_f.shift"].tobytes()).hexdigest()[:12]
    path = folder / f"gpt-{key}.gguf"
    if not path.exists():
        _write(Path(f"{path}.new"), net, shape)
        Path(f"{path}.new").rename(path)
    return path


def _write(path: Path, net: Leaves, shape: dict[str, int]) -> None:
    import gguf

    out = gguf.GGUFWriter(str(path), "gpt2")
    out.add_context_length(shape["context"])
    out.add_embedding_length(shape["d"])
    out.add_feed_forward_length(4 * shape["d"])
    out.add_block_count(shape["depth"])
    out.add_head_count(shape["heads"])
    out.add_layer_norm_eps(1e-5)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list([f"t{i}" for i in range(shape["vocab"] - 1)] + ["<|endoftext|>"])
    out.add_token_types([1] * (shape["vocab"] - 1) + [3])
    out.add_token_merges(["t 1"])
    out.add_bos_token_id(shape["vocab"] - 1)
    out.add_eos_token_id(shape["vocab"] - 1)
    names = {"ln1": "attn_norm", "ln2": "ffn_norm", "fc": "ffn_up", "proj": "ffn_down"}
    names |= {"attn.qkv": "attn_qkv", "attn.out": "attn_output"}
    kinds = {"w": "weight", "b": "bias", "scale": "weight", "shift": "bias"}
    top = {"wte.table": "token_embd.weight", "wpe.table": "position_embd.weight"}
    top |= {"ln_f.scale": "output_norm.weight", "ln_f.shift": "output_norm.bias"}
    for leaf, value in net.items():
        name = top.get(leaf)
        if name is None:
            _, layer, at = leaf.split(".", 2)
            part, kind = at.rsplit(".", 1)
            name = f"blk.{layer}.{names[part]}.{kinds[kind]}"
        out.add_tensor(name, np.ascontiguousarray(value.T) if leaf.endswith(".w") else value)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
