#!/usr/bin/env python3
"""Writes the corpus: malicious and harmless files across formats, made in code and inert.

    bench/scan/corpus.py FOLDER      FOLDER/malicious, suspicious and benign; needs only Python 3.11

Each file of `malicious` must raise a finding that fails a scan, none of `benign` may raise one. `suspicious` files need code
from elsewhere, and must raise a finding of medium severity.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the repository is not the place for it

import benign
import malicious
import programs


def write(folder: Path, files: dict[str, bytes]) -> int:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return len(files)


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"corpus: {folder} is not empty")
    bad = write(folder / "malicious", malicious.files()) + write(folder / "malicious/programs", programs.programs())
    good = write(folder / "benign", benign.files()) + write(folder / "benign/programs", programs.harmless())
    write(folder / "suspicious", malicious.suspicious())
    print(f"{bad} malicious and {good} benign files in {folder}")


if __name__ == "__main__":
    main()
