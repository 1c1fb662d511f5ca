"""Checks the exports of one run with the tools of others; see lab.sh. Called with the run's name, in its folder."""

import collections
import contextlib
import io
import json
import math
import pathlib
import sys

import pandas
from avidtools.datamodels.report import Report

run = sys.argv[1]
metrics = json.loads(pathlib.Path(f"{run}.json").read_text())["metrics"]
attacks, hits = metrics["raw_attack_success"]["trials"], metrics["raw_attack_success"]["successes"]
attacks_failed = metrics["raw_attack_success"]["failed"]
wrong = []


def same(what, found, expected):
    if found != expected:
        wrong.append(f"{what}: {found}, not {expected}")


# AVID: its own data model takes the report, and nothing of it is lost.
avid = json.loads(pathlib.Path(f"{run}.avid").read_text())
report = Report(**avid)
read = json.loads(report.model_dump_json())
same("AVID model", read["affects"]["artifacts"][0]["name"], "mock")
same("AVID attacks", read["metrics"][0]["results"]["attack_success"]["trials"], attacks)
same("AVID failed", read["metrics"][0]["results"]["attack_success"]["failed"], metrics["attack_success"]["failed"])

# garak: its log analysis, its HTML digest by OWASP risk, and its aggregation of two reports.
from garak import _config

_config.load_config()
_config.reporting.taxonomy = "owasp"
from garak.analyze import aggregate_reports, analyze_log, report_digest

path = f"{run}.report.jsonl"
said = io.StringIO()
with contextlib.redirect_stdout(said):
    analyze_log.analyze_log(path)
lines = said.getvalue().splitlines()
same("garak: hits", sum(line.startswith("ostrom.") and "100.00%" in line for line in lines), hits)
processed = [line.split("\t") for line in lines if line.startswith("ostrom.") and line.count("\t") == 3 and "%" not in line]
same("garak: processed", sum(int(fields[3]) for fields in processed), attacks)
same("garak: started", f"## {attacks} attempts started" in lines, True)
same("garak: completed", f"## {attacks - attacks_failed} attempts completed" in lines, True)
with contextlib.redirect_stdout(io.StringIO()):
    digest = report_digest.build_digest(path)
probes = [value for group in digest["eval"].values() for key, value in group.items() if key.startswith("ostrom.")]
same("garak: probes in the digest", len(probes), len(metrics["by_mechanism"]))
html = report_digest.build_html(digest)
same("garak: the page names the target", "mock" in html, True)
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    aggregate_reports.main(["-o", f"{run}.aggregate.jsonl", path, path])
kinds = collections.Counter(json.loads(line)["entry_type"] for line in open(f"{run}.aggregate.jsonl") if line.strip())
same("garak: attempts in the aggregate", kinds["attempt"], 2 * (attacks - attacks_failed))

# Tables: as many rows as trials, and failed ones with their reasons.
for name, table in [("CSV", pandas.read_csv(f"{run}.csv")), ("Parquet", pandas.read_parquet(f"{run}.parquet"))]:
    same(f"{name}: rows", len(table), metrics["planned"])
    same(f"{name}: failed", int(table["error"].notna().sum()), metrics["failed"])
    raw = table[table["arm"] == "attack"]["success"]
    same(f"{name}: hits", sum(value in (True, "true", "True") for value in raw if not (isinstance(value, float) and math.isnan(value))), hits)

for line in wrong:
    print(f"{run}: {line}")
if not wrong:
    print(f"{run}: {attacks} attacks ({hits} hits, {attacks_failed} failed) in {len(probes)} mechanisms, {metrics['planned']} trials: taken by avidtools, garak and pandas")
sys.exit(bool(wrong))
