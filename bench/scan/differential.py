#!/usr/bin/env python3
"""Holds `ostrom scan` against CPython's own readers of pickles: whatever one of them reaches, the scan must have failed.

    bench/scan/differential.py [--count 20000] [--seconds 600] [--seed 1] [--ostrom target/release/ostrom]
                               [--python python3.13 ...] [--keep FOLDER] [--only NUMBER]

Makes random files of one or more pickles (frames that end anywhere, numbers and strings in every spelling, memo entries that
other pickles of the file wrote, opcodes that readers take differently, bytes changed at random), loads each through
`_pickle.Unpickler` and `pickle._Unpickler` in a process of its own, and scans them. A file in which a reader imports one of
our harmful names, or calls something that no allow-list has, while the scan passes it, is a miss.

Nothing that a file names is imported or run: `find_class` and `persistent_load` give objects that only write down that they were
called, and take whatever arguments and states they are given. So only imports and calls by name are compared, and not what
arguments and states make of what is listed. A file that stalls or kills a reader is named: nobody knows what it would have reached,
so it counts as a miss unless the scan failed it too.

File NUMBER of a seed is always the same; `--only` makes that one alone. Ends with 1 if there is a miss.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # the repository is not the place for it

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import differential_make as make

BATCH = 1000
STALL = 20.0
# What is said of files whatever they do.
VAGUE = {"malformed", "unknown-format"}
SOURCES = ("stream", "peek", "short")


def allowed() -> tuple[set[tuple[str, str]], list[tuple[str, str]]]:
    """Names that some allow-list has, and other prefixes of modules with those that the lists use."""
    import tomllib

    names, alias = set(), []
    for path in sorted((HERE.parents[1] / "crates" / "scan" / "allow").glob("*.toml")):
        lists = tomllib.loads(path.read_text())
        alias += lists.get("alias", {}).items() if isinstance(lists.get("alias"), dict) else []
        for lines in lists.get("allow", []):
            if "modules" in lines:
                names |= {(module, name) for module in lines["modules"] for name in lines["names"]}
    return names, alias


class Inert(type):
    """A class that stands for whatever a file names."""

    log: list[tuple[str, str, str]] = []

    def __call__(cls, *_args: object, **_more: object) -> object:
        return cls.__new__(cls)


def stand_in(module: str, name: str, listed: bool) -> type:
    def new(cls: type, *_args: object, **_more: object) -> object:
        Inert.log.append(("call", module, name))
        return object.__new__(cls)

    body: dict = {"__new__": new}
    # What is made has the methods that the real one has, for readers call them.
    if name in ("OrderedDict", "dict", "Counter") or not listed:
        body["__setitem__"] = lambda self, key, value: None
    if name in ("list", "deque") or not listed:
        body.update(append=lambda self, value: None, extend=lambda self, values: None)
    if name == "set" or not listed:
        body["add"] = lambda self, value: None
    if not listed:
        body["__call__"] = lambda self, *args, **more: None
    return Inert("x", (), body)


def is_listed(module: str, name: str, names: set, alias: list) -> bool:
    """Whether some allow-list has it, under the name of its module or another one."""
    for old, new in alias:
        if module == old or module.startswith(old + "."):
            return (new + module[len(old) :], name) in names or (module, name) in names
    return (module, name) in names


def reader(base: type, known: dict[tuple[str, str], type], names: set, alias: list) -> type:
    class Reader(base):  # type: ignore[misc, valid-type]
        def find_class(self, module: str, name: str) -> type:
            Inert.log.append(("import", module, name))
            if (module, name) not in known:
                known[module, name] = stand_in(module, name, is_listed(module, name, names, alias))
            return known[module, name]

        def persistent_load(self, pid: object) -> object:
            return object.__new__(stand_in("", "persistent", True))

    return Reader


def opened(data: bytes, source: str) -> io.IOBase:
    """A file that can be looked ahead in or not, or only a little."""
    if source == "stream":
        return io.BytesIO(data)
    return io.BufferedReader(io.BytesIO(data), 1 << 16 if source == "peek" else 16)


def loads(data: bytes, readers: dict[str, type]) -> dict[tuple[str, str, str], str]:
    """What is imported and called, each with the first way of reading that came to it."""
    found: dict[tuple[str, str, str], str] = {}
    for kind, base in readers.items():
        for source in SOURCES:
            for encoding in ("ASCII", "latin1"):
                for memo in ("alone", "shared"):
                    Inert.log = []
                    file = opened(data, source)
                    unpickler = base(file, encoding=encoding)
                    try:
                        for _ in range(50):
                            unpickler.load()
                            if memo == "alone":
                                unpickler = base(file, encoding=encoding)
                    except Exception:  # noqa: BLE001  whatever a broken pickle raises
                        pass
                    for entry in Inert.log:
                        found.setdefault(entry, f"{kind} {source} {encoding} {memo}")
    return found


def work(folder: Path, listed: Path, first: int) -> None:
    """Loads all files of a folder from number `first` on, and says of each what it reached."""
    # A memo index or a length may ask for more memory than there is.
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    text = json.loads(listed.read_text())
    names, alias = {tuple(name) for name in text["names"]}, text["alias"]
    known: dict[tuple[str, str], type] = {}
    import _pickle

    readers = {"C": reader(_pickle.Unpickler, known, names, alias), "Python": reader(pickle._Unpickler, known, names, alias)}
    for path in sorted(folder.iterdir()):
        number = int(path.name.split("-")[0])
        if number < first:
            continue
        found = loads(path.read_bytes(), readers)
        known.clear()
        rows = [[*entry, way] for entry, way in found.items() if not is_listed(*entry[1:], names, alias)]
        print(json.dumps([path.name, rows]), flush=True)


def read(python: str, folder: Path, listed: Path, stalled: set[str]) -> dict[str, list]:
    """What the readers of an interpreter reach in each file; those that it does not get through are added to `stalled`."""
    found: dict[str, list] = {}
    files = sorted(path.name for path in folder.iterdir())
    while len(found) < len(files):
        first = files[len(found)]
        command = [python, "-I", str(HERE / "differential.py"), "--read", str(folder), str(listed)]
        command += ["--first", str(int(first.split("-")[0]))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=STALL + len(files) * 0.1)
            out, error = done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            out, error = (late.stdout or b"").decode(), ""
        for line in out.splitlines():
            name, rows = json.loads(line)
            found[name] = rows
        if len(found) < len(files):
            # The next one stalls its reader, or kills it.
            name = files[len(found)]
            if "Traceback" in error:
                raise SystemExit(f"differential: {python}: {error[-2000:]}")
            stalled.add(name)
            found[name] = []
    return found


def failed(ostrom: str, folder: Path) -> dict[str, set[str]]:
    """The files that fail a scan, and the rules by which they do."""
    import check

    report = check.scan(ostrom, folder)["report"]
    severe = check.SEVERITIES.index("high")
    rules = {
        file["path"]: {f["rule"] for f in file["findings"] if f["rule"] in check.UNDECIDED or check.SEVERITIES.index(f["severity"]) >= severe}
        for file in report["files"]
    }
    return {path: found for path, found in rules.items() if found}


def reached(name: str, rows: list) -> list:
    """What a scan has to have failed for. In a text, an import alone is no pickle."""
    harmful = [row for row in rows if row[0] == "call" or (row[1], row[2]) in make.HARMFUL and not name.endswith(".txt")]
    # docs/supply-chain.md: read with a memo of all pickles, only what is known to be dangerous counts.
    return [row for row in harmful if (row[1], row[2]) in make.DANGEROUS or not row[3].endswith("shared")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ostrom", default="target/release/ostrom")
    parser.add_argument("--python", action="append", help="interpreters whose readers are taken (this one)")
    parser.add_argument("--keep", type=Path, help="where missed files are written to")
    parser.add_argument("--only", type=int, help="the number of one file")
    parser.add_argument("--read", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        return work(*arguments.read, arguments.first)
    start, number, acted, failing, misses, vague, unlisted = time.monotonic(), 0, 0, 0, 0, 0, 0
    stalls = 0
    count = arguments.count
    if arguments.only is not None:
        number, count = arguments.only, arguments.only + 1
    first = number
    names = json.dumps(dict(zip(("names", "alias"), map(list, allowed()))))
    while number < count and time.monotonic() - start < arguments.seconds:
        with tempfile.TemporaryDirectory(prefix="differential-") as scratch:
            folder, listed = Path(scratch) / "files", Path(scratch) / "listed.json"
            folder.mkdir()
            listed.write_text(names)
            for _ in range(min(BATCH, count - number)):
                name, data = make.file(arguments.seed, number)
                (folder / name).write_bytes(data)
                number += 1
            rows: dict[str, list] = {}
            stalled: set[str] = set()
            for python in arguments.python or [sys.executable]:
                for name, more in read(python, folder, listed, stalled).items():
                    rows.setdefault(name, []).extend(more)
            bad = failed(arguments.ostrom, folder)
            failing += len(bad)
            for name in sorted(rows):
                harmful = reached(name, rows[name])
                acted += bool(harmful)
                vague += bool(harmful) and bad.get(name, set()) <= VAGUE and name in bad
                unlisted += bool(rows[name]) and not harmful and name not in bad
                stalls += name in stalled
                if name in stalled:
                    print(f"stalled: {name} (the scan {'failed' if name in bad else 'passed'} it)", flush=True)
                if (harmful or name in stalled) and name not in bad:
                    misses += 1
                    data = (folder / name).read_bytes()
                    print(f"missed: {name} {harmful[:3]} {data[:300]!r}", flush=True)
                    if arguments.keep:
                        arguments.keep.mkdir(parents=True, exist_ok=True)
                        (arguments.keep / name).write_bytes(data)
    seconds = time.monotonic() - start
    print(
        f"seed {arguments.seed}: {number - first} files, {failing} fail the scan; in {acted} a reader reaches what is not allowed, "
        f"{vague} of those for no more than their form, {misses} missed; {unlisted} passed that reach no more than the documentation says; "
        f"{stalls} stalled; {seconds:.0f} s"
    )
    raise SystemExit(1 if misses else 0)


if __name__ == "__main__":
    main()
