"""Recurrent layers, attention and transformers, from PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from cases import File, draw, fill, gradients, module_case, same, turned
from torch import nn


def cell(module: nn.RNNBase, suffix: str = "") -> dict[str, Any]:
    """Our names for a recurrent layer of PyTorch. Its two biases are one of ours."""
    w, u = getattr(module, f"weight_ih_l0{suffix}"), getattr(module, f"weight_hh_l0{suffix}")
    return {"wx": (w, turned), "wh": (u, turned), "b": (getattr(module, f"bias_ih_l0{suffix}"), same)}


def still(module: nn.RNNBase) -> None:
    """No second biases."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if name.startswith("bias_hh"):
                p.zero_()


def sequences() -> None:
    file = File("sequences")
    x = draw(2, 5, 3)
    rnn, lstm, gru = (kind(3, 4, batch_first=True) for kind in (nn.RNN, nn.LSTM, nn.GRU))
    both = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    for m in (rnn, lstm, gru, both):
        fill(m)
        still(m)
    module_case(file, "rnn", lambda x: rnn(x)[0], cell(rnn), x.clone())
    module_case(file, "lstm", lambda x: lstm(x)[0], cell(lstm), x.clone())
    with torch.no_grad():
        gru.bias_hh_l0[8:].copy_(draw(4))
    names = {**cell(gru), "bn": (gru.bias_hh_l0, lambda t: t[8:])}
    module_case(file, "gru", lambda x: gru(x)[0], names, x.clone())
    h, c = draw(2, 4), draw(2, 4)
    hs, (last, memory) = lstm(x, (h[None], c[None]))
    values = {k: change(t) for k, (t, change) in cell(lstm).items()}
    file.case("lstm_states", [values, x, h, c], [hs, last[0], memory[0]])
    for name, module in (("rnn_states", rnn), ("gru_states", gru)):
        names_of = names if module is gru else cell(rnn)
        hs, last = module(x, h[None])
        file.case(name, [{k: change(t) for k, (t, change) in names_of.items()}, x, h], [hs, last[0]])
    bent = nn.RNN(3, 4, batch_first=True, nonlinearity="relu")
    fill(bent)
    still(bent)
    module_case(
        file, "rnn_relu", lambda x: bent(x)[0], {f"0.{k}": p for k, p in cell(bent).items()}, x.clone()
    )
    ahead = {f"0.ahead.{k}": p for k, p in cell(both).items()}
    back = {f"0.back.{k}": p for k, p in cell(both, "_reverse").items()}
    module_case(file, "bidirectional", lambda x: both(x)[0], {**ahead, **back}, x.clone())
    attention_cases(file)
    place, rate = torch.arange(5.0)[:, None], torch.exp(torch.arange(0, 6, 2) * (-math.log(10000.0) / 6))
    encoding = torch.zeros(5, 6)  # as in PyTorch's tutorial of the transformer
    encoding[:, 0::2], encoding[:, 1::2] = torch.sin(place * rate), torch.cos(place * rate)
    file.case("encoding", [], [encoding])
    file.write()


def projections(m: nn.MultiheadAttention, prefix: str = "") -> dict[str, Any]:
    """Our names for PyTorch's joint projection of queries, keys and values."""
    names: dict[str, Any] = {}
    for i, k in enumerate("qkv"):
        names[f"{prefix}w{k}"] = (m.in_proj_weight, lambda t, i=i: t[6 * i : 6 * i + 6].T)
    names[f"{prefix}wo"] = (m.out_proj.weight, turned)
    for i, k in enumerate("qkv"):
        names[f"{prefix}b{k}"] = (m.in_proj_bias, lambda t, i=i: t[6 * i : 6 * i + 6])
    names[f"{prefix}bo"] = (m.out_proj.bias, same)
    return names


def normed(m: nn.LayerNorm, prefix: str) -> dict[str, Any]:
    return {f"{prefix}scale": (m.weight, same), f"{prefix}shift": (m.bias, same)}


def fed(first: nn.Linear, second: nn.Linear) -> dict[str, Any]:
    pairs = (("1", first), ("2", second))
    return {
        f"feed.{k}{n}": p for n, m in pairs for k, p in (("w", (m.weight, turned)), ("b", (m.bias, same)))
    }


def attended(file: File) -> None:
    """The function: plain, causal, and with keys of which only the first three are seen."""
    q, k, v, ct = draw(2, 2, 4, 3), draw(2, 2, 5, 3), draw(2, 2, 5, 3), draw(2, 2, 4, 3)
    seen = (torch.arange(5) < 3)[None, :].expand(4, 5)
    found = [
        gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), ct, q, k, v),
        gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), ct, q, k, v),
        gradients(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen), ct, q, k, v),
    ]
    file.case("attended", [q, k, v, np.int32(3), ct], [g for case in found for g in case])


def attention_cases(file: File) -> None:
    attended(file)
    x = draw(2, 4, 6)
    heads = nn.MultiheadAttention(6, 2, batch_first=True)
    fill(heads)
    module_case(
        file, "heads", lambda x: heads(x, x, x, need_weights=False)[0], projections(heads), x.clone()
    )  # fmt: skip
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    plain = nn.MultiheadAttention(6, 3, bias=False, batch_first=True)
    fill(plain)
    names = {k: p for k, p in projections(plain).items() if k.startswith("w")}
    module_case(
        file, "heads_plain", lambda x: plain(x, x, x, attn_mask=mask, need_weights=False)[0], names, x.clone()
    )  # fmt: skip
    feed = [nn.Linear(6, 8), nn.Linear(8, 6)]
    for m in feed:
        fill(m)
    names = {k.removeprefix("feed."): p for k, p in fed(*feed).items()}
    module_case(file, "fed", lambda x: feed[1](F.gelu(feed[0](x))), names, x.clone())
    block = nn.TransformerEncoderLayer(
        6, 2, 8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    fill(block)
    block.train()
    names = {
        **normed(block.norm1, "norm1."), **projections(block.self_attn, "attend."), **normed(block.norm2, "norm2."),
        **fed(block.linear1, block.linear2),
    }  # fmt: skip
    module_case(file, "causal_block", lambda x: block(x, src_mask=mask), names, x.clone())
    decoder = nn.TransformerDecoderLayer(
        6, 2, 8, dropout=0.0, activation="relu", batch_first=True, norm_first=True
    )
    fill(decoder)
    memory = draw(2, 3, 6)
    names = {
        **normed(decoder.norm1, "norm1."), **projections(decoder.self_attn, "attend."), **normed(decoder.norm2, "norm2."),
        **projections(decoder.multihead_attn, "look."), **normed(decoder.norm3, "norm3."),
        **fed(decoder.linear1, decoder.linear2),
    }  # fmt: skip
    module_case(
        file, "decoder", lambda x: decoder(x, memory, tgt_mask=mask), names, x.clone(), extra=[memory]
    )  # fmt: skip
