"""A small MCP client over stdio, and the control connection of `server.py`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REVISION = "2025-11-25"


class ProtocolError(Exception):
    """The other side answered with a JSON-RPC error, or not at all."""


class Client:
    """One MCP session with a process that speaks newline-delimited JSON-RPC."""

    def __init__(self, command: list[str], log: Any = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
        )
        self._next = 0
        self.request(
            "initialize",
            {
                "protocolVersion": REVISION,
                "capabilities": {},
                "clientInfo": {"name": "ostrom-agentdojo-replay", "version": "1"},
            },
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one request. Notifications that come before it are dropped."""
        self._next += 1
        self._send({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        assert self._process.stdout
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("id") != self._next or "method" in message:
                continue
            if "error" in message:
                raise ProtocolError(f"{method}: {message['error'].get('message')}")
            return message["result"]
        raise ProtocolError(f"{method}: the server has gone (exit status {self._process.poll()})")

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """One `tools/call`."""
        return self.request("tools/call", {"name": tool, "arguments": arguments})

    def tools(self) -> list[dict[str, Any]]:
        """All tools, over all pages."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.request("tools/list", {"cursor": cursor} if cursor else {})
            found += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def close(self) -> None:
        """Ends the session and its process."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Suite:
    """A running `server.py`: where agents connect to, and the control connection beside it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.truth: list[dict[str, Any]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="ostrom-dojo-")
        self.socket = os.path.join(self._folder.name, "mcp.sock")
        control = os.path.join(self._folder.name, "control.sock")
        command = [sys.executable, str(HERE / "server.py"), name, "--listen", self.socket, "--control", control]
        self._process = subprocess.Popen(command)
        self._connection = socket.socket(socket.AF_UNIX)
        for _ in range(600):
            if os.path.exists(control) and os.path.exists(self.socket):
                break
            if self._process.poll() is not None:
                raise ProtocolError(f"server.py {name} ended with {self._process.returncode}")
            time.sleep(0.05)
        self._connection.connect(control)
        self._control = self._connection.makefile("rw", encoding="utf-8")

    @property
    def command(self) -> list[str]:
        """The command that an agent or a guard starts to talk to the suite over stdio."""
        return [sys.executable, "-I", str(HERE / "relay.py"), self.socket]

    def _order(self, **order: Any) -> dict[str, Any]:
        self._control.write(json.dumps(order) + "\n")
        self._control.flush()
        return json.loads(self._control.readline())

    def load(self, user: str, injection: str | None) -> dict[str, Any]:
        """Starts `user`'s task over, with `injection` planted; its prompt, ground truth and expected output."""
        task = self._order(op="load", user=user, injection=injection)
        self.truth = task["truth"]
        return task

    def injected(self) -> dict[str, Any]:
        """The calls that the planted text makes an obedient agent do, and what it says."""
        return self._order(op="injected")

    def trace(self) -> list[dict[str, Any]]:
        """The calls that arrived so far."""
        return self._order(op="trace")["trace"]

    def verdict(self, output: str) -> dict[str, Any]:
        """AgentDojo's `utility` and `security`, and the calls that arrived."""
        return self._order(op="verdict", output=output)

    def close(self) -> None:
        """Ends the server."""
        self._control.close()
        self._connection.close()
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()
