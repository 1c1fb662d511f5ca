#!/usr/bin/env python3
"""Runs targets in turns, one or several at a time, until each has had its executions; adds up the figures of all turns.

    fuzz/campaign.py BINARIES SEEDS WORK [TARGET...] [--seconds N] [--executions N] [--hours H] [--length BYTES] [--jobs N]

BINARIES is where `cargo fuzz build` left them, SEEDS what seeds.py gathered. WORK keeps corpora, what failed, and figures.tsv:
run it again to go on. Stands back for everything else on the machine (nice 19).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

# The parsers that see the most hostile bytes come first.
TARGETS = """pickle zip gguf safetensors template hdf5 npy onnx python compressed tar savedmodel tflite keras_config skops
json_config notebook card tokenizer weights claims records oms_bundle oms_certificate oms_trusted_root oms_keys yaml html
torchscript shell sentencepiece onnx_tensor tensorflow_text tensorflow_index requirements path_file parquet arrow tfrecord msgpack log_note log_open case_events federation_page plan
guard_policy guard_stdio stix_object bundle_archive bundle_records gguf_header rule suite_files any""".split()

TEXTS = """template python keras_config skops json_config notebook card tokenizer yaml html torchscript shell tensorflow_text
requirements path_file""".split()

COLUMNS = ["target", "runs", "reached", "seconds", "features", "corpus", "crashes", "slow", "rss_mb"]


def read(path: Path) -> dict[str, dict[str, int]]:
    if not path.exists():
        return {}
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return {row[0]: dict(zip(COLUMNS[1:], map(int, row[1:]))) for row in rows}


def write(path: Path, figures: dict[str, dict[str, int]]) -> None:
    lines = ["\t".join(COLUMNS)] + ["\t".join([name, *(str(row[key]) for key in COLUMNS[1:])]) for name, row in figures.items()]
    path.write_text("\n".join(lines) + "\n")


def turn(target: str, arguments: argparse.Namespace, runs: int, row: dict[str, int]) -> None:
    work = arguments.work
    corpus, failed, counts = work / "corpus" / target, work / "failed" / target, work / f"{target}.counts"
    corpus.mkdir(parents=True, exist_ok=True)
    failed.mkdir(parents=True, exist_ok=True)
    counts.unlink(missing_ok=True)
    own = arguments.seeds / target
    seeds = own if own.is_dir() else arguments.seeds / ("text" if target in TEXTS else "all")
    folders = [str(corpus)] if row["runs"] else [str(corpus), str(seeds)]
    options = f"-rss_limit_mb=2048 -timeout=10 -report_slow_units=2 -max_len={arguments.length} -close_fd_mask=3 -print_final_stats=1 -reload=0 -max_total_time={arguments.seconds} -runs={runs}"
    command = [str(arguments.binaries / target), *options.split(), f"-artifact_prefix={failed}/", *folders]
    shm = Path("/dev/shm")
    start = time.monotonic()
    # libFuzzer ends without tidying up, and so do targets that keep a folder from run to run.
    with (work / f"{target}.log").open("wb") as log, tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as scratch:
        environment = os.environ | {"OSTROM_FUZZ_COUNTS": str(counts), "TMPDIR": scratch}
        subprocess.run(command, env=environment, stderr=log, stdout=log, check=False)
    text = (work / f"{target}.log").read_text(errors="replace")
    stat = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", text)}
    seen = [int(number) for number in re.findall(r"^#(\d+)", text, re.MULTILINE)]
    done = stat.get("number_of_executed_units", max(seen, default=0))
    row["runs"] += done
    row["seconds"] += round(time.monotonic() - start)
    if counts.exists():
        total, reached = map(int, counts.read_text().split())
        row["reached"] += done * reached // total
    row["features"] = max([row["features"], *map(int, re.findall(r" ft: (\d+)", text))])
    row["corpus"] = sum(1 for _ in corpus.iterdir())
    names = [path.name for path in failed.iterdir()]
    row["slow"] = sum(name.startswith("slow-unit") for name in names)
    row["crashes"] = len(names) - row["slow"]
    row["rss_mb"] = max(row["rss_mb"], stat.get("peak_rss_mb", 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binaries", type=Path)
    parser.add_argument("seeds", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60, help="of one turn")
    parser.add_argument("--executions", type=int, default=10_000_000, help="per target")
    parser.add_argument("--length", type=int, default=65536, help="of the longest input, in bytes")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--hours", type=float, default=24.0, help="at most")
    arguments = parser.parse_args()
    os.nice(19 - os.nice(0))
    arguments.work.mkdir(parents=True, exist_ok=True)
    path = arguments.work / "figures.tsv"
    figures = read(path)
    end = time.monotonic() + arguments.hours * 3600
    lock = threading.Lock()
    # Whose turn it is next; what runs is in nobody's turn.
    turns = list(arguments.targets or TARGETS)

    def left(name: str) -> int:
        return arguments.executions - figures[name]["runs"] if name in figures else arguments.executions

    def work() -> None:
        while True:
            with lock:
                name = next((name for name in turns if left(name) > 0), None)
                if name is None or time.monotonic() > end:
                    return
                turns.remove(name)
                row = dict(figures.get(name, dict.fromkeys(COLUMNS[1:], 0)))
            turn(name, arguments, left(name), row)
            with lock:
                figures[name] = row
                turns.append(name)
                write(path, figures)
                print(name, row, flush=True)

    jobs = [threading.Thread(target=work) for _ in range(arguments.jobs)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


if __name__ == "__main__":
    main()
