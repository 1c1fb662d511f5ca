"""One AgentDojo suite as an MCP server (revision 2025-11-25, newline-delimited JSON-RPC).

    python server.py banking                                    over stdio
    python server.py banking --listen mcp.sock --control c.sock over a socket (`relay.py` makes it stdio again)

The control socket belongs to whoever measures: it loads tasks and asks AgentDojo's own `utility` and `security` for their
verdicts. Agents and guards never see it.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import socket
import sys
import threading
from functools import lru_cache
from typing import Any, TextIO

import attacks
import dojo
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from agentdojo.types import text_content_block_from_string

REVISION = "2025-11-25"
MAX_LINE = 4 << 20


class State:
    """A suite with one environment: what tools act on, and what verdicts are about."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.suite = dojo.suite(name)
        self.runtime = FunctionsRuntime(self.suite.tools)
        self.lock = threading.Lock()
        self.user: Any = None
        self.injection: Any = None
        self.load(None, None)

    @lru_cache(maxsize=64)  # noqa: B019 (one State per process)
    def _fresh(self, planted: tuple[tuple[str, str], ...]) -> Any:
        return self.suite.load_and_inject_default_environment(dict(planted))

    def load(self, user: str | None, injection: str | None) -> dict[str, Any]:
        """Starts over with `user`'s environment, in which `injection` (if any) is planted."""
        self.user = self.suite.user_tasks[user] if user else None
        self.injection = self.suite.injection_tasks[injection] if injection else None
        planted = attacks.planted(self.name, self.user, self.injection) if self.user and self.injection else {}
        environment = copy.deepcopy(self._fresh(tuple(sorted(planted.items()))))
        if self.user:
            environment = self.user.init_environment(environment)
        self.environment = environment
        self.before = environment.model_copy(deep=True)
        self.trace: list[FunctionCall] = []
        if not self.user:
            return {}
        truth = self.user.ground_truth(self.before.model_copy(deep=True))
        return {
            "prompt": self.user.PROMPT,
            "truth": [_plain(call) for call in truth],
            "output": self.user.GROUND_TRUTH_OUTPUT,
            "planted": sorted(planted),
        }

    def injected(self) -> dict[str, Any]:
        """What the attacker's text makes an obedient agent do now."""
        calls = attacks.injected_calls(self.name, self.injection, self.environment)
        return {"calls": [_plain(call) for call in calls], "says": attacks.spoken(self.name, self.injection)}

    def verdict(self, output: str) -> dict[str, Any]:
        """AgentDojo's verdicts on the calls that arrived here and the agent's final `output`."""
        said = [text_content_block_from_string(output)]
        check = self.suite._check_task_result
        utility = check(self.user, said, self.before, self.environment, self.trace)
        security = None
        if self.injection:
            security = bool(check(self.injection, said, self.before, self.environment, self.trace))
        return {"utility": bool(utility), "security": security, "trace": [_plain(call) for call in self.trace]}

    def call(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """One `tools/call`: the result as AgentDojo shows it to a model, and as data."""
        with self.lock:
            self.trace.append(FunctionCall(function=name, args=dict(arguments)))
            value, error = self.runtime.run_function(self.environment, name, arguments)
            if error:
                return {"content": [{"type": "text", "text": error}], "isError": True}
            return {
                "content": [{"type": "text", "text": dojo.show(value)}],
                "structuredContent": {"result": dojo.as_json(value)},
            }

    def tools(self) -> list[dict[str, Any]]:
        """The tools' definitions."""
        return [
            {"name": tool.name, "description": tool.description, "inputSchema": _schema(tool.parameters)}
            for tool in self.suite.tools
        ]


def _plain(call: FunctionCall) -> dict[str, Any]:
    return {"tool": call.function, "args": dojo.as_json(dict(call.args))}


def _schema(model: Any) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.setdefault("properties", {})
    return schema


class Failure(Exception):
    """A JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def answer(state: State, request: Any) -> dict[str, Any] | None:
    """The response to one JSON-RPC message; none for notifications."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, -32600, "not a request")
    if "id" not in request:
        return None
    try:
        return {"jsonrpc": "2.0", "id": request["id"], "result": _result(state, request)}
    except Failure as failure:
        return _error(request["id"], failure.code, str(failure))


def _error(request_id: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


def _result(state: State, request: dict[str, Any]) -> dict[str, Any]:
    params = request.get("params") or {}
    match request["method"]:
        case "initialize":
            return {
                "protocolVersion": REVISION,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": f"agentdojo-{state.name}", "version": dojo.VERSION},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": state.tools()}
        case "tools/call":
            name, arguments = params.get("name"), params.get("arguments") or {}
            if name not in state.runtime.functions:
                raise Failure(-32602, f"no tool is named {name!r}")
            if not isinstance(arguments, dict):
                raise Failure(-32602, "arguments must be an object")
            return state.call(name, arguments)
        case method:
            raise Failure(-32601, f"method {method!r} is not supported")


def serve(state: State, source: TextIO, sink: TextIO) -> None:
    """Answers MCP messages until `source` ends."""
    for line in iter(lambda: source.readline(MAX_LINE), ""):
        if not line.strip():
            continue
        try:
            response = answer(state, json.loads(line))
        except json.JSONDecodeError as error:
            response = _error(None, -32700, str(error))
        if response is not None:
            sink.write(json.dumps(response) + "\n")
            sink.flush()


def control(state: State, source: TextIO, sink: TextIO) -> None:
    """Answers the measuring side: `load`, `injected`, `trace`, `verdict`, one JSON object a line."""
    for line in source:
        order = json.loads(line)
        with state.lock:
            match order["op"]:
                case "load":
                    reply = state.load(order.get("user"), order.get("injection"))
                case "injected":
                    reply = state.injected()
                case "trace":
                    reply = {"trace": [_plain(call) for call in state.trace]}
                case "verdict":
                    reply = state.verdict(order["output"])
                case op:
                    reply = {"error": f"unknown op {op!r}"}
        sink.write(json.dumps(reply) + "\n")
        sink.flush()


def _accept(state: State, path: str, handler: Any) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(8)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("r", encoding="utf-8") as source:
                with connection.makefile("w", encoding="utf-8") as sink:
                    try:
                        handler(state, source, sink)
                    except (BrokenPipeError, ConnectionResetError):
                        continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=dojo.SUITES)
    parser.add_argument("--listen", metavar="SOCKET", help="serve MCP on this unix socket instead of stdio")
    parser.add_argument("--control", metavar="SOCKET", help="where the measuring side connects")
    options = parser.parse_args()
    # Some of AgentDojo's checks print; the protocol's stream is not theirs.
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    state = State(options.suite)
    if options.control:
        threading.Thread(target=_accept, args=(state, options.control, control), daemon=True).start()
    if options.listen:
        _accept(state, options.listen, serve)
    else:
        serve(state, sys.stdin, protocol)


if __name__ == "__main__":
    main()
