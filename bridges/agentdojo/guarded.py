"""The guard between agent and suite: starts it, speaks to it, and answers for the person."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agent
import client
import replay

POLICIES = Path(__file__).resolve().parent / "policies"
REFUSED = "org.ostrom/refused"
# As many handles as one call of `reveal` takes.
MAX_REVEALED = 100


class Door:
    """`agent.Door` to whatever answers `tools/call` as the guard does."""

    def __init__(self, guard: Any) -> None:
        self.guard = guard

    def call(self, tool: str, arguments: dict[str, Any]) -> agent.Outcome:
        """One call."""
        try:
            return outcome(self.guard.call(tool, arguments))
        except client.ProtocolError as error:
            return agent.Outcome("failed", str(error))

    def plan(self, steps: list[dict[str, Any]]) -> agent.Outcome:
        """A plan, whose calls' results are all returned, most of them by reference."""
        return self.call("run_plan", {"plan": [*steps, {"return": {name: {"ref": name} for name in outputs(steps)}}]})

    def reveal(self, references: list[str]) -> list[str]:
        """What the references stand for."""
        texts = []
        for start in range(0, len(references), MAX_REVEALED):
            texts.append(replay.text_of(self.guard.call("reveal", {"ref": references[start : start + MAX_REVEALED]})))
        return texts


def outcome(result: dict[str, Any]) -> agent.Outcome:
    """What came of a call."""
    text = replay.text_of(result)
    refused = (result.get("_meta") or {}).get(REFUSED)
    if refused:
        asked = refused["request"] if refused["code"] == "approval-needed" else None
        return agent.Outcome("refused", text, (), asked)
    status = "failed" if result.get("isError") else "done"
    return agent.Outcome(status, text, tuple(dict.fromkeys(agent.REFERENCE.findall(text))))


def outputs(steps: list[dict[str, Any]]) -> list[str]:
    """The names of calls and lists that the whole plan knows."""
    return [step["id"] for step in steps if "id" in step]


def configured(name: str, command: list[str], folder: Path) -> Path:
    """The suite's policy as a configuration that starts `command`."""
    text = (POLICIES / f"{name}.toml").read_text(encoding="utf-8")
    path = folder / "guard.toml"
    text = text.replace('command = ["SERVER"]', f"command = {json.dumps(command)}")
    path.write_text(text.replace("[guard]\n", f"[guard]\nstate = {json.dumps(str(folder / 'state'))}\n", 1), encoding="utf-8")
    return path


def run(suite: client.Suite, wanted: Iterator[replay.Episode], ostrom: str) -> Iterator[replay.Episode]:
    """Plays `wanted`, each episode with a guard of its own."""
    for episode in wanted:
        with tempfile.TemporaryDirectory(prefix="ostrom-guard-") as folder:
            config = configured(suite.name, suite.command, Path(folder))
            with open(os.path.join(folder, "log"), "w+", encoding="utf-8") as log:
                try:
                    guard = client.Client([ostrom, "guard", "run", "--config", str(config)], log)
                except (client.ProtocolError, BrokenPipeError) as error:
                    log.seek(0)
                    raise client.ProtocolError(f"the guard does not start: {log.read()}") from error
                try:
                    person = Person(suite, Path(folder) / "state") if episode.version == "guard-approvals" else None
                    agent.Agent(suite, Door(guard), person, episode).play()
                finally:
                    guard.close()
        yield episode


class Person:
    """Somebody who knows what the user wants: says yes to the ground truth's calls with exactly their arguments, no to all else.

    Answers where `ostrom guard approve` does: on the socket in the guard's state folder, which no agent can open, with the
    secret that lies beside it.
    """

    def __init__(self, suite: client.Suite, state: Path) -> None:
        self.suite = suite
        self.socket = str(state / "control.sock")
        self.secret = state / "control.secret"

    def __call__(self, request: str) -> bool:
        asked = next(one for one in self._ask({"command": "waiting"})["waiting"] if one["digest"].startswith(request))
        yes = agent.same_calls(calls_of(asked), self.suite.truth)
        self._ask({"command": "answer", "request": asked["digest"], "approve": yes})
        return yes

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps({**command, "secret": self.secret.read_text()}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
        if "error" in answer:
            raise client.ProtocolError(f"the guard's control socket: {answer['error']}")
        return answer


def calls_of(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls that an approval would let through."""
    if asked["tool"] != "run_plan":
        return [{"tool": asked["tool"], "args": asked["arguments"]}]
    steps = asked["arguments"]["plan"]["plan"]
    return [{"tool": step["call"], "args": step["with"]} for step in steps if "call" in step]
