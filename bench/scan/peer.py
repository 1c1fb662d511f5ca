"""Runs one peer over files, inside its own virtual environment. Started by peers.py.

    python peer.py TOOL LIMIT_SECONDS < paths        prints one line of JSON for each path

The peer is imported once; then its command line is called as a person would call it, for each file, on a folder that holds
only this file. So starting Python and loading the peer's rules is not counted, and what it keeps between files helps it. A file
that ends this process is for peers.py to notice.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# What fickling is for: its command line takes one pickle, its `scan_zip_archive` the pickles in a zip. These are the names
# under which people keep pickles; anything else that begins like one is given to it as well.
PICKLES = {".bin", ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".dat"}
UNSUPPORTED = 90


def picklescan() -> Callable[[Path, Path], int]:
    from picklescan.cli import main

    def call(folder: Path, _: Path) -> int:
        sys.argv = ["picklescan", "--path", str(folder)]
        return int(main() or 0)

    return call


def fickling() -> Callable[[Path, Path], int]:
    from fickling.cli import main
    from fickling.loader import scan_zip_archive

    def call(folder: Path, scratch: Path) -> int:
        (path,) = folder.iterdir()
        with path.open("rb") as file:
            start = file.read(4)
        if start in (b"PK\x03\x04", b"PK\x05\x06"):
            results = scan_zip_archive(str(path), graceful=True, json_output_path=str(scratch / "out.json"))
            if not results:
                return UNSUPPORTED
            unsafe = any(not result.is_safe and not result.errors for result in results.values())
            return 1 if unsafe else 2 if any(result.errors for result in results.values()) else 0
        if path.suffix not in PICKLES and start[:1] != b"\x80":
            return UNSUPPORTED
        return int(main(["fickling", "--check-safety", "--json-output", str(scratch / "out.json"), str(path)]) or 0)

    return call


def modelscan() -> Callable[[Path, Path], int]:
    from modelscan.cli import main

    def call(folder: Path, scratch: Path) -> int:
        sys.argv = ["modelscan", "-p", str(folder), "-r", "json", "-o", str(scratch / "out.json")]
        try:
            main()
        except SystemExit as end:
            return UNSUPPORTED if end.code == 3 else int(end.code or 0)
        return 0

    return call


def modelaudit() -> Callable[[Path, Path], int]:
    from modelaudit.cli import main

    def call(folder: Path, scratch: Path) -> int:
        out = scratch / "out.json"
        sys.argv = ["modelaudit", "scan", "--format", "json", "--no-cache", "--output", str(out), str(folder)]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        if code == 2 and out.exists() and json.loads(out.read_text())["files_scanned"] == 0:
            return UNSUPPORTED
        return code

    return call


class Hung(BaseException):
    pass


def alarm(*_: object) -> None:
    raise Hung


def cpu() -> float:
    return time.process_time() + sum(getattr(resource.getrusage(resource.RUSAGE_CHILDREN), name) for name in ("ru_utime", "ru_stime"))


def one(call: Callable[[Path, Path], int], path: Path, limit: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="peer-") as place:
        folder, scratch, log = Path(place, "model"), Path(place, "scratch"), Path(place, "log")
        folder.mkdir(), scratch.mkdir()
        shutil.copyfile(path, folder / path.name)
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        kept = os.dup(1), os.dup(2)
        os.dup2(output, 1), os.dup2(output, 2)
        before = cpu()
        signal.alarm(limit)
        try:
            code = call(folder, scratch)
        except BaseException:
            traceback.print_exc()
            code = 99
        finally:
            signal.alarm(0)
            sys.stdout.flush(), sys.stderr.flush()
            os.dup2(kept[0], 1), os.dup2(kept[1], 2)
            for handle in (*kept, output):
                os.close(handle)
        used = cpu() - before
        said = log.read_text(errors="replace")
    if code == 0 and "Scanned files: 0" in said:
        code = UNSUPPORTED
    verdict = {0: "clean", 1: "alarm", 2: "error", UNSUPPORTED: "unsupported"}.get(code, "crash")
    return {"path": str(path), "verdict": verdict, "exit": code, "cpu_s": used, "said": said[-300:]}


def main() -> None:
    tool, limit = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGALRM, alarm)
    call = {f.__name__: f for f in (picklescan, fickling, modelscan, modelaudit)}[tool]()
    for line in sys.stdin.read().splitlines():
        print(json.dumps(one(call, Path(line), limit)), flush=True)


if __name__ == "__main__":
    main()
