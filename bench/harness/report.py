"""Turns measured runs into a Markdown report: a table per case, and the goals beside what was reached."""

from __future__ import annotations

from statistics import median

CPU_RATIO_GOAL = 20.0
WALL_OVERHEAD_GOAL = 1.10
MEMORY_GOAL_MB, MEMORY_GOAL_SAMPLES = 200.0, 100_000
STARTUP_GOAL_MS = 20.0


def ideal_s(samples: float, latency_ms: float, connections: int) -> float:
    """The least wall time that this latency and this many connections allow."""
    return samples * latency_ms / 1000 / connections


def summarise(runs: list[dict]) -> list[dict]:
    """Medians over the repetitions of each (harness, samples, latency); failed runs only count as failures."""
    groups: dict[tuple, list[dict]] = {}
    for run in runs:
        groups.setdefault((run["samples"], run["latency_ms"], run["harness"]), []).append(run)
    rows = []
    for (samples, latency, harness), group in groups.items():
        good = [run for run in group if run["ok"]]
        row = {"harness": harness, "samples": samples, "latency_ms": latency, "runs": len(good)}
        row |= {"failures": len(group) - len(good)}
        if good:
            keys = ["requests", "wall_s", "cpu_s", "peak_mb", "window_s", "latency_s", "peak_in_flight", "body_bytes"]
            row |= {key: median(run[key] for run in good) for key in keys}
            row["cpu_ms_per_sample"] = 1000 * median(run["cpu_s"] / run["requests"] for run in good)
            row["cpu_s_range"] = [min(run["cpu_s"] for run in good), max(run["cpu_s"] for run in good)]
            row["wall_s_range"] = [min(run["wall_s"] for run in good), max(run["wall_s"] for run in good)]
        rows.append(row)
    return rows


def add_marginal(rows: list[dict]) -> None:
    """CPU per further sample, from the smallest to the largest number of samples: the cost without the start."""
    for row in rows:
        same = [r for r in rows if r["runs"] and (r["harness"], r["latency_ms"]) == (row["harness"], row["latency_ms"])]
        sizes = sorted(same, key=lambda r: r["requests"])
        if row["runs"] and len(sizes) > 1 and sizes[-1]["requests"] > sizes[0]["requests"]:
            more = sizes[-1]["requests"] - sizes[0]["requests"]
            row["marginal_cpu_ms"] = 1000 * (sizes[-1]["cpu_s"] - sizes[0]["cpu_s"]) / more


def cell(row: dict, key: str, form: str) -> str:
    return format(row[key], form) if key in row else "–"


def case_table(rows: list[dict], connections: int) -> list[str]:
    lines = [
        "| harness | requests | wall s | wall / ideal | window s | CPU s | CPU ms/sample | further sample, CPU ms "
        "| peak MB | latency ms | in flight | body B |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in sorted(rows, key=lambda r: r.get("cpu_ms_per_sample", float("inf"))):
        if not row["runs"]:
            lines.append(f"| {row['harness']} | failed ({row['failures']}×) |" + " |" * 10)
            continue
        ideal = ideal_s(row["requests"], row["latency_ms"], connections)
        over = f"{row['wall_s'] / ideal:.2f}" if ideal else "–"
        note = f" ({row['failures']} failed)" if row["failures"] else ""
        lines.append(
            f"| {row['harness']}{note} | {row['requests']:.0f} | {row['wall_s']:.2f} | {over} | {row['window_s']:.2f} "
            f"| {row['cpu_s']:.2f} | {row['cpu_ms_per_sample']:.2f} | {cell(row, 'marginal_cpu_ms', '.2f')} "
            f"| {row['peak_mb']:.0f} | {1000 * row['latency_s'] / row['requests']:.1f} | {row['peak_in_flight']:.0f} "
            f"| {row['body_bytes'] / row['requests']:.0f} |"
        )
    return lines


def verdict(reached: bool) -> str:
    return "reached" if reached else "**missed**"


def goals(rows: list[dict], startup: list[dict], connections: int) -> list[str]:
    lines = ["| goal | figure | |", "|---|---|---|"]
    for row in (r for r in rows if r["harness"] == "ostrom" and r["runs"]):
        case = f"{row['requests']:.0f} samples, {row['latency_ms']:g} ms"
        peers = [
            r
            for r in rows
            if r["harness"] != "ostrom"
            and r["runs"]
            and (r["samples"], r["latency_ms"]) == (row["samples"], row["latency_ms"])
        ]
        if peers:
            best = min(peers, key=lambda r: r["cpu_ms_per_sample"])
            ratio = best["cpu_ms_per_sample"] / row["cpu_ms_per_sample"]
            lines.append(
                f"| ≥ {CPU_RATIO_GOAL:.0f}× less CPU per sample than the best peer ({case}) "
                f"| {ratio:.1f}× less than {best['harness']} | {verdict(ratio >= CPU_RATIO_GOAL)} |"
            )
        ideal = ideal_s(row["requests"], row["latency_ms"], connections)
        if ideal:
            over = row["wall_s"] / ideal
            lines.append(
                f"| wall time within 10 % of N × latency / connections ({case}) "
                f"| {row['wall_s']:.3f} s against {ideal:.3f} s ({over:.2f}×) | {verdict(over <= WALL_OVERHEAD_GOAL)} |"
            )
        if row["requests"] >= MEMORY_GOAL_SAMPLES:
            lines.append(
                f"| {MEMORY_GOAL_SAMPLES} samples in less than {MEMORY_GOAL_MB:.0f} MB ({case}) "
                f"| {row['peak_mb']:.0f} MB | {verdict(row['peak_mb'] < MEMORY_GOAL_MB)} |"
            )
    for start in startup:
        if start["harness"] == "ostrom":
            reached = verdict(start["median_ms"] < STARTUP_GOAL_MS)
            lines.append(
                f"| `--version` in less than {STARTUP_GOAL_MS:.0f} ms | {start['median_ms']:.1f} ms | {reached} |"
            )
    return lines if len(lines) > 2 else ["Goals are about ostrom, which was not measured in this run."]


def markdown(result: dict) -> str:
    rows, machine, connections = result["rows"], result["machine"], result["connections"]
    lines = ["# Harness benchmark", "", f"Made by `{result['command']}` at {result['time']}.", ""]
    size = f"{machine['cores']} cores, {machine['memory_gb']:.0f} GB"
    lines += [
        f"Machine: {machine['cpu']}, {size}, {machine['kernel']}; load {machine['load_before']:.1f} before the run."
    ]
    lines += ["Versions: " + ", ".join(f"{name} {version}" for name, version in result["versions"].items()) + "."]
    for samples, latency in sorted({(row["samples"], row["latency_ms"]) for row in rows}):
        ideal = ideal_s(samples, latency, connections)
        title = f"{samples} samples, {latency:g} ms latency, {connections} connections"
        lines += ["", f"## {title}" + (f" (ideal {ideal:.2f} s)" if ideal else ""), ""]
        lines += case_table([r for r in rows if (r["samples"], r["latency_ms"]) == (samples, latency)], connections)
    if rows:
        lines += [
            "",
            "Medians over the repetitions. *Requests*, *latency*, *in flight* and *body* are the mock's counts; in flight "
            "shows concurrency only where there is latency. *Window* is the time from its first request to its last answer, "
            "without the harness's start and end. *CPU* is user plus system time of the process tree, start included; "
            "*further sample* leaves the start out. Memory of several processes is the sum of their proportional sets.",
        ]
    if result["startup"]:
        lines += ["", "## Start", "", "| harness | median ms | min–max ms | runs |", "|---|---:|---:|---:|"]
        for start in result["startup"]:
            spread = f"{start['min_ms']:.1f}–{start['max_ms']:.1f}"
            lines.append(f"| {start['harness']} | {start['median_ms']:.1f} | {spread} | {start['runs']} |")
    lines += ["", "## Goals", ""] + goals(rows, result["startup"], connections)
    return "\n".join(lines) + "\n"
