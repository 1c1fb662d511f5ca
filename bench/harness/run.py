#!/usr/bin/env python3
"""Compares Ostrom's harness with its peers against a mock endpoint: CPU, wall time and memory for the same work.

    bench/harness/setup.sh                                  # once: installs the peers
    cargo build --release -p ostrom -p xtask
    bench/harness/run.py                                    # 887 samples, 0 and 50 ms, everyone in turn
    bench/harness/run.py --samples 9757,100231 --only ostrom
    bench/harness/run.py startup                            # `--version`, median of 50

Ostrom runs the suite in `bench/harness/suite`, which makes 887 trials, as often as the samples ask for; the peers make as
many samples, so use multiples of 887.

Every run happens in a network namespace of its own where the system allows it, so nothing can leave the machine. Needs
Linux and Python 3.11, no packages.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shlex
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path

sys.dont_write_bytecode = True  # the repository is not the place for it

import harnesses
import measure
import report

REPOSITORY = Path(__file__).resolve().parents[2]

# How Ostrom and the mock are started, from the repository's root. In OSTROM the words {suite}, {port}, {out},
# {connections} and {repeat} are filled in.
OSTROM_BINARY = "target/release/ostrom"
OSTROM = (
    "{binary} eval run --suite {suite} --target openai:mock --base-url http://127.0.0.1:{port}/v1 "
    "--concurrency {connections} --repeat {repeat} --out {out} --json"
)
SUITE = Path("bench/harness/suite")
# Trials that the suite makes; a run that made another number counts as failed.
SUITE_TRIALS = 887
OSTROM_EXITS = {0}
OSTROM_ENV = {"OPENAI_API_KEY": "none"}
MOCK = "target/release/xtask mock-endpoint"

STARTUP_RUNS = 50
WARM_UP_SAMPLES = 20


class Mock:
    """The mock endpoint for one run; it stops by itself should this script not stop it."""

    def __init__(self, command: str, latency_ms: float, samples: int, seconds: float) -> None:
        limits = ["--requests-limit", str(20 * samples + 100_000), "--seconds-limit", str(int(seconds) + 60)]
        flags = ["--port", "0", "--latency-ms", str(int(latency_ms))] + limits
        self.process = subprocess.Popen(
            shlex.split(command) + flags, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            raise SystemExit(f"run: the mock did not start: {command}")
        self.port = int(line)

    def __enter__(self) -> Mock:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def stats(self) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats", timeout=10) as answer:
            return json.load(answer)


def ostrom(arguments: argparse.Namespace, place: harnesses.Place) -> harnesses.Start:
    words = {
        "binary": REPOSITORY / arguments.ostrom,
        "suite": REPOSITORY / SUITE,
        "port": place.port,
        "out": place.folder / "out",
        "connections": place.connections,
        "repeat": place.samples // SUITE_TRIALS,
    }
    command = [word.format(**words) for word in shlex.split(arguments.ostrom_command)]
    return harnesses.Start(command, dict(OSTROM_ENV))


def environment(home: Path, extra: dict[str, str]) -> dict[str, str]:
    """A small environment, the same for everyone: no proxies, no credentials, no home but a scratch one."""
    base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), "NO_PROXY": "127.0.0.1,localhost"}
    base |= {"XDG_CACHE_HOME": str(home / ".cache"), "XDG_DATA_HOME": str(home / ".data")}
    base |= {"XDG_CONFIG_HOME": str(home / ".config"), "HF_HUB_OFFLINE": "1"}
    return base | extra


def run_once(arguments: argparse.Namespace, name: str, samples: int, latency_ms: float, work: Path) -> dict:
    home, folder = work / "home" / name, work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home.mkdir(parents=True, exist_ok=True)
    with Mock(arguments.mock, latency_ms, samples, arguments.timeout) as mock:
        place = harnesses.Place(arguments.cache, folder, home, samples, mock.port, arguments.connections)
        start = ostrom(arguments, place) if name == "ostrom" else harnesses.PEERS[name](place)
        log = folder / "log.txt"
        cost = measure.run(start.command, environment(home, start.env), folder, log, arguments.timeout)
        stats = mock.stats()
    exits = OSTROM_EXITS if name == "ostrom" else {0}
    expected = stats["completions"] == samples
    ok = cost.exit_code in exits and not cost.timed_out and expected
    if not ok:
        tail = log.read_text(errors="replace")[-1500:]
        asked = f"{stats['completions']} of {samples} requests, {stats['unknown']} to unknown routes"
        limit = f", over {arguments.timeout:.0f} s" if cost.timed_out else ""
        print(f"run: {name} failed: exit {cost.exit_code}{limit}, {asked}\n{tail}", file=sys.stderr)
    result = {"harness": name, "samples": samples, "latency_ms": latency_ms, "ok": ok, "requests": stats["completions"]}
    result |= asdict(cost) | {"processes": cost.peak_processes}
    result |= {
        key: stats[key] for key in ("others", "unknown", "body_bytes", "connections", "peak_in_flight", "latency_s", "window_s")
    }
    return result


def compare(arguments: argparse.Namespace, names: list[str], work: Path) -> list[dict]:
    for name in names:
        if name != "ostrom":  # fills byte-code and plug-in caches; Ostrom has none
            run_once(arguments, name, WARM_UP_SAMPLES, 0, work)
    runs = []
    for samples in arguments.samples:
        for latency_ms in arguments.latencies:
            for repetition in range(arguments.repeat):
                turn = repetition % len(names)
                for name in names[turn:] + names[:turn]:
                    run = run_once(arguments, name, samples, latency_ms, work)
                    runs.append(run)
                    print(
                        f"{name}: {samples} samples, {latency_ms:g} ms: {run['wall_s']:.2f} s, "
                        f"CPU {run['cpu_s']:.2f} s, {run['peak_mb']:.0f} MB, {run['requests']} requests"
                        + ("" if run["ok"] else ", FAILED"),
                        file=sys.stderr,
                    )
    return runs


def version_commands(arguments: argparse.Namespace) -> dict[str, list[str]]:
    cache = arguments.cache
    promptfoo = [cache / "promptfoo/node", cache / "promptfoo/node_modules/promptfoo/dist/src/entrypoint.js"]
    commands = {
        "ostrom": [REPOSITORY / arguments.ostrom, "--version"],
        "inspect": [cache / "inspect/bin/inspect", "--version"],
        "garak": [cache / "garak/bin/garak", "--version"],
        "promptfoo": [*promptfoo, "--version"],
    }
    return {name: [str(word) for word in words] for name, words in commands.items() if words[0].exists()}


def startup(arguments: argparse.Namespace, names: list[str], work: Path) -> list[dict]:
    results = []
    for name, command in version_commands(arguments).items():
        if name not in names:
            continue
        home = work / "home" / name
        home.mkdir(parents=True, exist_ok=True)
        env = environment(home, {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"})
        count = STARTUP_RUNS if name == "ostrom" else max(3, STARTUP_RUNS // 10)
        times = []
        for _ in range(count + 1):
            start = time.perf_counter()
            subprocess.run(command, env=env, cwd=work, check=True, capture_output=True, timeout=120)
            times.append(1000 * (time.perf_counter() - start))
        del times[0]  # the first fills the page cache
        row = {"harness": name, "runs": count, "median_ms": statistics.median(times)}
        results.append(row | {"min_ms": min(times), "max_ms": max(times)})
    return results


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = {"cpu": cpu, "cores": os.cpu_count(), "memory_gb": memory, "kernel": platform.release()}
    # What else ran meanwhile: wall times, and to a lesser degree CPU times, are worth less on a busy machine.
    return found | {"load_before": os.getloadavg()[0]}


def versions(arguments: argparse.Namespace, work: Path) -> dict[str, str]:
    """What each installed harness calls its version."""
    found = {}
    for name, command in version_commands(arguments).items():
        env = environment(work / "home" / name, {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1"})
        output = subprocess.run(command, env=env, cwd=work, capture_output=True, text=True, timeout=120).stdout
        words = [word.strip(",()").removeprefix("v") for word in output.split()]
        found[name] = next((w for w in words if w[:1].isdigit() and "." in w), "unknown")
    return found


def isolate() -> None:
    """Starts this script again in a network namespace that holds only loopback, if the system allows it."""
    inside = "OSTROM_BENCH_ISOLATED"
    if os.environ.get(inside):
        # Loopback is down in a new namespace: SIOCGIFFLAGS, set IFF_UP, SIOCSIFFLAGS.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(control, 0x8913, request))[1]
            fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))
        return
    enter = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if shutil.which("unshare") and subprocess.run([*enter, "true"], capture_output=True).returncode == 0:
        os.environ[inside] = "1"
        os.execvp(enter[0], [*enter, sys.executable, *sys.argv])
    print("run: no network namespace here; the harnesses keep this machine's network", file=sys.stderr)


def numbers(kind: type) -> object:
    return lambda text: [kind(word) for word in text.split(",")]


def main() -> None:
    everyone = ["ostrom", *harnesses.PEERS]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ostrom-bench"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", nargs="?", choices=["compare", "startup"], default="compare")
    parser.add_argument("--samples", type=numbers(int), default=[SUITE_TRIALS], help="multiples of 887 (887)")
    parser.add_argument("--latencies", type=numbers(float), default=[0, 50], help="ms, several with commas (0,50)")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case; the tables show medians (3)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="of: " + ", ".join(everyone))
    parser.add_argument("--ostrom", default=OSTROM_BINARY, help=f"the binary ({OSTROM_BINARY})")
    parser.add_argument("--ostrom-command", default=OSTROM, help="its command line, as a template")
    parser.add_argument("--mock", default=MOCK, help=f"how to start the mock endpoint ({MOCK})")
    parser.add_argument("--cache", type=Path, default=cache, help=f"what setup.sh installed ({cache})")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run (300)")
    parser.add_argument(
        "--out", type=Path, default=Path("target/bench-harness"), help="folder for results.md and .json"
    )
    arguments = parser.parse_args()
    arguments.cache, out = arguments.cache.resolve(), arguments.out.resolve()

    names = arguments.only or everyone
    if unknown := set(names) - set(everyone):
        parser.error(f"no such harness: {', '.join(sorted(unknown))}")
    # Nothing is left out in silence: what cannot run must be left out by name.
    if "ostrom" in names and not (REPOSITORY / arguments.ostrom).exists():
        parser.error(f"{arguments.ostrom} is not built; build it, or name the others with --only")
    if "ostrom" in names and any(samples % SUITE_TRIALS for samples in arguments.samples):
        parser.error(f"Ostrom's suite makes {SUITE_TRIALS} trials: give multiples of that")
    if missing := {name.split("-")[0] for name in names} - set(version_commands(arguments)) - {"ostrom"}:
        parser.error(f"not installed in {arguments.cache}: {', '.join(sorted(missing))}; run bench/harness/setup.sh")
    isolate()

    with tempfile.TemporaryDirectory(prefix="ostrom-bench-") as scratch:
        work = Path(scratch)
        result = {
            "command": shlex.join(["bench/harness/run.py", *sys.argv[1:]]),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": machine(),
            "versions": versions(arguments, work),
            "connections": arguments.connections,
            "runs": compare(arguments, names, work) if arguments.mode == "compare" else [],
            "startup": startup(arguments, names, work) if arguments.mode == "startup" else [],
        }
    result["rows"] = report.summarise(result["runs"])
    report.add_marginal(result["rows"])
    text = report.markdown(result)
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "results.md").write_text(text)
    print(text)
    if not all(run["ok"] for run in result["runs"]):
        raise SystemExit("run: some runs failed; see above")


if __name__ == "__main__":
    main()
