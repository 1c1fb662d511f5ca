#!/usr/bin/env python3
"""What the guard costs: MCP tools/call over Streamable HTTP, direct and through the guard, by turns, in one run.

    cargo build --release && cargo build --release -p ostrom-guard --example guard_load
    bench/guard/run.py [--rounds 3] [--seconds 5] [--example [--threads N] [--against FILE]] [--json FILE]

With --example the guard is the one in guard_load, the same code without the rest of ostrom; --against takes the guard_load of another
build, whose guard is measured by turns with it, under the same noise. At the end it is stopped under load, a
hundred times, for how long that takes. Labels, a Cedar policy of 100 rules and the audit log are on. Loopback only; it stops by itself.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POLICY = """
[guard]
new-definitions = "trust-on-first-use"
[front]
listen = "127.0.0.1:{port}"
[limits]
calls-per-second = 1000000
concurrent-calls = 10000
[servers.load]
url = "http://127.0.0.1:{server}/mcp"
[servers.load.tools.echo]
critical = true
influencers = ["user", "server:load"]
result = {{ influencers = ["server:load"], readers = "everyone", reveal = "value" }}
[policy]
cedar = ["rules.cedar"]
[audit]
mode = "{mode}"
"""


def rules():
    """A hundred rules as people write them: one permits, the others are of one tool or principal; four look at the called tool's time, budget, labels and arguments."""
    lines = ["permit (principal, action, resource);"]
    forbid = 'forbid (principal, action == Action::"call", resource == Tool::"load/{tool}") when {{ {when} }};'
    conditions = [
        "context.time.hour == 25",
        "context.used.run > 1000000000",
        'context.control.influencers.contains("nobody")',
        'context.arguments.hasTag("/to") && context.arguments.getTag("/to") has text && context.arguments.getTag("/to").text == "x"',
    ]
    lines += [forbid.format(tool="echo", when=when) for when in conditions]
    for n in range(95):
        lines.append(forbid.format(tool=f"other{n}", when=conditions[n % len(conditions)]) if n % 5 else f'forbid (principal == Principal::"nobody{n}", action, resource);')
    return "\n".join(f'@id("rule-{n}")\n{line}' for n, line in enumerate(lines)) + "\n"


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(number, log=None):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {number}\n{log.read_text()[-2000:] if log else ''}")


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--seconds", type=float, default=5)
    parse.add_argument("--runs", type=int, default=1000)
    parse.add_argument("--connections", type=int, default=16)
    parse.add_argument("--json")
    parse.add_argument("--example", action="store_true")
    parse.add_argument("--threads", type=int, default=os.cpu_count(), help="of the guard, with --example")
    parse.add_argument("--against", help="guard_load of another build, with --example")
    parse.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")))
    given = parse.parse_args()
    release = Path(given.target) / "release"
    load = str(release / "examples" / "guard_load")
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        server = port()
        processes = [subprocess.Popen([load, "serve", f"127.0.0.1:{server}"], stdout=subprocess.DEVNULL)]
        guards = {}
        try:
            hop = port()
            wait_for(server)
            relay = subprocess.Popen([load, "relay", f"127.0.0.1:{hop}", f"127.0.0.1:{server}"], stdout=subprocess.DEVNULL)
            processes.append(relay)
            wait_for(hop)
            (folder / "rules.cedar").write_text(rules())
            others = [f"{mode}, other build" for mode in ["buffered", "durable"] if given.against]
            for mode in ["buffered", "durable"] + others:
                number = port()
                config = folder / f"{mode}.toml"
                config.write_text(POLICY.format(port=number, server=server, mode=mode.split(",")[0]))
                wait_for(server)
                environment = dict(os.environ, OSTROM_HOME=str(folder / "home"))
                state = str(folder / mode)
                command = [str(release / "ostrom"), "guard", "run", "--config", str(config), "--state", state]
                if given.example:
                    command = [given.against if mode in others else load, "guard", str(config), state, str(given.threads)]
                guard = subprocess.Popen(command, env=environment, stderr=open(folder / f"{mode}.log", "w"))
                processes.append(guard)
                wait_for(number, folder / f"{mode}.log")
                tokens = folder / f"{mode}.tokens"
                with tokens.open("w") as out:
                    subprocess.run([load, "mint", state, str(given.runs)], stdout=out, check=True)
                guards[mode] = (number, guard.pid, str(tokens))

            def call(where, connections, seconds, rate, tokens=None):
                command = [load, "call", f"127.0.0.1:{where}", str(connections), str(seconds), str(rate)]
                done = subprocess.run(command + ([tokens] if tokens else []), capture_output=True, text=True)
                if done.returncode != 0:
                    raise SystemExit(done.stderr + (folder / "buffered.log").read_text()[-2000:])
                return json.loads(done.stdout)

            for number, _, tokens in guards.values():
                call(number, 4, 1, 0, tokens)
            for _ in range(given.rounds):
                for name, rate, connections in [("1000/s", 1000, 4), ("as fast as it goes", 0, given.connections)]:
                    row = call(server, connections, given.seconds, rate)
                    figures.setdefault(f"direct, {name}", []).append(row)
                    # What any program in between costs here: this one looks at nothing.
                    before = cpu(relay.pid)
                    row = call(hop, connections, given.seconds, rate)
                    row["cpu_us"] = (cpu(relay.pid) - before) / row["calls"] * 1e6
                    row["memory_mib"] = memory(relay.pid)
                    figures.setdefault(f"relay of bytes, {name}", []).append(row)
                    for mode, (number, pid, tokens) in guards.items():
                        before = cpu(pid)
                        row = call(number, connections, given.seconds, rate, tokens)
                        row["cpu_us"] = (cpu(pid) - before) / row["calls"] * 1e6
                        row["memory_mib"] = memory(pid)
                        figures.setdefault(f"guard ({mode}), {name}", []).append(row)
            stops = {}
            for mode, (number, _, _) in guards.items():
                stop = [load, "stop", str(folder / mode), f"127.0.0.1:{number}", "4", "100"]
                stops[mode] = json.loads(subprocess.run(stop, capture_output=True, text=True, check=True).stdout)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
    print(f"{'':<40} {'calls/s':>8} {'p50 us':>8} {'p99 us':>8} {'CPU us':>7} {'MiB':>6}")
    for name, rows in figures.items():
        middle = lambda key: statistics.median(row[key] for row in rows) if key in rows[0] else float("nan")
        rate = statistics.median(row["calls"] / row["seconds"] for row in rows)
        print(f"{name:<40} {rate:>8.0f} {middle('p50'):>8.0f} {middle('p99'):>8.0f} {middle('cpu_us'):>7.1f} {middle('memory_mib'):>6.1f}")
    for mode, row in stops.items():
        print(f"stop ({mode}), {row['stops']} times under load: first call refused after {row['refused_p50']:.0f} us (p50), {row['refused_max']:.0f} us (max); "
              f"calls sent after the stop was answered that went through: {row['let_through_after']}")
    if given.json:
        Path(given.json).write_text(json.dumps(figures | {"stop": stops}, indent=1))


main()
