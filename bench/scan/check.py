#!/usr/bin/env python3
"""Holds `ostrom scan` against the corpus: every malicious file must fail a scan, no harmless or real one may.

    bench/scan/corpus.py FOLDER
    bench/scan/real.py FOLDER        (if wanted)
    bench/scan/check.py FOLDER [--ostrom target/release/ostrom] [--alarm high]

`suspicious` files must raise a finding of medium severity. Prints what was missed and what was alarmed falsely, and ends
with 1 if there is any. A finding fails a scan if it is severe enough, or says that something could not be decided.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tomllib
from pathlib import Path

SEVERITIES = ["info", "low", "medium", "high", "critical"]
RULES = Path(__file__).resolve().parents[2] / "crates" / "scan" / "rules"
UNDECIDED = {
    rule["id"] for path in RULES.glob("*.toml") for rule in tomllib.loads(path.read_text())["rule"] if rule.get("undecided")
}
BAD = ("malicious", "suspicious")


def scan(ostrom: str, folder: Path) -> dict:
    done = subprocess.run([ostrom, "scan", str(folder), "--json"], capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, 1):
        raise SystemExit(f"check: {ostrom} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ostrom", default="target/release/ostrom")
    parser.add_argument("--alarm", default="high", choices=SEVERITIES, help="severity that fails a scan (high)")
    arguments = parser.parse_args()
    bad = 0
    for kind in ("malicious", "suspicious", "benign", "real"):
        if kind == "real" and not (arguments.folder / kind).exists():
            continue
        least = SEVERITIES.index("medium" if kind == "suspicious" else arguments.alarm)
        report = scan(arguments.ostrom, arguments.folder / kind)["report"]
        loud: dict[str, list[dict]] = {file["path"]: [] for file in report["files"]}
        for finding in [f for file in report["files"] for f in file["findings"]] + report["folder"]:
            if finding["rule"] in UNDECIDED or SEVERITIES.index(finding["severity"]) >= least:
                loud.setdefault(finding["place"].split("!")[0], []).append(finding)
        wrong = {path: found for path, found in loud.items() if bool(found) != (kind in BAD)}
        for path, found in sorted(wrong.items()):
            said = "; ".join(f"{f['severity']} {f['rule']} {f['message'][:100]}" for f in found[:2])
            print(f"{'missed' if kind in BAD else 'false alarm'}: {path}{': ' + said if said else ''}")
        print(f"{kind}: {len(loud)} files, {len(wrong)} wrong")
        bad += len(wrong)
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
