"""Measures this engine against llama.cpp: alternating runs on the same file with as many threads.

    python bench/llama/speed.py model.gguf [another.gguf ...] [--library libllama-native.so] [--tasks batch]

Three tasks: a prompt of 512 tokens in one pass, 128 single tokens from an empty context, and 128 tokens of each of
eight sequences at once; no sampling on either side. Both engines stay loaded and take turns, task by task. With one
thread the time is the CPU time of the process, which other work on the machine hardly changes. With more it is the
time on the clock, and a run counts only if no other process took more than a little of the CPU meanwhile; otherwise
it is repeated. Prints medians as Markdown.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import check
import llama

HERE = pathlib.Path(__file__).parent
SEQUENCES = 8
NAMES = {"prompt": "prompt of 512", "one": "one sequence", "batch": f"batch of {SEQUENCES}"}
TASKS = {"prompt of 512": (512, 0), "one sequence": (128, 1), f"batch of {SEQUENCES}": (128, SEQUENCES)}
TICKS = os.sysconf("SC_CLK_TCK")


def tokens_of(task):
    rounds, sequences = TASKS[task]
    return rounds * max(sequences, 1)


def serve(library, path, threads, flash):
    """The process for llama.cpp: the same commands as our probe's `bench`."""
    lib = llama.library(library)
    # The window is shared out among the sequences, so the batch has a context of its own.
    one = llama.Llama(lib, path, threads, cache=llama.F16, flash=flash, window=1024)
    many = llama.Llama(lib, path, threads, cache=llama.F16, flash=flash, sequences=SEQUENCES)
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        ids, rounds, sequences = command["ids"], command["rounds"], command["sequences"]
        model = many if sequences > 1 else one
        steps = [[(ids[i + s], i, s) for s in range(sequences)] for i in range(rounds)]
        steps = steps if sequences else [[(token, i, 0) for i, token in enumerate(ids[:rounds])]]
        model.clear()
        start = time.perf_counter()
        for rows in steps:
            model.decode(rows)
            model.logits(-1)
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)


def busy():
    """Seconds that the CPUs have worked, for anybody."""
    fields = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def spent(pid):
    """Seconds that a process has spent on the CPU."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def measure(side, ids, task, threads, threshold, patience):
    """Tokens a second, and the share of one CPU that others took."""
    rounds, sequences = TASKS[task]
    best = None
    for _ in range(patience):
        everybody, own, start = busy(), spent(side.process.pid), time.perf_counter()
        seconds = side.ask("bench", ids=ids, rounds=rounds, sequences=sequences)["seconds"]
        everybody, own, clock = busy() - everybody, spent(side.process.pid) - own, time.perf_counter() - start
        others = max(everybody - own, 0) / clock
        if best is None or others < best[1]:
            best = tokens_of(task) / (own if threads == 1 else seconds), others
        if threads == 1 or others <= threshold:
            break
        time.sleep(0.5)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--library", help="llama.cpp as a shared library; the one in xllamacpp if not given")
    parser.add_argument("--probe", default=check.ROOT / "target/release/examples/probe")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--flash", action="store_true", help="llama.cpp with its flash attention")
    parser.add_argument("--others", type=float, default=0.1, help="the share of one CPU that others may take")
    parser.add_argument("--patience", type=int, default=30, help="repetitions of a run that others disturbed")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.library, options.models[0], options.threads[0], options.flash)
        return
    print("llama.cpp:", llama.library(options.library).llama_print_system_info().decode().strip(), "\n")
    print("| Model | Threads | Task | Ours, tokens/s | llama.cpp, tokens/s | Ratio | Ours from–to | llama.cpp from–to | Others |")
    print("|---|---:|---|---:|---:|---:|---:|---:|---:|")
    for path in options.models:
        for threads in options.threads:
            ours = check.Probe([options.probe, path, threads])
            command = [sys.executable, __file__, path, "--serve", "--threads", threads]
            command += ["--library", options.library] if options.library else []
            theirs = check.Probe(command + ["--flash"] * options.flash)
            ids = ours.ask("tokenize", text=(HERE / "text.txt").read_bytes().decode())["ids"][:520]
            medians = {}
            for task in (NAMES[name] for name in options.tasks):
                rounds, sequences = TASKS[task]
                for side in (ours, theirs):
                    side.ask("bench", ids=ids, rounds=rounds if sequences == 0 else 16, sequences=sequences)
                runs = [[measure(side, ids, task, threads, options.others, options.patience) for side in (ours, theirs)] for _ in range(options.rounds)]
                a, b = ([run[side][0] for run in runs] for side in (0, 1))
                medians[task] = statistics.median(a)
                ratio = statistics.median(a) / statistics.median(b)
                others = max(share for run in runs for _, share in run)
                spread = " | ".join(f"{min(x):.0f}–{max(x):.0f}" for x in (a, b))
                name = pathlib.Path(path).stem
                print(f"| {name} | {threads} | {task} | {statistics.median(a):.1f} | {statistics.median(b):.1f} | {ratio:.2f} | {spread} | {others:.0%} |", flush=True)
            if {"one", "batch"} <= set(options.tasks):
                gain = medians[NAMES["batch"]] / medians[NAMES["one"]]
                print(f"| {name} | {threads} | ours, batch of {SEQUENCES} over one sequence | {gain:.2f}x | | | | | |", flush=True)
            ours.close()
            theirs.close()


if __name__ == "__main__":
    main()
