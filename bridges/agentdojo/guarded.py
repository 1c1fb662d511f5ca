"""The guard between agent and suite: starts it, speaks to it, and answers for the person."""

from __future__ import annotations

import json
import os
import subprocess
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
            with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
                guard = client.Client([ostrom, "guard", "run", "--config", str(config)], log)
                try:
                    person = _person(suite, episode, [ostrom, "guard", "approve", "--config", str(config)])
                    agent.Agent(suite, Door(guard), person, episode).play()
                finally:
                    guard.close()
        yield episode


def _person(suite: client.Suite, episode: replay.Episode, approve: list[str]) -> agent.Person | None:
    """Somebody who knows what the user wants: says yes to the ground truth's calls with these arguments, and to nothing else."""
    if episode.version != "guard-approvals":
        return None

    def answer(request: str) -> bool:
        listed = subprocess.run([*approve, "--list", "--json"], capture_output=True, text=True, check=True)
        asked = next(one for one in json.loads(listed.stdout) if one["digest"].startswith(request))
        if not agent.same_calls(calls_of(asked), suite.truth):
            return False
        subprocess.run([*approve, request], capture_output=True, check=True)
        return True

    return answer


def calls_of(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls that an approval would let through."""
    if asked["tool"] == "run_plan":
        steps = asked["arguments"]["plan"]["plan"]
        return [{"tool": step["call"], "args": step["with"]} for step in steps if "call" in step]
    return [{"tool": asked["tool"], "args": asked["arguments"]}]
