"""Writers of model formats, from their specifications, with only the standard library."""

from __future__ import annotations

import json
import struct


def safetensors(
    tensors: dict[str, tuple[str, list[int], bytes]],
    offsets: dict[str, tuple[int, int]] | None = None,
    metadata: dict[str, str] | None = None,
    tail: bytes = b"",
) -> bytes:
    header: dict = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        place = (offsets or {}).get(name, (len(data), len(data) + len(raw)))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": list(place)}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data + tail


def npy_header(text: str, version: int = 1) -> bytes:
    size = 2 if version == 1 else 4
    raw = text.encode()
    raw += b" " * (-(6 + 2 + size + len(raw) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(raw).to_bytes(size, "little") + raw


def npy(descr: object, shape: list[int], data: bytes, version: int = 1, fortran: bool = False) -> bytes:
    dimensions = "(" + "".join(f"{extent}, " for extent in shape) + ")"
    return npy_header(f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {dimensions}, }}", version) + data


def gguf_value(value: object) -> bytes:
    """Type and value."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value, list):
        first = gguf_value(value[0])[:4]
        return struct.pack("<I", 9) + first + struct.pack("<Q", len(value)) + b"".join(gguf_value(item)[4:] for item in value)
    raise TypeError(type(value))


def gguf_string(value: str) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw


def gguf(metadata: dict, tensors: dict[str, tuple[list[int], int, bytes]] | None = None, version: int = 3) -> bytes:
    """Tensors: extents, ggml type, bytes."""
    tensors = tensors or {"token_embd.weight": ([32], 0, b"\0" * 128)}
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += gguf_string(key) + gguf_value(value)
    data = b""
    for name, (extents, kind, raw) in tensors.items():
        out += gguf_string(name) + struct.pack("<I", len(extents)) + struct.pack(f"<{len(extents)}Q", *extents)
        out += struct.pack("<IQ", kind, len(data))
        data += raw + b"\0" * (-len(raw) % 32)
    return out + b"\0" * (-len(out) % 32) + data


def varint(number: int) -> bytes:
    out = b""
    while True:
        number, low = number >> 7, number & 0x7F
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def field(number: int, value: int | bytes | str) -> bytes:
    """A protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def onnx_value(name: str) -> bytes:
    tensor = field(1, 1) + field(2, field(1, field(1, 2)))
    return field(1, name) + field(2, field(1, tensor))


def onnx(op: str = "Relu", domain: str = "", external: str = "", function: str = "") -> bytes:
    """A model of one node, with one initializer."""
    node = field(1, "x") + field(2, "y") + field(3, "n") + field(4, op) + (field(7, domain) if domain else b"")
    weight = field(1, 2) + field(2, 1) + field(8, "w")
    if external:
        weight += field(13, field(1, "location") + field(2, external)) + field(14, 1)
    else:
        weight += field(9, struct.pack("<2f", 1, 2))
    graph = field(1, node) + field(2, "g") + field(5, weight) + field(11, onnx_value("x")) + field(12, onnx_value("y"))
    opset = field(1, domain) + field(2, 1) if domain else b""
    model = field(1, 9) + field(2, "corpus") + field(7, graph) + field(8, field(1, "") + field(2, 17))
    model += field(8, opset) if opset else b""
    if function:
        inner = field(3, "Identity")
        model += field(25, field(1, function) + field(4, "a") + field(5, "b") + field(7, field(1, "a") + field(2, "b") + inner) + field(9, field(1, "") + field(2, 17)))
    return model


def saved_model(operations: list[str], in_function: list[str] | None = None) -> bytes:
    def nodes(names: list[str], number: int) -> bytes:
        return b"".join(field(number, field(1, f"node{i}") + field(2, name)) for i, name in enumerate(names))

    graph = nodes(operations, 1)
    if in_function:
        signature = field(1, field(1, "f"))
        graph += field(2, field(1, signature + nodes(in_function, 3)))
    meta = field(1, field(4, "serve") + field(5, "2.15.0")) + field(2, graph)
    return field(1, 1) + field(2, meta)


def saving_model(place: str, name: str, decoy: str) -> bytes:
    """A model that saves to the constant `place`; its node is called `name`, and another one, which is harmless, `decoy`."""
    tensor = field(1, 7) + field(8, place)
    constant = field(1, name) + field(2, "Const") + field(5, field(1, "value") + field(2, field(8, tensor)))
    nodes = [constant, field(1, decoy) + field(2, "Placeholder"), field(1, "save") + field(2, "SaveV2") + field(3, name)]
    graph = b"".join(field(1, node) for node in nodes)
    return field(1, 1) + field(2, field(1, field(4, "serve") + field(5, "2.15.0")) + field(2, graph))


class Hdf5:
    """A file of HDF5's first version, whose blocks have no checksums: a root group without members, and what lies beside it."""

    def __init__(self) -> None:
        self.data = bytearray(96)

    def put(self, block: bytes) -> int:
        """Where the block lies."""
        self.data += b"\0" * (-len(self.data) % 8)
        at = len(self.data)
        self.data += block
        return at

    def heap(self, *objects: tuple[int, int, bytes]) -> int:
        """A global heap with objects of these numbers and sizes; the rest is free."""
        block = b"".join(struct.pack("<HHIQ", number, 1, 0, size) + data + b"\0" * (-len(data) % 8) for number, size, data in objects)
        free = max(4096, len(block) + 32) - 16 - len(block)
        return self.put(b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + len(block) + free) + block + struct.pack("<QQ", 0, free) + b"\0" * (free - 16))

    def object(self, *messages: tuple[int, bytes]) -> int:
        body = b""
        for kind, data in messages:
            data += b"\0" * (-len(data) % 8)
            body += struct.pack("<HHI", kind, len(data), 0) + data
        return self.put(struct.pack("<BBHIII", 1, 0, len(messages), 1, len(body), 0) + body)

    def group(self, members: dict[str, int]) -> tuple[int, bytes]:
        """The message of a group with these members, in the order of their names."""
        names = b"\0" * 8
        entries = b""
        for name in sorted(members):
            entries += struct.pack("<QQ", len(names), members[name]) + b"\0" * 24
            names += name.encode() + b"\0" * (8 - len(name) % 8)
        heap = self.put(b"HEAP\0\0\0\0" + struct.pack("<QQQ", len(names), 1, self.put(names)))
        node = self.put((b"SNOD\1\0" + struct.pack("<H", len(members)) + entries).ljust(328, b"\0"))
        used = 1 if members else 0
        pair = struct.pack("<QQQ", 0, node, len(names) - 8) if members else b""
        tree = self.put((b"TREE\0\0" + struct.pack("<H", used) + b"\xff" * 16 + pair).ljust(544, b"\0"))
        return 17, struct.pack("<QQ", tree, heap)

    def file(self, *messages: tuple[int, bytes], members: dict[str, int] | None = None, hidden: bool = False) -> bytes:
        """The file, whose root group has these messages; with its members named in the superblock's copy alone, if they are hidden."""
        kind, own = self.group(members or {})
        root = self.object((kind, b"\xff" * 8 + own[8:] if hidden else own), *messages)
        head = b"\x89HDF\r\n\x1a\n" + bytes([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0])
        none = b"\xff" * 8
        end = struct.pack("<Q", len(self.data))
        self.data[:96] = head + bytes(8) + none + end + none + struct.pack("<QQII", 0, root, 1, 0) + own
        return bytes(self.data)


def hdf5_attribute(name: str, kind: bytes, data: bytes) -> tuple[int, bytes]:
    """An attribute with one value of this type."""
    raw = name.encode() + b"\0"
    parts = [raw, kind, b"\1" + b"\0" * 7]
    sizes = struct.pack("<BBHHH", 1, 0, *(len(part) for part in parts))
    return 12, sizes + b"".join(part + b"\0" * (-len(part) % 8) for part in parts) + data


def hdf5_text(name: str, text: bytes) -> tuple[int, bytes]:
    return hdf5_attribute(name, b"\x13\0\0\0" + struct.pack("<I", len(text)), text)


def hdf5_long_text(name: str, length: int, heap: int) -> tuple[int, bytes]:
    """Text that is the object 1 of a global heap."""
    return hdf5_attribute(name, b"\x19\1\0\0" + struct.pack("<I", 16) + b"\x13\0\0\0" + struct.pack("<I", 1), struct.pack("<IQI", length, heap, 1))


# The message of a type: a record of two numbers.
HDF5_RECORD = (3, b"\x36\2\0\0" + struct.pack("<I", 8) + b"".join(name + b"\0" + at + b"\x10\x08\0\0\4\0\0\0\0\0\x20\0" for name, at in ((b"x", b"\0"), (b"y", b"\4"))))


def hdf5_typed(name: str, kind: int, data: bytes) -> tuple[int, bytes]:
    """An attribute whose type is the object at this place."""
    raw = name.encode() + b"\0"
    reference, shape = b"\3\2" + struct.pack("<Q", kind), b"\1" + b"\0" * 7
    return 12, struct.pack("<BBHHH", 2, 1, len(raw), len(reference), len(shape)) + raw + reference + shape + data


def hdf5_mapped(*files: str) -> bytes:
    """A data set of numbers that are mapped from the data set `x` of each of these files (without the checksum of the list)."""
    file = Hdf5()
    everything = struct.pack("<IIQ", 3, 1, 0)
    block = struct.pack("<BQ", 0, len(files)) + b"".join(name.encode() + b"\0x\0" + everything * 2 for name in files) + b"\0" * 4
    heap = file.heap((1, len(block), block))
    number = b"\x10\0\0\0\1\0\0\0\0\0\x08\0"
    shape = b"\1\1" + b"\0" * 6 + struct.pack("<Q", 4)
    data = file.object((1, shape), (3, number), (8, b"\4\3" + struct.pack("<QI", heap, 1)))
    return file.file(members={"data": data})


def coreml(kind: int, inner: bytes) -> bytes:
    """A model of the type that has this number."""
    return field(1, 8) + field(2, field(1, field(1, "x")) + field(10, field(1, "y"))) + field(kind, inner)


def coreml_program(weights: str) -> bytes:
    """A program of one constant that lies in a file."""
    operation = field(1, "const") + field(5, field(1, "val") + field(2, field(5, field(1, weights) + field(2, 64))))
    function = field(3, field(1, "CoreML6") + field(2, field(3, operation)))
    return coreml(502, field(1, 1) + field(2, field(1, "main") + field(2, function)))


def coreml_weights(data: bytes) -> bytes:
    """The file of weights of a package, with one entry."""
    entry = struct.pack("<IIQQQ", 0xDEADBEEF, 2, len(data), 128, 0) + b"\0" * 32
    return struct.pack("<II", 1, 2) + b"\0" * 56 + entry + data
