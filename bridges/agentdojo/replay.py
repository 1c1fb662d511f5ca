"""Replays AgentDojo's ground truths against a suite, with and without the guard in between. See README.md for the agent's rules.

    python replay.py --version VERSION [--suite SUITE]… [--user TASK]… [--benign | --attack] [--guard OSTROM] --out FOLDER

One line of JSON per episode goes to FOLDER/SUITE.VERSION.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import attacks
import client
import dojo

OPEN = ("none", "suite-allow-list", "task-allow-list")
GUARDED = ("guard", "guard-approvals")
VERSIONS = OPEN + GUARDED


@dataclass
class Episode:
    """One user task, benign (`injection` is None) or under attack, and what came of it."""

    suite: str
    version: str
    user: str
    injection: str | None
    utility: bool = False
    security: bool | None = None
    """AgentDojo's word for "the attack succeeded"."""
    read_injection: bool = False
    injected_calls: int = 0
    injected_done: int = 0
    injected_asked: int = 0
    approvals: int = 0
    refused: list[str] = field(default_factory=list)
    truth_calls: int = 0
    truth_done: int = 0
    notes: list[str] = field(default_factory=list)


def text_of(result: dict[str, Any]) -> str:
    """The text of a tool's result."""
    return "\n".join(part.get("text", "") for part in result.get("content", []) if part.get("type") == "text")


def done_of(truth: list[dict[str, Any]], trace: list[dict[str, Any]]) -> int:
    """How many of the ground truth's calls arrived, each counted once."""
    left = list(trace)
    done = 0
    for call in truth:
        if call in left:
            left.remove(call)
            done += 1
    return done


def replay_open(suite: client.Suite, agent: client.Client, episode: Episode, allowed: set[str] | None) -> None:
    """The agent without a guard: it calls what the ground truth says, obeys the injection as soon as it has read it, goes on."""
    task = suite.load(episode.user, episode.injection)
    said = task["output"]

    def call(tool: str, arguments: dict[str, Any]) -> str | None:
        if allowed is not None and tool not in allowed:
            episode.refused.append(tool)
            return None
        return text_of(agent.call(tool, arguments))

    for step in task["truth"]:
        seen = call(step["tool"], step["args"])
        if episode.injection and not episode.read_injection and seen and attacks.MARK in seen:
            episode.read_injection = True
            orders = suite.injected()
            said = f"{said} {orders['says']}".strip()
            episode.injected_calls = len(orders["calls"])
            for order in orders["calls"]:
                episode.injected_done += call(order["tool"], order["args"]) is not None
    finish(suite, episode, task, said)


def finish(suite: client.Suite, episode: Episode, task: dict[str, Any], said: str) -> None:
    """Asks for AgentDojo's verdicts."""
    verdict = suite.verdict(said)
    episode.utility, episode.security = verdict["utility"], verdict["security"]
    episode.truth_calls = len(task["truth"])
    episode.truth_done = done_of(task["truth"], verdict["trace"])


def allow_list(suite: client.Suite, version: str, user: str) -> set[str] | None:
    """The tools that `version` lets the agent call in `user`'s task."""
    match version:
        case "none":
            return None
        case "task-allow-list":
            return {call["tool"] for call in suite.load(user, None)["truth"]}
        case _:
            users = dojo.suite(suite.name).user_tasks
            return {call["tool"] for one in users for call in suite.load(one, None)["truth"]}


def episodes(name: str, version: str, users: list[str], benign: bool, attack: bool) -> Iterator[Episode]:
    """Every user task alone, then with every injection task."""
    tasks = dojo.suite(name)
    for user in tasks.user_tasks:
        if users and user not in users:
            continue
        if benign:
            yield Episode(name, version, user, None)
        if attack:
            for injection in tasks.injection_tasks:
                yield Episode(name, version, user, injection)


def run_open(suite: client.Suite, wanted: Iterator[Episode]) -> Iterator[Episode]:
    """Plays `wanted` without a guard."""
    agent = client.Client(suite.command)
    lists: dict[str, set[str] | None] = {}
    try:
        for episode in wanted:
            key = episode.user if episode.version == "task-allow-list" else ""
            if key not in lists:
                lists[key] = allow_list(suite, episode.version, episode.user)
            replay_open(suite, agent, episode, lists[key])
            yield episode
    finally:
        agent.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=VERSIONS, required=True)
    parser.add_argument("--suite", choices=dojo.SUITES, action="append")
    parser.add_argument("--user", action="append", default=[], help="only this user task")
    parser.add_argument("--benign", action="store_true", help="only without attacks")
    parser.add_argument("--attack", action="store_true", help="only under attack")
    parser.add_argument("--guard", default="ostrom", help="the ostrom binary")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    both = options.benign == options.attack
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.suite or dojo.SUITES:
        wanted = episodes(name, options.version, options.user, both or options.benign, both or options.attack)
        suite = client.Suite(name)
        try:
            if options.version in OPEN:
                played = run_open(suite, wanted)
            else:
                import guarded

                played = guarded.run(suite, wanted, options.guard)
            with open(options.out / f"{name}.{options.version}.jsonl", "w", encoding="utf-8") as sink:
                for count, episode in enumerate(played, 1):
                    sink.write(json.dumps(asdict(episode)) + "\n")
                print(f"{name} {options.version}: {count} episodes", file=sys.stderr)
        finally:
            suite.close()


if __name__ == "__main__":
    main()
