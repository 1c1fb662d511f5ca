"""`agent.Door` to the model of the guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agent
import client
import replay
from model_guard import ModelGuard

POLICIES = Path(__file__).resolve().parent.parent / "policies"


class ModelDoor:
    def __init__(self, guard: ModelGuard) -> None:
        self.guard = guard

    def _outcome(self, result: dict[str, Any]) -> agent.Outcome:
        text = replay.text_of(result)
        if result.get("isError") and "structuredContent" not in result:
            status = "refused" if text.startswith("refused") else "failed"
            return agent.Outcome(status, text, (), result["_meta"].get("ostrom/approval"))
        return agent.Outcome("done", text, tuple(agent.REFERENCE.findall(text)))

    def call(self, tool: str, arguments: dict[str, Any]) -> agent.Outcome:
        return self._outcome(self.guard.call(tool, arguments))

    def plan(self, steps: list[dict[str, Any]]) -> agent.Outcome:
        result = self.guard.call("run_plan", {"plan": steps})
        outcome = self._outcome(result)
        if "structuredContent" in result:
            outcome.status = result["structuredContent"]["status"]
        return outcome

    def reveal(self, references: list[str]) -> list[str]:
        return [part["text"] for part in self.guard.call("reveal", {"refs": references})["content"]]


def play(suite: client.Suite, server: Any, episode: replay.Episode) -> None:
    """One episode against the model."""
    guard = ModelGuard(POLICIES / f"{suite.name}.toml", server)
    person = None
    if episode.version == "guard-approvals":

        def person(number: str) -> bool:
            truth = player.task["truth"]
            yes = agent.same_calls(guard.pending[number], truth)
            if yes:
                guard.approve(number)
            return yes

    player = agent.Agent(suite, ModelDoor(guard), person, episode)
    player.play()
