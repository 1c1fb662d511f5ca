"""What the groups of makers share: each maker is a function that saves files below a folder of its own."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

MAKERS: list[Callable[[Path], None]] = []


def maker(function: Callable[[Path], None]) -> Callable[[Path], None]:
    MAKERS.append(function)
    return function


def run() -> None:
    """Runs every maker; one that fails is named, and fails the run."""
    if len(sys.argv) != 2:
        raise SystemExit("give the folder to write to")
    warnings.simplefilter("ignore")
    failed = []
    for make in MAKERS:
        folder = Path(sys.argv[1]) / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        try:
            make(folder)
        except Exception:
            failed.append(make.__name__)
            traceback.print_exc(limit=4)
    if failed:
        raise SystemExit(f"real: these makers failed: {', '.join(failed)}")
