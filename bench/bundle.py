#!/usr/bin/env python3
"""Times what is done with a large bundle: makes one against the mock endpoint, then verifies, reports, exports, compares and packs it.

    cargo build --release -p ostrom -p xtask
    python3 bench/bundle.py FOLDER [--trials 200000]

FOLDER is new, or holds the bundle that an earlier call made there. Prints a table as Markdown; ends with 1 if a command fails or the
verification takes more than a minute.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the repository is not the place for it
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "bench/harness"))

import measure
import run

# "Seconds, not minutes."
GOAL_S = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, default=200_000, help="at least so many")
    parser.add_argument("--ostrom", type=Path, default=REPOSITORY / "target/release/ostrom")
    parser.add_argument("--mock", default=run.MOCK, help="the command that starts the mock endpoint")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, OSTROM_HOME=str(folder / "home"), **run.OSTROM_ENV)
    bundle, again = folder / "bundle", folder / "again"
    repeat = -(-options.trials // run.SUITE_TRIALS)
    trials = repeat * run.SUITE_TRIALS
    rows = []

    def cost(name: str, *words: object) -> measure.Cost:
        log = folder / f"{name}.log"
        found = measure.run([str(options.ostrom), *map(str, words)], env, folder, log, 3600)
        if found.exit_code != 0:
            raise SystemExit(f"{name} ended with {found.exit_code}:\n{log.read_text()[-2000:]}")
        rows.append((name, found))
        return found

    for out in (bundle, again):
        if not (out / "manifest.json").exists():
            with run.Mock(options.mock, 0, trials, 3600) as mock:
                words = ["--target", "openai:mock", "--base-url", f"http://127.0.0.1:{mock.port}/v1", "--concurrency", 100]
                cost(f"run ({out.name})", "eval", "run", "--suite", REPOSITORY / run.SUITE, *words, "--repeat", repeat, "--out", out)
    verified = cost("verify", "eval", "verify", bundle, "--json")
    told = json.loads((folder / "verify.log").read_text())
    if (told["holds"], told["trials"], told["failed"]) != (True, trials, 0):
        raise SystemExit(f"not {trials} trials that hold: {told}")
    cost("report", "eval", "report", bundle)
    cost("export", "eval", "export", bundle, "--format", "csv", "--out", folder / "trials.csv")
    cost("compare", "eval", "compare", bundle, again, "--json")
    (folder / "bundle.tar.zst").unlink(missing_ok=True)
    cost("pack", "eval", "pack", bundle, "--out", folder / "bundle.tar.zst")

    size = sum(path.stat().st_size for path in bundle.iterdir() if path.is_file()) / 1e6
    print(f"{trials:,} trials, {size:.0f} MB\n")
    print("| eval … | wall s | CPU s | peak MB |\n|---|---:|---:|---:|")
    for name, found in rows:
        print(f"| {name} | {found.wall_s:.1f} | {found.cpu_s:.1f} | {found.peak_mb:.0f} |")
    return 0 if verified.wall_s <= GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
