"""Plays episodes against the model of the guard."""

from __future__ import annotations

from typing import Any

import agent
import client
import guarded
import replay
from model_guard import ModelGuard


def play(suite: client.Suite, server: Any, episode: replay.Episode) -> None:
    """One episode."""
    guard = ModelGuard(guarded.POLICIES / f"{suite.name}.toml", server)
    person = None
    if episode.version == "guard-approvals":

        def person(number: str) -> bool:
            yes = agent.same_calls(guard.pending[number], player.task["truth"])
            if yes:
                guard.approve(number)
            return yes

    player = agent.Agent(suite, guarded.Door(guard), person, episode)
    player.play()
