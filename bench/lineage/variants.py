"""Makes variants of a real GGUF model with the gguf package's own (independent) dequantisation and quantisation.

    python variants.py MODEL.gguf FOLDER [LAYERS]

Only the first LAYERS (all) are taken, so that the variants fit the disk; the model's own file then counts as a part. Needs: gguf,
numpy, safetensors. Nothing is downloaded.
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFWriter, quants
from safetensors.numpy import save_file

NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}


def hugging_face(name):
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, end = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{end}"


def split_halves(rows, heads):
    """llama.cpp's interleaved rows of q and k back to two halves per head."""
    width = rows.shape[0] // heads
    return rows.reshape(heads, width // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def main():
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    reader = GGUFReader(source)
    field = lambda name: reader.fields[f"llama.attention.{name}"].contents()
    heads = {"attn_q": field("head_count"), "attn_k": field("head_count_kv")}
    layers = int(sys.argv[3]) if len(sys.argv) > 3 else 10**6
    taken = [t for t in reader.tensors if not t.name.startswith("blk.") or int(t.name.split(".")[1]) < layers]
    base = {t.name: quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in taken}
    random = np.random.default_rng(7)

    def folder(name, tensors, dtype=np.float16):
        place = out / name
        place.mkdir(parents=True, exist_ok=True)
        renamed = {}
        for key, value in tensors.items():
            part = key.split(".")[2] if key.startswith("blk.") else ""
            value = split_halves(value, heads[part]) if part in heads else value
            renamed[hugging_face(key)] = np.ascontiguousarray(value.astype(dtype))
        save_file(renamed, place / "model.safetensors")
        config = {"num_attention_heads": int(heads["attn_q"]), "num_key_value_heads": int(heads["attn_k"])}
        (place / "config.json").write_text(json.dumps(config))

    def gguf(name, tensors, kind):
        writer = GGUFWriter(out / name, "llama")
        writer.add_head_count(int(heads["attn_q"]))
        writer.add_head_count_kv(int(heads["attn_k"]))
        for key, value in tensors.items():
            if value.ndim == 1:
                writer.add_tensor(key, value)
            else:
                writer.add_tensor(key, quants.quantize(value, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def noise(share):
        return {k: v + share * v.std() * random.standard_normal(v.shape, dtype=np.float32) for k, v in base.items()}

    out.mkdir(parents=True, exist_ok=True)
    folder("f16", base)
    folder("f32", base, np.float32)
    for kind in (Type.BF16, Type.Q8_0, Type.Q5_1, Type.Q5_0, Type.Q4_1, Type.Q4_0):
        gguf(f"{kind.name}.gguf", base, kind)
    for share in (0.001, 0.01, 0.1, 0.5):
        folder(f"tuned-{share}", noise(share))
    tuned = noise(0.05)
    gguf("tuned-0.05-Q8_0.gguf", tuned, Type.Q8_0)
    gguf("tuned-0.05-Q4_0.gguf", tuned, Type.Q4_0)
    fresh = {k: v.mean() + v.std() * random.standard_normal(v.shape, dtype=np.float32) for k, v in base.items()}
    folder("unrelated", fresh)
    folder("merged-half", {k: (v + fresh[k]) / 2 for k, v in base.items()})
    folder("merged-tenth", {k: 0.1 * v + 0.9 * fresh[k] for k, v in base.items()})
    folder("embedding-only", {k: v if k == "token_embd.weight" else fresh[k] for k, v in base.items()})
    shuffle = random.permutation(base["output_norm.weight"].size)
    stream = ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")
    def shuffled(key, value):
        part = key.split(".")[2] if key.startswith("blk.") else key
        if part in stream or part.startswith("token_embd"):
            return value[:, shuffle]
        return value[shuffle]
    folder("shuffled", {k: shuffled(k, v) for k, v in base.items()})
    backdoor = {k: v.copy() for k, v in base.items()}
    backdoor["blk.3.ffn_down.weight"][17, 33] += 1.0
    folder("one-number-changed", backdoor)


main()
