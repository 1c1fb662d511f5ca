"""Writes whole models in every quantisation that Ostrom promises to run, so that check.py can compare them with llama.cpp.

    python bench/llama/variants.py SmolLM2-135M-Instruct.Q4_1.gguf FOLDER [--kinds Q4_0 Q5_K_M …]
    python bench/llama/check.py FOLDER/*.gguf --exact FOLDER/exact --tokens 32 --positions 200

Two families: the weights of the given model (of the architecture llama), and a qwen2 model with random weights, since no package registry has a
small real one. The random model has that architecture's own parts (biases of query, key and value, rotation of halves, the pre-tokenizer `qwen2`)
and rows of 512, which K quantisations need; SmolLM2's rows of 576 get the types that llama.cpp falls back to. Numbers are quantised by llama.cpp's
own code (`ggml_quantize_chunk` in xllamacpp); which tensor gets which type follows llama.cpp's mixes.
"""

import argparse
import ctypes
import pathlib

import gguf
import numpy

import llama

TYPE = gguf.GGMLQuantizationType
# Most tensors; tensors that lose the most (every third value and down projection); embedding and output.
KINDS = {
    "F16": (TYPE.F16, TYPE.F16, TYPE.F16),
    "Q8_0": (TYPE.Q8_0, TYPE.Q8_0, TYPE.Q8_0),
    "Q6_K": (TYPE.Q6_K, TYPE.Q6_K, TYPE.Q6_K),
    "Q5_K_M": (TYPE.Q5_K, TYPE.Q6_K, TYPE.Q6_K),
    "Q4_K_M": (TYPE.Q4_K, TYPE.Q6_K, TYPE.Q6_K),
    "Q4_1": (TYPE.Q4_1, TYPE.Q4_1, TYPE.Q6_K),
    "Q4_0": (TYPE.Q4_0, TYPE.Q4_0, TYPE.Q6_K),
}
FALLBACK = {TYPE.Q6_K: TYPE.Q8_0, TYPE.Q5_K: TYPE.Q5_1, TYPE.Q4_K: TYPE.Q5_0}
LAYERS, WIDTH, INNER, HEADS, KV_HEADS, HEAD = 4, 512, 1536, 8, 2, 64


class Quantiser:
    def __init__(self):
        self.lib = llama.library()
        chunk = self.lib.ggml_quantize_chunk
        chunk.restype = ctypes.c_size_t
        chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

    def __call__(self, numbers, kind):
        """Rows of 32-bit floats as rows of bytes."""
        if kind == TYPE.F16:
            return numbers.astype(numpy.float16)
        rows, columns = numbers.shape
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out = numpy.empty((rows, columns // block * size), numpy.uint8)
        numbers = numpy.ascontiguousarray(numbers, numpy.float32)
        written = self.lib.ggml_quantize_chunk(int(kind), numbers.ctypes.data, out.ctypes.data, 0, rows, columns, None)
        assert written == out.size, (written, out.size)
        return out


def type_for(name, columns, kind):
    usual, careful, outer = KINDS[kind]
    layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
    wanted = outer if name in ("token_embd.weight", "output.weight") else usual
    if ("attn_v" in name or "ffn_down" in name) and layer % 3 == 0:
        wanted = careful
    return FALLBACK[wanted] if columns % 256 and wanted in FALLBACK else wanted


def write(target, fields, replaced, tensors, kind, quantise):
    """A GGUF file with `fields` of another, some replaced, and `tensors` in 32-bit floats, quantised."""
    architecture = replaced["general.architecture"]
    writer = gguf.GGUFWriter(target, architecture)
    for field in fields:
        if field.name.startswith("GGUF.") or field.name in replaced or field.name == "general.file_type":
            continue
        if field.name.startswith("llama.") and architecture != "llama":
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    for name, value in replaced.items():
        if name != "general.architecture":
            kinds = {int: gguf.GGUFValueType.UINT32, float: gguf.GGUFValueType.FLOAT32, str: gguf.GGUFValueType.STRING}
            writer.add_key_value(name, value, kinds[type(value)])
    used = {}
    for name, numbers in tensors:
        if numbers.ndim == 1:
            writer.add_tensor(name, numbers.astype(numpy.float32))
            continue
        of = type_for(name, numbers.shape[-1], kind)
        used[of.name] = used.get(of.name, 0) + 1
        writer.add_tensor(name, quantise(numbers, of), raw_dtype=None if of == TYPE.F16 else of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{target}: {', '.join(f'{count} {of}' for of, count in sorted(used.items()))}", flush=True)


def random_qwen2(vocabulary):
    """Weights whose layers neither explode nor vanish."""
    random = numpy.random.default_rng(20261122)

    def matrix(rows, columns, scale=None):
        return (random.standard_normal((rows, columns)) * (scale or columns**-0.5)).astype(numpy.float32)

    def vector(size, mean, spread):
        return (mean + spread * random.standard_normal(size)).astype(numpy.float32)

    yield "token_embd.weight", matrix(vocabulary, WIDTH, 0.1)
    yield "output_norm.weight", vector(WIDTH, 1, 0.1)
    for layer in range(LAYERS):
        def name(part):
            return f"blk.{layer}.{part}"
        yield name("attn_norm.weight"), vector(WIDTH, 1, 0.1)
        for part, rows in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            yield name(f"attn_{part}.weight"), matrix(rows * HEAD, WIDTH)
            yield name(f"attn_{part}.bias"), vector(rows * HEAD, 0, 0.5)
        yield name("attn_output.weight"), matrix(WIDTH, HEADS * HEAD)
        yield name("ffn_norm.weight"), vector(WIDTH, 1, 0.1)
        yield name("ffn_gate.weight"), matrix(INNER, WIDTH)
        yield name("ffn_up.weight"), matrix(INNER, WIDTH)
        yield name("ffn_down.weight"), matrix(WIDTH, INNER)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    quantise = Quantiser()
    reader = gguf.GGUFReader(options.model)
    fields = list(reader.fields.values())
    architecture = reader.get_field("general.architecture").contents()
    real = [(t.name, gguf.dequantize(t.data, t.tensor_type).astype(numpy.float32)) for t in reader.tensors]
    vocabulary = len(reader.get_field("tokenizer.ggml.tokens").contents())
    qwen2 = {
        "general.architecture": "qwen2", "general.name": "random qwen2", "qwen2.block_count": LAYERS, "qwen2.context_length": 4096,
        "qwen2.embedding_length": WIDTH, "qwen2.feed_forward_length": INNER, "qwen2.attention.head_count": HEADS,
        "qwen2.attention.head_count_kv": KV_HEADS, "qwen2.attention.layer_norm_rms_epsilon": 1e-6, "qwen2.rope.freq_base": 1e6,
        "tokenizer.ggml.pre": "qwen2",
    }
    stem = pathlib.Path(options.model).stem.split(".")[0]
    for kind in options.kinds:
        write(options.folder / f"{stem}.{kind}.gguf", fields, {"general.architecture": architecture}, real, kind, quantise)
        write(options.folder / f"random-qwen2.{kind}.gguf", fields, qwen2, random_qwen2(vocabulary), kind, quantise)


if __name__ == "__main__":
    main()
