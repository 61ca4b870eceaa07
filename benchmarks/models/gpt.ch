//! A decoder of the GPT-2 family, by default its smallest member with 124 million parameters.

from nn import Dense, Embedding, LayerNorm

/// Keys and values of every position so far, of one layer.
struct Cache(B: int, L: int, d: int, heads: int) {
    k: f32[B, heads, L, d / heads]
    v: f32[B, heads, L, d / heads]
}

model Attention(d: int, heads: int) {
    qkv: Dense(d, 3 * d)
    out: Dense(d, d)

    /// Causal self-attention over whole sequences.
    fn forward(x: f32[B, T, d]) -> f32[B, T, d] {
        let [q, k, v] = split_heads(qkv(x))
        out(merge_heads(attention(q, k, v, causal: true)))
    }

    /// One position `t`; earlier keys and values come from the cache, this one's go into it.
    fn step(x: f32[B, 1, d], mut cache: Cache(B, L, d, heads), t: i32) -> f32[B, 1, d] {
        let [q, k, v] = split_heads(qkv(x))
        cache.k[:, :, t:t+1] = k
        cache.v[:, :, t:t+1] = v
        out(merge_heads(attention(q, cache.k, cache.v, length: t + 1)))
    }

    fn split_heads(x: f32[B, T, 3 * d]) -> [f32[B, heads, T, d / heads]; 3] {
        split(x, 3, axis: -1) |> map(|p| p.reshape(B, T, heads, d / heads).transpose(0, 2, 1, 3))
    }

    fn merge_heads(x: f32[B, heads, T, d / heads]) -> f32[B, T, d] {
        x.transpose(0, 2, 1, 3).reshape(B, T, d)
    }
}

model Block(d: int, heads: int) {
    ln1: LayerNorm(d)
    attn: Attention(d, heads)
    ln2: LayerNorm(d)
    fc: Dense(d, 4 * d, activation: gelu_tanh)
    proj: Dense(4 * d, d)

    fn forward(x: f32[B, T, d]) -> f32[B, T, d] {
        let x = x + attn(ln1(x))
        x + (x |> ln2 |> fc |> proj)
    }

    fn step(x: f32[B, 1, d], mut cache: Cache(B, L, d, heads), t: i32) -> f32[B, 1, d] {
        let x = x + attn.step(ln1(x), mut cache, t)
        x + (x |> ln2 |> fc |> proj)
    }
}

model GPT(vocab: int = 50257, context: int = 1024, d: int = 768, heads: int = 12, depth: int = 12) {
    wte: Embedding(vocab, d)
    wpe: Embedding(context, d)
    blocks: [Block(d, heads); depth]
    ln_f: LayerNorm(d)

    /// What the last block leaves, normalised.
    fn hidden(ids: i32[B, T]) -> f32[B, T, d] {
        let mut x = wte(ids) + wpe(iota(T))
        for block in blocks { x = block(x) }
        ln_f(x)
    }

    fn forward(ids: i32[B, T]) -> f32[B, T, vocab] = hidden(ids) @ wte.table.T

    fn step(id: i32[B], mut caches: [Cache(B, L, d, heads); depth], t: i32) -> f32[B, vocab] {
        let mut x = wte(id[:, None]) + wpe(t)
        for (block, cache) in zip(blocks, caches) { x = block.step(x, mut cache, t) }
        (ln_f(x) @ wte.table.T)[:, 0]
    }
}

/// What training makes small.
fn objective(net: GPT, ids: i32[B, T], next: i32[B, T]) -> f32 = cross_entropy(net(ids), next)
