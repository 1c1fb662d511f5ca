"""The large files that speed is measured on, made once."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

from benign import tensor_pickle

BLOCK = 1 << 20
SMALL = "opcodes-10mb.pkl"


def make(folder: Path, opcodes_mb: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        SMALL: lambda path: opcodes(path, 10),
        f"opcodes-{opcodes_mb}mb.pkl": lambda path: opcodes(path, opcodes_mb),
        "tensor-1gb.pt": tensor,
        "tensors-1gb.safetensors": safetensors,
    }
    for name, write in makers.items():
        path = folder / name
        if not path.exists():
            part = path.with_name(f"{name}.part")
            write(part)
            part.rename(path)
    return [folder / name for name in makers]


def opcodes(path: Path, megabytes: int) -> None:
    """A pickle of protocol 4 that is nearly all opcodes: nested lists and dicts of small numbers and short texts."""
    made = random.Random(1)

    def record() -> dict:
        number = made.randrange
        return {
            f"k{number(10_000)}": [number(256), number(65_536), number(1 << 31), made.random(), None, True],
            f"k{number(10_000)}": {"a": (number(100), str(number(10_000))), "b": [[made.random()], []], "c": -number(1000)},
        }

    with path.open("wb") as file:
        size = len(pickle.dumps([record() for _ in range(1000)], 4)) / 1000
        pickle.dump([record() for _ in range(int(megabytes * 1e6 / size))], file, 4)


def tensor(path: Path) -> None:
    """What torch.save writes, its storage 1 GB of noise that repeats each megabyte."""
    noise = random.Random(2).randbytes(BLOCK)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", tensor_pickle())
        archive.writestr("archive/byteorder", b"little")
        with archive.open("archive/data/0", "w", force_zip64=True) as member:
            for _ in range(1 << 10):
                member.write(noise)
        archive.writestr("archive/version", b"3\n")


def safetensors(path: Path) -> None:
    """A hundred tensors, 1 GB in all; a sparse file, so that reading it costs no disk."""
    each = 10 << 20
    header = {f"layer.{i}.weight": {"dtype": "F32", "shape": [each // 4], "data_offsets": [i * each, (i + 1) * each]} for i in range(100)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        os.truncate(file.fileno(), 8 + len(text) + 100 * each)
