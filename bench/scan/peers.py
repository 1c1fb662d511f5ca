#!/usr/bin/env python3
"""Ostrom's scanner and its peers on the same files, in one run: misses, false alarms, CPU time, speed and memory.

    bench/scan/setup.sh
    bench/scan/corpus.py FOLDER && bench/scan/real.py FOLDER
    bench/scan/peers.py FOLDER [--ostrom target/release/ostrom] [--part verdicts|speed] [--resume] [--out target/bench-scan]

Verdicts are what a pipeline sees, file by file: `alarm` (the tool says that it found something), `clean`, `error` (it says that it
could not scan, or that it is not sure), `crash` (it ended otherwise, or hung), `unsupported` (it says, or documents, that it
does not look at such a file), `not run` (out of --budget). Ostrom's `error` is a finding of an undecided rule with nothing else that fails a scan.

Speed is on large files that are made for it, each tool pinned to one core, turn about, from a cold start of the tool.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.dont_write_bytecode = True

import check
import large
from real import cache

HERE = Path(__file__).resolve().parent
PEERS = ("picklescan", "fickling", "modelscan", "modelaudit")
TOOLS = ("ostrom", *PEERS)
KINDS = ("malicious", "suspicious", "benign", "real")
VERDICTS = ("alarm", "clean", "error", "crash", "unsupported", "not run")
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
    "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1",
}  # fmt: skip
FILE_LIMIT_S = 60
SPEED_LIMIT_S = 120
ROUNDS = 3
SPEED_MEMORY = 10 << 30


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def ostrom_verdicts(ostrom: str, folder: Path) -> tuple[dict[str, str], float]:
    before = os.times()
    report = check.scan(ostrom, folder)["report"]
    after = os.times()
    found: dict[str, str] = {file["path"]: "clean" for file in report["files"]}
    for finding in [f for file in report["files"] for f in file["findings"]] + report["folder"]:
        path = finding["place"].split("!")[0]
        if finding["rule"] in check.UNDECIDED:
            if found.get(path) != "alarm":
                found[path] = "error"
        elif check.SEVERITIES.index(finding["severity"]) >= check.SEVERITIES.index("high"):
            found[path] = "alarm"
    return found, after.children_user + after.children_system - before.children_user - before.children_system


def peer_verdicts(tool: str, python: Path, folder: Path, budget: float) -> tuple[dict[str, str], float]:
    """Takes the files in a random order, the same for each tool, and starts the peer again behind a file that ended it."""
    found: dict[str, str] = {}
    used = 0.0
    left = files(folder)
    random.Random(1).shuffle(left)
    end = time.monotonic() + budget
    while left and time.monotonic() < end:
        command = [str(python), str(HERE / "peer.py"), tool, str(FILE_LIMIT_S)]
        listed = "".join(f"{path}\n" for path in left).encode()
        try:
            done = subprocess.run(command, input=listed, capture_output=True, env=os.environ | QUIET, timeout=max(1, end - time.monotonic()))
            out, late = done.stdout, False
        except subprocess.TimeoutExpired as stopped:
            out, late = stopped.stdout or b"", True
        rows = [json.loads(line) for line in out.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
        for row in rows:
            found[str(Path(row["path"]).relative_to(folder))] = row["verdict"]
            used += row["cpu_s"]
        left = left[len(rows) :]
        if left and not late:
            print(f"  {tool}: ended by {left[0]}: {done.stderr[-200:]!r}")
            found[str(left.pop(0).relative_to(folder))] = "crash"
    found |= {str(path.relative_to(folder)): "not run" for path in left}
    return found, used


def verdicts(arguments: argparse.Namespace, results: dict, keep: Callable[[], None]) -> None:
    for turn, kind in enumerate(KINDS):
        folder = (arguments.folder / kind).resolve()
        for tool in TOOLS[turn:] + TOOLS[:turn]:
            if kind in results.setdefault(tool, {}):
                continue
            if tool == "ostrom":
                found, used = ostrom_verdicts(arguments.ostrom, folder)
            else:
                found, used = peer_verdicts(tool, python_of(arguments, tool), folder, arguments.budget)
            counted = Counter(found.values())
            results[tool][kind] = {"files": found, "counts": {name: counted[name] for name in VERDICTS}, "cpu_s": used}
            print(f"{kind} {tool}: {dict(counted)}, {used:.2f} CPU s", flush=True)
            keep()


def python_of(arguments: argparse.Namespace, tool: str) -> Path:
    return arguments.cache / f"scan-{tool}" / "bin" / "python"


def command(arguments: argparse.Namespace, tool: str, path: Path, scratch: Path) -> list[str]:
    out = str(scratch / f"{tool}.json")
    program = str(python_of(arguments, tool).parent / tool)
    if tool == "fickling" and path.suffix == ".pt":
        # Its command line takes one pickle; this is what its documentation has for archives.
        code = f"import sys; from fickling.loader import scan_zip_archive as s; sys.exit(any(not r.is_safe for r in s(sys.argv[1], graceful=True, json_output_path={out!r}).values()))"
        return [str(python_of(arguments, tool)), "-c", code, str(path)]
    return {
        "ostrom": [arguments.ostrom, "scan", str(path), "--json", "--threads", "1"],
        "picklescan": [program, "--path", str(path)],
        "fickling": [program, "--check-safety", "--json-output", out, str(path)],
        "modelscan": [program, "-p", str(path), "-r", "json", "-o", out],
        "modelaudit": [program, "scan", "--format", "json", "--no-cache", "--timeout", "3600", "--output", out, str(path)],
    }[tool]


def measure(call: list[str], limit: float) -> dict:
    """One run on the first core: CPU seconds and peak memory of the largest process, and how it ended."""

    def confine() -> None:
        os.sched_setaffinity(0, {0})
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (SPEED_MEMORY, SPEED_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 1))

    start = time.monotonic()
    child = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | QUIET, preexec_fn=confine)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "exit": child.returncode, "wall_s": time.monotonic() - start, "cpu_s": usage.ru_utime + usage.ru_stime,
        "user_s": usage.ru_utime, "peak_mb": usage.ru_maxrss / 1024,
    }  # fmt: skip


def speed(arguments: argparse.Namespace, results: dict, keep: Callable[[], None]) -> None:
    made = large.make(arguments.out / "large", arguments.opcodes)
    for turn in range(ROUNDS):
        for path in made:
            row = results.setdefault(path.name, {"bytes": path.stat().st_size, "runs": {tool: [] for tool in TOOLS}})
            for tool in TOOLS[turn:] + TOOLS[:turn]:
                runs = row["runs"][tool]
                slow = runs and (runs[-1]["exit"] not in (0, 1) or runs[-1]["cpu_s"] > 20)
                # It will not do better the next time, nor be quicker on more of the same.
                if len(runs) > turn or slow or hopeless(results, path, tool):
                    continue
                run = measure(command(arguments, tool, path, arguments.out), SPEED_LIMIT_S)
                runs.append(run)
                print(f"{path.name} {tool}: exit {run['exit']}, {run['cpu_s']:.2f} CPU s, {run['peak_mb']:.0f} MB", flush=True)
                keep()


def hopeless(results: dict, path: Path, tool: str) -> bool:
    """Whether the small pickle took so long that this one would run out of time."""
    small = results.get(large.SMALL)
    if not small or not small["runs"][tool] or path.suffix != ".pkl":
        return False
    return small["runs"][tool][0]["cpu_s"] * path.stat().st_size / small["bytes"] > 2 * SPEED_LIMIT_S


def versions(arguments: argparse.Namespace) -> dict[str, str]:
    found = {"ostrom": subprocess.run([arguments.ostrom, "--version"], capture_output=True, text=True).stdout.strip()}
    for tool in PEERS:
        code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        found[tool] = subprocess.run([str(python_of(arguments, tool)), "-c", code, tool], capture_output=True, text=True).stdout.strip()
    return found


def table(header: list[str], rows: list[list[object]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def report(results: dict) -> str:
    out = ["Versions: " + ", ".join(f"{tool} {version}" for tool, version in results["versions"].items()) + "\n"]
    for kind in KINDS if results.get("verdicts") else ():
        rows = []
        for tool in TOOLS:
            row = results["verdicts"].get(tool, {}).get(kind)
            if row is None:
                continue
            counts, total = row["counts"], sum(row["counts"].values())
            ran = max(1, total - row["counts"]["not run"])
            passed, stopped = counts["clean"] + counts["unsupported"], counts["alarm"] + counts["error"] + counts["crash"]
            rows.append([tool, *(counts[name] for name in VERDICTS), passed, stopped, f"{row['cpu_s']:.1f}", f"{1000 * row['cpu_s'] / ran:.1f}"])
        if rows:
            out.append(f"### {kind}: {total} files\n\n" + table(["tool", *VERDICTS, "let through", "stopped", "CPU s", "CPU ms a file"], rows))
    for name, row in results.get("speed", {}).items():
        rows, rates = [], {}
        for tool, runs in row["runs"].items():
            if not runs:
                rows.append([tool, "not run: see the smaller one", *[""] * 5])
                continue
            used, wall = (statistics.median(run[key] for run in runs) for key in ("cpu_s", "wall_s"))
            if runs[-1]["exit"] in (0, 1):
                rates[tool] = row["bytes"] / 1e6 / used
            rate = f"{rates[tool]:.1f}" if tool in rates else ""
            rows.append([tool, ended(runs[-1]["exit"]), len(runs), f"{used:.2f}", f"{wall:.2f}", rate, f"{max(run['peak_mb'] for run in runs):.0f}"])
        out.append(f"### {name}: {row['bytes'] / 1e6:.0f} MB\n\n" + table(["tool", "ended", "runs", "CPU s", "wall s", "MB per CPU s", "peak MB"], rows))
        best = max((rate for tool, rate in rates.items() if tool != "ostrom"), default=None)
        out.append(f"Ostrom to the fastest peer that finished: {rates['ostrom'] / best:.1f} ×\n" if best and "ostrom" in rates else "No peer finished.\n")
    return "\n".join(out)


def ended(code: int) -> str:
    return {0: "clean", 1: "alarm", 2: "error", 3: "unsupported"}.get(code, f"killed ({-code})" if code < 0 else f"exit {code}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ostrom", default="target/release/ostrom")
    parser.add_argument("--cache", type=Path, default=cache(), help="where setup.sh installed to")
    parser.add_argument("--out", type=Path, default=Path("target/bench-scan"))
    parser.add_argument("--part", choices=["verdicts", "speed"], help="only this part")
    parser.add_argument("--resume", action="store_true", help="keep what earlier runs have measured, and measure the rest")
    parser.add_argument("--budget", type=float, default=3600, help="seconds for a tool on one kind of files; the rest is not run")
    parser.add_argument("--opcodes", type=int, default=100, help="megabytes of the large pickle")
    arguments = parser.parse_args()
    missing = [tool for tool in PEERS if not python_of(arguments, tool).exists()]
    if missing:
        raise SystemExit(f"peers: not installed: {', '.join(missing)} (bench/scan/setup.sh)")
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    kept = arguments.out / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() and arguments.resume else {}
    results["versions"] = versions(arguments)

    def keep() -> None:
        kept.write_text(json.dumps(results, indent=1))

    for part, run in (("verdicts", verdicts), ("speed", speed)):
        if arguments.part in (None, part):
            run(arguments, results.setdefault(part, {}), keep)
    (arguments.out / "results.md").write_text(report(results))
    print(report(results))


if __name__ == "__main__":
    main()
