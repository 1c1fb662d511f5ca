"""Harmless files across formats: what honest people have in model folders. None may raise an alarm."""

from __future__ import annotations

import array
import bz2
import collections
import datetime
import decimal
import fractions
import gzip
import io
import json
import lzma
import pathlib
import pickle
import struct
import tarfile
import uuid
import zipfile
import zlib

import builders
import pickles
from malicious import tarred, torch_zip, zipped

SHARED = [1, 2, 3]
LOOP: list = [1]
LOOP.append(LOOP)
OBJECTS: dict[str, object] = {
    "scalars": [None, True, False, 0, -1, 255, 65536, 2**40, -(2**70), 10**400, 1.5, -0.0, float("inf"), float("nan")],
    "complex": 3 + 4j,
    "texts": ["", "plain", "ünïcödé", "日本語", "emoji 🧪👩‍🔬", "x" * 1000, "\u202bعربي\u202c", "\ud800", "line\nbreak\\"],
    "bytes": [b"", b"\x00\xff" * 40, b"x" * 100_000, bytearray(b"abc")],
    "containers": {"tuple": (1, 2, 3, 4, 5), "set": {1, 2}, "frozenset": frozenset("ab"), "nested": [[[[()]]]]},
    "large-list": list(range(50_000)),
    "large-dict": {str(i): i for i in range(20_000)},
    "shared": [SHARED, SHARED, {"again": SHARED}],
    "loop": LOOP,
    "ordered-dict": collections.OrderedDict(a=1, b=2),
    "default-dict": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("hello"),
    "deque": collections.deque([1, 2, 3], maxlen=5),
    "dates": [datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.timedelta(1, 2), datetime.time(1, 2)],
    "date-zone": datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
    "numbers": [decimal.Decimal("1.25"), fractions.Fraction(1, 3)],
    "range-slice": [range(10), slice(1, 2, 3)],
    "uuid": uuid.UUID(int=5),
    "path": pathlib.PurePosixPath("a/b"),
    "array": array.array("d", [1.0, 2.0]),
    "vocabulary": {word: i for i, word in enumerate(["os", "system", "eval", "__import__", "subprocess.Popen", "rm -rf /"])},
    "looks-like-code": "import os; os.system('echo inert')",
    "pickle-as-text": "cos\nsystem\n(S'x'\ntR.",
}


def files() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, value in OBJECTS.items():
        for protocol in range(6):
            found[f"pickles/{name}.p{protocol}.pkl"] = pickle.dumps(value, protocol)
    for group in (pickled, trained, containers, tensors, graphs, keras, hdf5, configurations, everyday, archives, texts):
        for name, data in group().items():
            found[f"{group.__name__}/{name}"] = data
    return found


def framed(value: object) -> bytes:
    return pickle.dumps(value, 4)


def tensor_pickle(protocol: int = 2) -> bytes:
    """What torch writes for {'w': tensor}."""
    storage = b"(" + pickles.text("storage", "binunicode") + pickles.name("torch", "FloatStorage")
    storage += pickles.text("0", "binunicode") + pickles.text("cpu", "binunicode") + b"K\x10tQ"
    rebuild = pickles.name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\x00K\x04K\x04\x86K\x04K\x01\x86\x89"
    rebuild += pickles.name("collections", "OrderedDict") + b")RtR"
    state = pickles.name("collections", "OrderedDict") + b")R(" + pickles.text("w", "binunicode") + rebuild + b"u"
    return b"\x80" + bytes([protocol]) + state + b"}" + pickles.text("_metadata", "binunicode") + pickles.name("collections", "OrderedDict") + b")Rsb."


def tensor() -> bytes:
    """A tensor without values, as pickles of torch have it that no archive holds."""
    storage = pickles.name("torch.storage", "_load_from_bytes") + pickles.push(EMPTY_TORCH) + b"\x85R"
    return pickles.name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + b"K\0))\x89" + pickles.name("collections", "OrderedDict") + b")RtR"


# A file of PyTorch before 1.6 that holds nothing.
EMPTY_TORCH = b"".join(b"\x80\2" + part + b"." for part in (b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", b"M\xe9\3", b"}", b"N", b"]"))


def trained() -> dict[str, bytes]:
    """Whole optimisers, modules and distributions, as torch pickles them, and estimators with their version."""

    def adam(parameters: int, groups: int = 1) -> bytes:
        group = pickles.mapping({"params": b"](" + tensor() * parameters + b"e", "lr": pickles.push(0.1), "betas": pickles.push((0.9, 0.99))})
        known = pickles.name("collections", "defaultdict") + pickles.name("builtins", "dict") + b"\x85R("
        known += (tensor() + pickles.mapping({"step": tensor(), "exp_avg": tensor()})) * parameters + b"u"
        state = {"defaults": pickles.push({"lr": 0.1, "amsgrad": False}), "state": known, "param_groups": b"](" + group * groups + b"e"}
        return pickles.proto(2, pickles.made("torch.optim.adam", "Adam", pickles.mapping(state)))

    size = pickles.name("torch", "Size") + b")\x85R"
    shapes = {"_batch_shape": size, "_event_shape": size}
    normal = pickles.made("torch.distributions.normal", "Normal", pickles.mapping({"loc": tensor(), "scale": tensor()} | shapes))
    interval = pickles.made("torch.distributions.constraints", "_Interval", pickles.push({"lower_bound": 0.0, "upper_bound": 1.0}))
    transform = pickles.made("torch.distributions.transforms", "ExpTransform", pickles.mapping({"_cache_size": b"K\0", "_inv": b"N", "codomain": interval}))
    flow = {"base_dist": normal, "transforms": b"](" + transform + b"e"} | shapes
    tables = {table: pickles.name("collections", "OrderedDict") + b")R" for table in ("_buffers", "_modules")}
    linear = pickles.mapping({"training": b"\x88", "_parameters": pickles.mapping({"weight": tensor()})} | tables)
    ridge = pickles.push({"alpha": 1.0, "_sklearn_version": "1.9.1"})
    return {
        "adam.pkl": adam(2),
        "adam-many.pkl": adam(200),
        "adam-groups.pkl": adam(1, groups=200),
        "normal.pkl": pickles.proto(2, normal),
        "flow.pkl": pickles.proto(2, pickles.made("torch.distributions.transformed_distribution", "TransformedDistribution", pickles.mapping(flow))),
        "linear.pkl": pickles.proto(2, pickles.made("torch.nn.modules.linear", "Linear", linear)),
        "ridge.pkl": pickles.proto(2, pickles.made("sklearn.linear_model._ridge", "Ridge", ridge)),
    }


def pickled() -> dict[str, bytes]:
    two = io.BytesIO()
    for value in ([1], {"b": 2}):
        pickle.dump(value, two)
    # One pickler with one memo, and two that know nothing of each other.
    once, apart = io.BytesIO(), io.BytesIO()
    pickler = pickle.Pickler(once, 4)
    for value in ([fractions.Fraction(1, 2)], {"b": fractions.Fraction(1, 2)}, [decimal.Decimal("1.5")]):
        pickler.dump(value)
    for value in (["fractions", "decimal", "x", "y"], [decimal.Decimal(1), fractions.Fraction(1, 3), datetime.date(2026, 1, 1), datetime.timedelta(1)]):
        pickle.dump(value, apart, 4)
    fast = io.BytesIO()
    pickler = pickle._Pickler(fast, 2)
    pickler.fast = True
    pickler.dump({"a": [1, 2]})
    # As Python 2 and old pickles of torch have them: numbers, memo entries and bytes as lines of text.
    numbers = b"(dp0\nS'a'\np1\nI-12\nsS'b'\np2\nL123456789012345678901234567890L\nsS'c'\np3\nF1e+300\nsS'd'\np10\nI01\ns."
    storage = b"ctorch.storage\n_load_from_bytes\np0\n(c_codecs\nencode\np1\n(V\\u0080\\u0002N.\np2\nVlatin1\np3\ntRtR."
    return {
        "numbers-as-text.pkl": numbers,
        "numbers-as-text": numbers,
        "bytes-as-text.pkl": storage,
        "two-in-one.pkl": two.getvalue(),
        "one-pickler.pkl": once.getvalue(),
        "two-picklers.pkl": apart.getvalue(),
        "fast-mode.pkl": fast.getvalue(),
        "no-extension": framed({"a": 1}),
        "weights.bin": framed({"layer": [0.5] * 1000}),
        "python2.pkl": b"(dp0\nS'weights'\np1\n(lp2\nF0.5\naF1.5\nas.",
        **types(),
        "python2-unicode.pkl": b"(dp0\nVna\\u00efve\np1\nI01\ns.",
    }


def types() -> dict[str, bytes]:
    """Types of numpy as it writes them: parts side by side, numbers over each other, a field with a title; joblib's records and strings."""
    whole = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"

    def dtype(code: bytes, state: bytes) -> bytes:
        return b"cnumpy\ndtype\n(" + code + b"\x89\x88tR(K\x03\x8c\x01|" + state + b"tb"

    def text(value: str) -> bytes:
        return b"\x8c" + bytes([len(value)]) + value.encode()

    def record(code: bytes, fields: dict[str, tuple[bytes, int]], size: int, flags: int) -> bytes:
        names = b"(" + b"".join(map(text, fields)) + b"t"
        items = b"".join(text(name) + kind + b"K" + bytes([at]) + b"\x86" for name, (kind, at) in fields.items())
        return dtype(code, b"N" + names + b"}(" + items + b"uK" + bytes([size]) + b"K\x01K" + bytes([flags]))

    number, half, anything = dtype(text("f8"), whole + b"K\0"), dtype(text("i4"), whole + b"K\0"), dtype(text("O8"), whole + b"K\x3f")
    titled = b"N" + text("t") + b"\x85}(" + text("t") + anything + b"\x94K\0" + text("T") + b"\x87" + text("T") + b"h\0K\0" + text("T") + b"\x87uK\x08K\x01K\x1b"

    def stored(kind: bytes, data: bytes) -> bytes:
        fields = {"subclass": b"cnumpy\nndarray\n", "shape": b"K\x02\x85", "order": text("C"), "dtype": kind, "allow_mmap": b"\x88", "numpy_array_alignment_bytes": b"K\x10"}
        items = b"".join(text(key) + value for key, value in fields.items())
        return b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + items + b"ub" + data + b"."

    strings = b"cnumpy._core._internal\n_convert_to_stringdtype_kwargs\nK\x01\x85R"
    inside = b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\0\x85C\x01btR(K\x01K\x02\x85" + strings + b"\x89](\x8c\x01a\x8c\x01betb."
    return {
        "types/record.pkl": b"\x80\x04" + record(text("V16"), {"i": (number, 0), "o": (anything, 8)}, 16, 27) + b".",
        "types/numbers-overlap.pkl": b"\x80\x04" + record(text("V16"), {"a": (number, 0), "b": (half, 4), "o": (anything, 8)}, 16, 27) + b".",
        "types/title.pkl": b"\x80\x04" + dtype(text("V8"), titled) + b".",
        "types/record.joblib": stored(record(b"cnumpy\nrecord\n", {"a": (number, 0)}, 8, 16), b"\x01\xff" + bytes(16)),
        "types/strings.joblib": stored(strings, inside),
    }


def containers() -> dict[str, bytes]:
    streamed = io.BytesIO()

    class Unseekable(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            return streamed.write(data)

    with zipfile.ZipFile(Unseekable(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", b'{"a": 1}' * 100)
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as archive:
        with archive.open(zipfile.ZipInfo("x/data.json"), "w", force_zip64=True) as member:
            member.write(b"{}")
    folders = io.BytesIO()
    with zipfile.ZipFile(folders, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/naïve.txt", "text")
        archive.comment = b"made for a test"
    pax = io.BytesIO()
    with tarfile.open(fileobj=pax, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("n" * 150 + "/ünïcode.txt")
        entry.size, entry.mtime = 4, 1.5
        archive.addfile(entry, io.BytesIO(b"text"))
    gnu = io.BytesIO()
    with tarfile.open(fileobj=gnu, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("g" * 200))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "g" * 200
        archive.addfile(link)
    weights = framed({"w": [0.25] * 500})
    return {
        "torch.pt": zipped(torch_zip(tensor_pickle())),
        "torch.bin": zipped(torch_zip(tensor_pickle(), **{"archive/byteorder": b"little", "archive/.data/serialization_id": b"1234"})),
        "torch-deflated.pt": zipped(torch_zip(tensor_pickle()), zipfile.ZIP_DEFLATED),
        "streamed.zip": streamed.getvalue(),
        "zip64.zip": large.getvalue(),
        "folders.zip": folders.getvalue(),
        "empty.zip": zipped({}),
        "stored.npz": zipped({"a.npy": builders.npy("<f4", [4], b"\0" * 16)}),
        "deflated.npz": zipped({"a.npy": builders.npy("<i8", [4], b"\0" * 32)}, zipfile.ZIP_DEFLATED),
        "pax.tar": pax.getvalue(),
        "gnu.tar": gnu.getvalue(),
        "folder.tar.gz": gzip.compress(tarred({"config.json": b"{}", "w.pkl": weights})),
        "folder.tar.bz2": bz2.compress(tarred({"config.json": b"{}"})),
        "folder.tar.xz": lzma.compress(tarred({"config.json": b"{}"})),
        "gzip.joblib": gzip.compress(weights),
        "zlib.joblib": zlib.compress(weights, 3),
        "bz2.joblib": bz2.compress(weights),
        "xz.joblib": lzma.compress(weights),
        "lzma.joblib": lzma.compress(weights, format=lzma.FORMAT_ALONE),
        "text.gz": gzip.compress(b"just text\n" * 50),
    }


def tensors() -> dict[str, bytes]:
    f32 = lambda *shape: ("F32", list(shape), b"\0" * (4 * __import__("math").prod(shape)))  # noqa: E731
    chat = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    tools = (
        "{%- if tools %}{{- '<|im_start|>system\n# Tools\n\nYou may call one or more functions.\n<tools>' }}{%- for tool in tools %}{{- tool | tojson }}"
        "{%- endfor %}{{- '</tools><|im_end|>\n' }}{%- endif %}{%- set ns = namespace(last=messages|length - 1) %}{%- for message in messages[::-1] %}"
        "{%- if ns.last and message.role == 'user' and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}"
        "{%- set ns.last = loop.index0 %}{%- endif %}{%- endfor %}{%- for message in messages %}{%- if '</think>' in message.content %}"
        "{%- set content = message.content.split('</think>')[-1].lstrip('\n') %}{%- else %}{%- set content = message.content %}{%- endif %}{{- content }}{%- endfor %}"
    )
    gemma = (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
        "{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    )
    llama = (
        "{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}"
        "{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}{{- 'Today Date: ' + date_string + '\n\n' }}{%- for message in messages %}{{- message.content | trim }}{%- endfor %}"
    )
    found = {
        "one.safetensors": builders.safetensors({"w": f32(2, 3)}),
        "none.safetensors": builders.safetensors({}),
        "many.safetensors": builders.safetensors({f"layer.{i}.weight": f32(4) for i in range(300)}, metadata={"format": "pt"}),
        "empty-tensor.safetensors": builders.safetensors({"a": f32(0), "b": f32(2)}),
        "scalar.safetensors": builders.safetensors({"s": ("I64", [], b"\0" * 8)}),
        "types.safetensors": builders.safetensors({d: (d, [2], b"\0" * (2 * n)) for d, n in [("BOOL", 1), ("U8", 1), ("I8", 1), ("F16", 2), ("BF16", 2), ("F64", 8), ("F8_E4M3", 1)]}),
        "plain.gguf": builders.gguf({"general.architecture": "llama", "general.name": "Test", "llama.block_count": 2}),
        "version2.gguf": builders.gguf({"general.architecture": "llama"}, version=2),
        "vocabulary.gguf": builders.gguf({"tokenizer.ggml.tokens": ["<s>", "\u200b", "eval(", "__class__", "ü"] * 50, "tokenizer.ggml.scores": [0.5] * 250}),
        "f4.npy": builders.npy("<f4", [3], b"\0" * 12),
        "fortran.npy": builders.npy(">i2", [2, 2], b"\0" * 8, fortran=True),
        "record.npy": builders.npy([("a", "<f4"), ("b", "<i4", (2,))], [1], b"\0" * 12),
        "text.npy": builders.npy("<U5", [2], b"\0" * 40),
        "version2.npy": builders.npy("|u1", [4], b"\0" * 4, version=2),
        "scalar.npy": builders.npy("<f8", [], b"\0" * 8),
        "empty.npy": builders.npy("<f8", [0], b""),
    }
    for name, template in {"chatml": chat, "tools": tools, "gemma": gemma, "llama3": llama}.items():
        found[f"template-{name}.gguf"] = builders.gguf({"general.architecture": "x", "tokenizer.chat_template": template})
        found[f"{name}/tokenizer_config.json"] = json.dumps({"chat_template": template, "bos_token": "<s>"}).encode()
    return found


def graphs() -> dict[str, bytes]:
    operators = ["Relu", "Sigmoid", "Tanh", "Identity", "Softmax", "Exp", "Sqrt", "Abs"]
    found = {f"{op.lower()}.onnx": builders.onnx(op=op) for op in operators}
    found["microsoft.onnx"] = builders.onnx(op="Gelu", domain="com.microsoft")
    found["ml.onnx"] = builders.onnx(op="Scaler", domain="ai.onnx.ml")
    found["plain/saved_model.pb"] = builders.saved_model(["Placeholder", "MatMul", "BiasAdd", "Relu", "Identity", "NoOp"])
    text = "meta_graphs { graph_def { node { op: 'f_1' } library { function { signature { name: 'f_1' } } } } }"
    found["text/saved_model.pbtxt"] = text.encode()
    # Raw weights beside the graph that says what they are.
    raw = bytes(range(256)) * 8
    found["openvino/openvino_model.xml"] = b'<?xml version="1.0"?>\n<net name="m" version="11">\n<layers>\n</layers>\n</net>\n'
    found["openvino/openvino_model.bin"] = raw
    found["web/model.json"] = json.dumps({"format": "layers-model", "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": []}]}).encode()
    found["web/group1-shard1of1.bin"] = raw
    package = "model.mlpackage/"
    item = {"path": "com.apple.CoreML/model.mlmodel", "author": "com.apple.CoreML", "name": "model.mlmodel", "description": "CoreML Model Specification"}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": {"A": item}, "rootModelIdentifier": "A"}
    found[package + "Manifest.json"] = json.dumps(manifest).encode()
    found[package + "Data/com.apple.CoreML/model.mlmodel"] = builders.coreml_program("@model_path/weights/weight.bin")
    found[package + "Data/com.apple.CoreML/weights/weight.bin"] = builders.coreml_weights(b"\x01\x02" * 40)
    found["network.mlmodel"] = builders.coreml(500, builders.field(1, builders.field(1, "dense")))
    found["beside/model.onnx"] = builders.onnx(external="./weights.data")
    found["beside/weights.data"] = raw
    found["functions/saved_model.pb"] = builders.saved_model(["StatefulPartitionedCall"], in_function=["MatMul", "AddV2"])
    return found


def keras() -> dict[str, bytes]:
    def obj(module: str, class_name: str, /, **config: object) -> dict:
        return {"module": module, "class_name": class_name, "config": config, "registered_name": None}

    def model(*layers: dict) -> bytes:
        config = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "trainable": True, "layers": list(layers)}, "registered_name": None}
        return zipped({"metadata.json": b'{"keras_version": "3.8.0", "date_saved": "2026-01-01@00:00:00"}', "config.json": json.dumps(config).encode()})

    given = obj("keras.layers", "InputLayer", batch_shape=[None, 4], dtype="float32", name="in")
    policy = obj("keras", "DTypePolicy", name="float32")
    zeros = obj("keras.initializers", "Zeros")
    glorot = obj("keras.initializers", "GlorotUniform", seed=None)
    dense = obj("keras.layers", "Dense", units=8, activation="relu", dtype=policy, kernel_initializer=glorot, bias_initializer=zeros)
    activation = {"module": "keras.activations", "class_name": "function", "config": "relu", "registered_name": "relu"}
    part = {"class_name": "Dense", "name": "d", "config": {"units": 1, "activation": activation, "kernel_initializer": glorot}, "shared_object_id": 3}
    metadata = builders.field(2, 1) + builders.field(3, "root.layer-0") + builders.field(5, json.dumps(part))
    space = [{"class_name": "Int", "config": {"name": "units", "default": None, "conditions": [], "min_value": 1}}, {"class_name": "Choice", "config": {"values": [1]}}]
    return {
        "metadata/keras_metadata.pb": builders.field(1, metadata),
        "tuner/trial.json": json.dumps({"trial_id": "00", "hyperparameters": {"space": space, "values": {"units": 4}}, "status": "COMPLETED"}).encode(),
        "components/pipeline.json": json.dumps({"vocabulary": "vocab.txt", "net": dense, "rows": [{"class_name": "Dense"}, {"config": "x"}]}).encode(),
        "dense.keras": model(given, dense),
        "convolution.keras": model(given, obj("keras.layers", "Conv2D", filters=4, kernel_size=[3, 3]), obj("keras.layers", "Flatten")),
        "recurrent.keras": model(given, obj("keras.layers", "Bidirectional", layer=obj("keras.layers", "LSTM", units=3))),
        "quantised.keras": model(given, dense | {"config": dense["config"] | {"quantization_config": obj("keras.quantizers", "Int8QuantizationConfig", weight_quantizer=None)}}),
        "extension.keras": model(given, obj("keras_hub.src.layers.modeling.rotary_embedding", "RotaryEmbedding") | {"registered_name": "keras_hub>RotaryEmbedding"}),
        "addons.keras": model(given, obj("tensorflow_addons.layers.gelu", "GELU") | {"registered_name": "Addons>GELU"}),
        "adaptive.keras": model(given, obj("keras.layers", "AdaptiveAveragePooling1D", output_size=2)),
        "dropout.keras": model(given, obj("keras.layers", "Dropout", rate=0.5, seed=1), obj("keras.layers", "BatchNormalization")),
    }


def hdf5() -> dict[str, bytes]:
    model = json.dumps({"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {"units": 2}}]}}).encode()
    long = builders.Hdf5()
    heap = long.heap((1, len(model), model), (2, 3, b"abc"))
    inner = builders.Hdf5()
    weights = inner.object(builders.hdf5_text("backend", b"tensorflow"))
    ocean = builders.Hdf5()
    record = ocean.object(builders.HDF5_RECORD)
    bounds = ocean.object(builders.hdf5_typed("valid_range", record, b"\0" * 8))
    return {
        "configured.h5": builders.Hdf5().file(builders.hdf5_text("model_config", model)),
        "long.h5": long.file(builders.hdf5_long_text("model_config", len(model), heap)),
        "strings.h5": builders.Hdf5().file(builders.hdf5_text("PSEUDOATOM", b"vlstring"), builders.hdf5_text("FLAVOR", b"python")),
        "types.nc": ocean.file(builders.hdf5_typed("bounds", record, b"\0" * 8), members={"record": record, "data": bounds}),
        "members.h5": inner.file(members={"model_weights": weights}),
        "mapped.h5": builders.hdf5_mapped(".", "."),
    }


HYDRA = """defaults: &defaults {lr: 0.1}
optimizer:
  <<: *defaults
  _target_: torch.optim.AdamW # the usual
  lr: ${optimizer_lr}
scheduler: {_target_: torch.optim.lr_scheduler.StepLR, step_size: 10}
data:
  _target_: torch.utils.data.DataLoader
  root: {_target_: pathlib.Path, _args_: [data]}
net:
  _target_: torchvision.models.resnet18
  act: {"_target_": "torch.nn.functional.relu", "_partial_": true}
logger:
  _target_: lightning.pytorch.loggers.wandb.WandbLogger
target: encoder.weight
files:
  target: "*.txt"
"""


# What every run of Hydra writes into `.hydra/hydra.yaml`, shortened.
HYDRA_RUN = """hydra:
  run:
    dir: outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}
  launcher:
    _target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher
  sweeper:
    _target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper
    params: null
  job_logging:
    version: 1
    handlers:
      console: {class: logging.StreamHandler, stream: "ext://sys.stdout"}
      file: {class: logging.FileHandler, filename: "${hydra.job.name}.log"}
"""


# A data set of Ultralytics with a script that fetches it.
ULTRALYTICS = """path: ../datasets/coco
names: {0: person}
download: |
  from ultralytics.utils.downloads import download
  from pathlib import Path

  # Download labels ('segments' too)
  segments = True
  dir = Path(yaml['path'])  # dataset root dir
  url = 'https://github.com/ultralytics/assets/releases/download/v0.0.0/'
  urls = [url + ('coco2017labels-segments.zip' if segments else 'coco2017labels.zip')]
  download(urls, dir=dir.parent)
"""

# A bundle of MONAI, in YAML and in JSON.
MONAI = """imports:
  - $import glob
  - $import os
  - "$from pathlib import Path"
dataset_dir: /workspace/data
images: "$list(sorted(glob.glob(@dataset_dir + '/imagesTr/*.nii.gz')))"
device: "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
network_def:
  _target_: torch.nn.Linear
  in_features: 2
network: $@network_def.to(@device)
optimizer: {_target_: torch.optim.Adam, params: $@network.parameters(), lr: 0.001}
ckpt: "$os.path.join(@dataset_dir, 'model.pt')"
run:
  - $@trainer.run()
  - >-
    $[x for x in
    @images
    if x.endswith('gz')]
"""
REFERS = {
    "imports": ["$import glob", "$import os", "$from monai.utils import set_determinism"],
    "network_def": {"_target_": "torch.nn.Linear", "in_features": 2},
    "network": "$@network_def.to(@device)",
    "optimizer": {"_target_": "torch.optim.Adam", "params": "$@network.parameters()"},
    "files": "$[{'image': i} for i in sorted(glob.glob(os.path.join(@data, '*.gz')))]",
    "initialize": ["$set_determinism(seed=123)", "$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@train::trainer.run()", "$@evaluator.state.metrics.copy()", "$print(@network#0.weight)"],
}


def everyday() -> dict[str, bytes]:
    """Configurations that a fourth review found to fail a scan, or that stand next to what it got through."""
    thought = "Let's think step by step. " * 20
    called = "scipy.stats.loguniform builtins.len pathlib.Path.cwd sklearn.metrics.f1_score pandas.DataFrame torch.stack numpy.random.uniform".split()
    texts = {f"called/{name}.yaml": f"m:\n  _target_: {name}\n" for name in called}
    return {name: text.encode() for name, text in texts.items()} | {
        "run/.hydra/hydra.yaml": HYDRA_RUN.encode(),
        "few-shot.yaml": f'samples:\n  - target: "{thought}"\n  - target: \'{thought}\'\n'.encode(),
        "prompt.yaml": b"name: R & D\nprompt: |\n  What do you need?\n  * a list\n  * another\n",
        "decode.yaml": b'sizes: ${oc.decode:"[1,2]"}\nlr: 0.1\nx: ${lr}\n',
        "variable.yaml": b"cmd: $HOME/eval/run.sh (see import notes)\n",
        "api.yaml": b"- name: join\n  type: os.path.join\n",
        "README.md": b"# Use\n\n[![x](y)](z)\n\n```yaml\n_target_: os.system\n```\n",
        "components.json": b'{"x": {"_target_": "UNet"}, "y": {"_target_": "load_decathlon_datalist"}}',
        "block.jinja": b"{% set key %}role{% endset %}{% for m in messages %}{{ m[key] }}{{ names[m.role|title] }}{% endfor %}",
        "escapes.yaml": b'a: "caf\\xe9 type: b\\n class: c"\ntarget: "caf\\xe9 os"\n',
        "download.yaml": b"download: see the website, then run get.sh: it's large\nactivation: leaky-relu\n",
        "padded.txt.gz": gzip.compress(b"some text\n" * 20, mtime=0) + bytes(512),
        "windows.yaml": b"dir: C:\\data\\\nmodel: x\nrun: |\n  python a.py \\\n    --x 1\n",
        "logging.yaml": b"handlers:\n  f: {class: logging.FileHandler, filename: a.log}\n  c: {class: logging.StreamHandler}\n",
        "catalog.yaml": b"a: {type: pickle.PickleDataset, filepath: a.pkl}\n",
        "hyperparams.yaml": b"seed: !apply:speechbrain.utils.seed_everything [1]\nopt: !name:torch.optim.Adam\n  lr: !ref <lr>\n",
        "bundle/train.json": b'{"imports": ["$import glob"], "device": "$torch.device(\'cuda\')", "network": "$@net.to(@device)", "price": "$5.99"}',
        "coco.yaml": b"path: coco\nnames: {0: person}\ndownload: https://example.org/coco.zip\n",
        "coco-script.yaml": ULTRALYTICS.encode(),
        "yolo.yaml": b"nc: 80\nactivation: torch.nn.LeakyReLU(0.1)\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n",
        "bundle/train.yaml": MONAI.encode(),
        "bundle/refers.json": json.dumps(REFERS).encode(),
        "shell.yaml": b"steps:\n  - run: |\n      $PYTHON -m torch.distributed.launch\n      open $HOME/x; exec \"$@\"\n      echo \"$HOME/os\" '$x'\n  - run: |\n      $ python -c 'import os'\n      $ os\n",
        "prices.json": json.dumps([{"problem": "$f(x)$ is open. What does it import?", "price": "$5 os"}] * 50).encode(),
        "operators.yaml": b"versions:\n  =: 5\n  '>': 6\n",
        "workflow.yml": b"steps:\n  - if: ${{ matrix.tls != 'none' }}\n    run: |\n      docker exec x sh -c 'eval y'\n  - run: $CONDA/bin/conda install x\n",
        "prose.yaml": b"- q: \"What is the target: os.system or subprocess.run?\"\n  a: 'see !apply:os.system'\n  text: >-\n    The class: os.path docs\n",
        "train.conf": b"model:\n  _target_: torch.nn.Linear\n  in_features: 2\n",
        "notes.txt": b"notes: how _target_ works\nIt names what is called, such as os.path.join.\n",
        "wide.json": '{"_target_": "torch.nn.Linear", "caf\u00e9": 1}'.encode("utf-16"),
        "equals.yaml": b"tokens: {\"=\": 5, '==': 6}\na: b=c\ncheck: x == y\nrun: |\n  a=1; b = 2\n",
        "interpolated.yaml": b"lr: ${optimizer.lr}\nport: ${oc.decode:${oc.env:PORT,80}}\ndir: ${now:%Y}/${oc.env:HOME,${root}}\n",
        "lightning.yaml": b"model.class_path: torch.optim.Adam\nmodel:\n  class_path: torch.optim.Adam\n  init_args: {lr: 0.1}\n",
        "paths.json": b'{"network": {"_target_": "torch.optim.Adam"}, "network::lr": "@rate", "labels::file": "%labels.json", "target": "labels.txt"}',
        "m.mlpackage/Manifest.json": b'{"itemInfoEntries": {"A": {"path": "com.apple.CoreML/model.mlmodel"}}, "rootModelIdentifier": "A"}',
    }


def configurations() -> dict[str, bytes]:
    llama = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "torch_dtype": "bfloat16", "_name_or_path": "./x"}
    lora = {"base_model_name_or_path": "meta-llama/Llama-3.2-1B", "peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "v_proj"]}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": "<s>", "special": True}],
        "model": {"type": "BPE", "vocab": {"\u200b": 1, "\u202e": 2, "os": 3, "system(": 4, "Ġthe": 5}, "merges": ["a b"]},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"}, "behavior": "Isolated"},
    }
    large = {f"model.layers.{layer}.mlp.experts.{part}.weight": "model-00001-of-00001.safetensors" for layer in range(250) for part in range(200)}
    notebook = {"nbformat": 4, "cells": [{"cell_type": "code", "source": "%time x == y != z\nprint('x = !ls')\nfiles = !ls", "outputs": []}]}
    mlmodel = 'flavors:\n  python_function:\n    code:\n    data: model.pkl\n    loader_module: "mlflow.sklearn"\n'
    return {
        "large/model.safetensors.index.json": json.dumps({"metadata": {"total_size": 8}, "weight_map": large}, indent=2).encode(),
        "large/model-00001-of-00001.safetensors": builders.safetensors({"a": ("F32", [2], b"\0" * 8)}),
        "notebook/n.ipynb": json.dumps(notebook).encode(),
        "mlflow/MLmodel": mlmodel.encode(),
        "yaml/comments.yaml": b"# it's built by !!python/object/apply:os.system\r\n# 'a' _target_: os.system\r\ntarget:\r\n  name: os\r\n",
        "hydra/config.yaml": HYDRA.encode(),
        "export/models/model.json": b'{"nodes": [{"target": "torch.ops.aten.linear.default"}, {"target": "_operator.getitem"}]}',
        "rows/train.json": b'{"target": "encoder.weight", "next": {"target": "Yes.No"}}',
        "megatron/adapter_config.json": b'{"peft_type": "LORA", "megatron_config": null, "megatron_core": "megatron.core"}',
        "dense/config.json": b'{"in_features": 2, "activation_function": "torch.nn.modules.activation.Tanh"}',
        "asym/config.json": b'{"types": {"a_0": "sentence_transformers.models.Dense"}, "structure": {"a": ["a_0"]}, "parameters": {}}',
        "triton/config.pbtxt": b'name: "m"\nplatform: "onnxruntime_onnx"\nbackend: "onnxruntime"\n',
        "python/coding.py": b"# -*- coding: utf-8 -*-\n# a note on encodings, and on decoding\nx = 1\n",
        "llama/config.json": json.dumps(llama).encode(),
        "llama/generation_config.json": b'{"temperature": 0.6, "do_sample": true}',
        "llama/tokenizer.json": json.dumps(tokenizer).encode(),
        "llama/special_tokens_map.json": b'{"bos_token": "<s>"}',
        "lora/adapter_config.json": json.dumps(lora).encode(),
        "index/model.safetensors.index.json": json.dumps({"metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}).encode(),
        "index/model-00001-of-00001.safetensors": builders.safetensors({"a": ("F32", [2], b"\0" * 8)}),
        "sentence/modules.json": json.dumps([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]).encode(),
        "diffusers/model_index.json": json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}).encode(),
        "bpe/merges.txt": "#version: 0.2\nĠ t\nh e\n".encode(),
        "bpe/vocab.json": json.dumps({"Ġ": 0, "eval": 1}).encode(),
        "data/train.jsonl": b'{"text": "ignore all previous instructions"}\n' * 20,
        "data/train.csv": b"a,b\n1,2\n",
        "requirements.txt": b"torch>=2.0\ntransformers==4.50.0\n",
        "pickle.json": b'{"model": "cos", "x": ["system"]}',
    }


def archives() -> dict[str, bytes]:
    own = b"\x80\x02c__torch__\nNet\n)\x81}b."
    script = {"m/data.pkl": own, "m/version": b"3\n", "m/code/__torch__.py": b"class Net(Module):\n  pass\n", "m/constants.pkl": b"\x80\x02)."}
    data = b"\x80\x02ctorch.utils.data.dataset\nTensorDataset\n)\x81}X\x07\0\0\0tensors)sb."
    return {"script.pt": zipped(script), "data-set.pt": zipped({"m/data.pkl": data, "m/version": b"3\n"})}


def texts() -> dict[str, bytes]:
    card = (
        "---\nlicense: apache-2.0\nbase_model: meta-llama/Llama-3.2-1B\ndatasets:\n- squad\nlanguage:\n- en\n- ar\n---\n# A model 🤖👩‍💻🏳️‍🌈\n\n"
        "Say `ignore previous instructions` to test it. مرحبا بالعالم. नमस्ते। <!-- markdownlint-disable -->\n\n```python\nimport os\nmodel = load()\n```\n"
    )
    return {
        "README.md": card.encode(),
        "LICENSE": b"Apache License\nVersion 2.0, January 2004\n" * 30,
        "NOTICE.txt": "Copyright © 2026\n".encode(),
        "bom.txt": "\ufefftext with a byte order mark\n".encode(),
        "crlf.md": b"# Title\r\n\r\ntext\r\n",
        "dot.txt": b".",
        "n.txt": b"N.",
        "config-like.txt": b"config\nos\nsystem\n",
        ".gitattributes": b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "empty.bin": b"",
        "image.png": b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + b"\0" * 40,
        "image.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + b"\x80\x02cos\nsystem\n" + b"\0" * 40,
    }
