#!/usr/bin/env python3
"""The MCP conformance suite against servers, directly and through the guard: the same verdicts, check by check.

    cargo build
    bench/guard/conformance.py [--work FOLDER] [--node NODE] [--ostrom FILE] [--only WORD] [--keep FOLDER] [--json FILE]

It installs the packages below from the npm registry into --work (and Node 22 too where the one at hand is older, since the
suite needs it), starts each server on a free loopback port, runs the suite, starts the guard before it and runs the
suite again. What differs must be named in DIFFERENCES, with the reason; a difference that is not, or a name in it that no longer occurs, is exit 1.
"""
import argparse
import collections
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLD = "@modelcontextprotocol/conformance@0.1.16"
NEW = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"

# Nothing in this policy refuses anything, so that what is compared is the protocol.
POLICY = """
[guard]
new-definitions = "trust-on-first-use"
[front]
listen = "127.0.0.1:{port}"
[servers.under-test]
url = "{url}"
[servers.under-test.defaults]
critical = false
influencers = "anyone"
result = {{ influencers = [], readers = "everyone", reveal = "value" }}
[servers.under-test.resources]
influencers = "anyone"
result = {{ influencers = [], readers = "everyone", reveal = "value" }}
[servers.under-test.prompts]
influencers = "anyone"
result = {{ influencers = [], readers = "everyone", reveal = "value" }}
"""

# One comparison each: name, server, its era, the suite, its revision, and the era of the server behind the guard if it
# is another one (the guard bridges then; directly, the suite talks to the server of its own era).
COMPARISONS = [
    ("sessions, 0.1.16", "own", "legacy", OLD, None, None),
    ("2025-06-18", "own", "legacy", NEW, "2025-06-18", None),
    ("2025-11-25", "own", "legacy", NEW, "2025-11-25", None),
    ("2026-07-28", "own", "modern", NEW, "2026-07-28", None),
    ("2025-11-25 before a server of 2026-07-28", "own", "legacy", NEW, "2025-11-25", "modern"),
    ("2026-07-28 before a server of 2025-11-25", "own", "modern", NEW, "2026-07-28", "legacy"),
    ("sessions, 0.1.16, server-everything", "everything", "legacy", OLD, None, None),
    ("2025-11-25, server-everything", "everything", "legacy", NEW, "2025-11-25", None),
]

# (comparison, or server, or "*"; scenario; check): why the guard's verdict is another one.
NO_STREAM = (
    "The guard answers with JSON where nothing but the answer is to be sent, which the specification leaves to servers; so there is no stream to look at."
)
NO_RESUMING = (
    "The guard's streams cannot be resumed (a SHOULD): results that are taken up by an event's id would be kept for whoever has it. It does resume the "
    "streams of the servers behind it, and answers with JSON here, so the suite finds nothing to look at."
)
UNKNOWN_TOOL = (
    "server-everything has no such tool and says so in a tool result with isError, which this check takes for the tool's own; the guard passes calls of "
    "tools that it has no definition of to nobody, and answers with the protocol error that the specification has for it."
)
BRIDGED = (
    "Revisions with sessions have no error for a capability that a client lacks. The guard's session with the server declares what this client declared, and the server "
    "refuses with -32602, which says nothing about capabilities and is passed on as it is."
)
UNASKED = "The check answers a question that nobody asked it, in its first request. The guard passes a client's answers on only to the question that was asked, since an answer's way is checked like any other flow; here it asks first. Extra keys beside asked ones are ignored, as they should."
NAMELESS = "In a session, a server's questions have no names, so the guard cannot know the one that the check expects."

DIFFERENCES = {
    ("2026-07-28", "input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params"): UNASKED,
    ("2026-07-28 before a server of 2025-11-25", "input-required-result-ignore-extra-params", "sep-2322-ignore-unexpected-params"): UNASKED,
    ("2026-07-28 before a server of 2025-11-25", "input-required-result-basic-elicitation", "sep-2322-elicitation-complete"): NAMELESS,
    ("2026-07-28 before a server of 2025-11-25", "input-required-result-basic-elicitation", "sep-2322-elicitation-incomplete"): NAMELESS,
    ("*", "server-sse-polling", "server-sse-priming-event"): NO_RESUMING,
    ("*", "server-sse-polling", "server-sse-retry-field"): NO_RESUMING,
    ("*", "server-sse-polling", "server-sse-disconnect-resume"): NO_RESUMING,
    ("everything", "server-sse-polling", "incoming-sse-event"): "It has no tool test_reconnection. " + NO_STREAM,
    ("everything", "server-sse-multiple-streams", "server-sse-streams-functional"): NO_STREAM,
    ("everything", "tools-call-simple-text", "tools-call-simple-text"): UNKNOWN_TOOL,
    ("everything", "tools-call-error", "tools-call-error"): UNKNOWN_TOOL,
    ("everything", "dns-rebinding-protection", "localhost-host-rebinding-rejected"): "Better: the guard checks Host and Origin, server-everything does not.",
    ("everything", "server-session-lifecycle", "server-session-terminated-returns-404"): "Better: the guard answers 404 after a session's end, server-everything 400.",
    ("2026-07-28 before a server of 2025-11-25", "server-stateless", "sep-2575-missing-capability-http-400"): BRIDGED,
    ("2026-07-28 before a server of 2025-11-25", "server-stateless", "sep-2575-server-rejects-undeclared-capability"): BRIDGED,
}


def run(command, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return done.stdout


def install(work, package):
    folder = work / package.rsplit("/", 1)[-1].replace("@", "-")
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        run(["npm", "install", "--no-audit", "--no-fund", package], cwd=folder)
        (folder / "installed").touch()
    return folder / "node_modules"


def node_of(given, work):
    """A Node of 22 or newer: the one given, the one at hand, or the registry's."""
    for node in [given] if given else [shutil.which("node")]:
        if node and int(run([node, "--version"]).lstrip("v").split(".")[0]) >= 22:
            return node
    return str(install(work, "node@22") / "node" / "bin" / "node")


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(number, process, log):
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            return socket.create_connection(("127.0.0.1", number), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {number}:\n{log.read_text()[-2000:]}")


class Running:
    """Processes of one comparison, each with its log, ended with it."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []

    def start(self, name, command, number, **environment):
        log = self.folder / f"{name}.log"
        with log.open("w") as out:
            process = subprocess.Popen(command, env=dict(os.environ, **environment), stdout=out, stderr=out)
        self.processes.append(process)
        wait_for(number, process, log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def verdicts(node, modules, url, revision, folder):
    """What the suite says: for every check of every scenario its states in order, and the whole of what it said."""
    command = [node, str(modules / "@modelcontextprotocol/conformance/dist/index.js"), "server", "--url", url, "--suite", "all"]
    command += ["--spec-version", revision] if revision else []
    out = folder / "results"
    done = subprocess.run(command + ["-o", str(out)], capture_output=True, text=True, timeout=600)
    (folder / "suite.log").write_text(done.stdout + done.stderr)
    found = {}
    for file in sorted(out.glob("server-*/checks.json")):
        scenario = file.parent.name.removeprefix("server-").split("-20")[0]
        for check in json.loads(file.read_text()):
            found.setdefault((scenario, check["id"]), []).append(check)
    if not found:
        raise SystemExit(f"the suite said nothing:\n{(done.stdout + done.stderr)[-2000:]}")
    return found


# What the suite notes on the way (each event of a stream, say) is no verdict.
def states(checks):
    return [check["status"] for check in checks if check["status"] != "INFO"]


def compare(direct, guarded):
    """Which (scenario, check) are the same, and which differ: from what to what, and what the suite said."""
    same, differ = [], {}
    for key in sorted(direct.keys() | guarded.keys()):
        was, now = states(direct.get(key, [])), states(guarded.get(key, []))
        if was == now:
            same.extend(was)
        else:
            said = [check.get("errorMessage", "") for check in guarded.get(key, []) + direct.get(key, []) if check.get("errorMessage")]
            differ[key] = (was, now, said[0] if said else "")
    return same, differ


def reason(comparison, server, scenario, check):
    for key in [(where, scenario, check) for where in (comparison, server, "*")]:
        if key in DIFFERENCES:
            return key, DIFFERENCES[key]
    return None, None


def one(given, node, server, era, suite, revision, behind, folder):
    folder.mkdir()
    work = given.work
    modules = install(work, suite)
    with Running(folder) as running:
        def serve(label, era):
            number = port()
            if server == "own":
                script = [node, str(ROOT / "bench/guard/conformance_server.mjs"), str(number), era]
                running.start(label, script, number)
            else:
                script = install(work, EVERYTHING) / "@modelcontextprotocol/server-everything/dist/index.js"
                running.start(label, [node, str(script), "streamableHttp"], number, PORT=str(number))
            return f"http://127.0.0.1:{number}/mcp"

        url = serve("server", era)
        (folder / "direct").mkdir()
        direct = verdicts(node, modules, url, revision, folder / "direct")
        inner = serve("server-behind", behind) if behind else url
        number = port()
        config = folder / "guard.toml"
        config.write_text(POLICY.format(port=number, url=inner))
        command = [given.ostrom, "guard", "run", "--config", str(config), "--state", str(folder / "state")]
        running.start("guard", command, number, OSTROM_HOME=str(folder / "home"))
        (folder / "guarded").mkdir()
        guarded = verdicts(node, modules, f"http://127.0.0.1:{number}/mcp", revision, folder / "guarded")
    return compare(direct, guarded)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--work", type=Path, help="where packages are installed, and kept for the next time")
    parse.add_argument("--node", help="a Node of 22 or newer")
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target"))
    parse.add_argument("--ostrom", default=str(Path(target) / "debug" / "ostrom"))
    parse.add_argument("--only", help="only comparisons with this word in their name")
    parse.add_argument("--keep", type=Path, help="keep logs and results in this new folder")
    parse.add_argument("--json", type=Path)
    given = parse.parse_args()
    figures, used, unnamed = [], set(), 0
    with tempfile.TemporaryDirectory() as temporary:
        given.work = (given.work or Path(temporary) / "work").resolve()
        folder = given.keep or Path(temporary) / "runs"
        folder.mkdir(parents=True)
        folder = folder.resolve()
        node = node_of(given.node, given.work)
        for number, comparison in enumerate(COMPARISONS):
            name = comparison[0]
            if given.only and given.only not in name:
                continue
            same, differ = one(given, node, *comparison[1:], folder / str(number))
            counts = collections.Counter(same)
            print(f"\n{name}: {len(same)} the same ({', '.join(f'{n} {s.lower()}' for s, n in sorted(counts.items()))}), {len(differ)} differ")
            rows = []
            for (scenario, check), (was, now, said) in differ.items():
                key, why = reason(name, comparison[1], scenario, check)
                used.add(key)
                unnamed += why is None
                print(f"  {scenario} / {check}: {'+'.join(was) or 'absent'} -> {'+'.join(now) or 'absent'}")
                print(f"    {why or 'UNNAMED: ' + said[:400]}")
                rows.append({"scenario": scenario, "check": check, "direct": was, "guard": now, "why": why})
            figures.append({"comparison": name, "suite": comparison[3], "same": counts, "differ": rows})
    stale = [] if given.only else [key for key in DIFFERENCES if key not in used]
    for key in stale:
        print(f"\nnamed, but no longer there: {key}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))
    if unnamed or stale:
        raise SystemExit(f"\n{unnamed} differences without a reason, {len(stale)} reasons without a difference")
    print("\nEvery difference is named.")


if __name__ == "__main__":
    main()
