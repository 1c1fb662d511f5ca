#!/usr/bin/env python3
"""Saves real artefacts with the real libraries, for the scanner to raise no alarm on.

    bench/scan/setup.sh
    bench/scan/real.py FOLDER        writes FOLDER/real; check.py FOLDER then holds the scanner against it

Each group of makers runs in the virtual environment that setup.sh made for it; a group whose environment is missing is
skipped, and said so. Models are tiny and trained on noise: what matters is how libraries write them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROUPS = {"torch": "real_torch.py", "makers": "real_makers.py"}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ostrom-bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cache", type=Path, default=cache(), help="where setup.sh installed to")
    arguments = parser.parse_args()
    real = arguments.folder.resolve() / "real"
    if real.exists() and any(real.iterdir()):
        raise SystemExit(f"real: {real} is not empty")
    failed = False
    for name, script in GROUPS.items():
        python = arguments.cache / f"scan-{name}" / "bin" / "python"
        if not python.exists():
            print(f"real: scan-{name} is not installed; skipped (bench/scan/setup.sh '' {name})")
            failed = True
            continue
        done = subprocess.run([str(python), str(HERE / script), str(real)], env=os.environ | QUIET)
        failed |= done.returncode != 0
    count = sum(1 for path in real.rglob("*") if path.is_file())
    print(f"real: {count} files in {real}")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
