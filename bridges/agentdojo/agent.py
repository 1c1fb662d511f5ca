"""The agent that is replayed behind the guard. Its rules are in README.md, *The agent*."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import attacks
import client
import known
import replay
import yaml

PLANS = Path(__file__).resolve().parent / "plans"
READS = ("get_", "read_", "search_", "list_", "check_")
# In the report of a plan: something was not done.
FAILURE = re.compile(r'"undone_in_all"\s*:\s*[1-9]')
REFERENCE = re.compile(r"ostrom:ref:[0-9A-Za-z_-]+")


@dataclass
class Outcome:
    """What came of a call, a plan or a reveal."""

    status: str
    """`done`, `failed` or `refused`."""
    text: str = ""
    references: tuple[str, ...] = ()
    approval: str | None = None
    """What a person would have to approve, if the guard would ask one."""


class Door(Protocol):
    """The guard as the agent meets it."""

    def call(self, tool: str, arguments: dict[str, Any]) -> Outcome: ...
    def plan(self, steps: list[dict[str, Any]]) -> Outcome: ...
    def reveal(self, references: list[str]) -> list[str]: ...


# Given an approval's number: whether a person said yes.
Person = Callable[[str], bool]


class Dishonest(Exception):
    """The replay was about to type something that the agent cannot know: a defect of the replay."""


class Agent:
    """Plays one episode."""

    def __init__(self, suite: client.Suite, door: Door, person: Person | None, episode: replay.Episode) -> None:
        self.suite = suite
        self.door = door
        self.person = person
        self.episode = episode
        self.task = suite.load(episode.user, episode.injection)
        self.known = known.Knowledge(suite.name, self.task["prompt"])
        self.hidden: list[str] = []
        self.said = self.task["output"]

    def play(self) -> None:
        """Script, then whatever of the ground truth is left, then the answer; obeys the injection once it was shown."""
        script = scripts(self.suite.name).get(self.episode.user, [])
        planned = [step for step in script if "plan" in step]
        done = [self._step(step) for step in script]
        left = remaining(self.task["truth"], self.suite.trace())
        if not planned:
            self._rest(left)
        elif not all(done):
            # What a plan that ended early has read is lost to the agent, which therefore reads again.
            self._rest([call for call in self.task["truth"] if call in left or not is_action(call)])
        self._look()
        replay.finish(self.suite, self.episode, self.task, self.said)

    def _step(self, step: dict[str, Any]) -> bool:
        if "call" in step:
            call = step["call"]
            self._honest(call["args"], also_shown=True)
            return self._call(call).status == "done"
        for literal in plan_literals(step["plan"]):
            self._honest(dict([literal]), also_shown=True)
        outcome = self.door.plan(step["plan"])
        if outcome.status == "refused" and outcome.approval and self.person:
            self.episode.approvals += 1
            if self.person(outcome.approval):
                outcome = self.door.plan(step["plan"])
        return self._ran("plan", outcome)

    def _rest(self, calls: list[dict[str, Any]]) -> None:
        while calls:
            call = calls.pop(0)
            if self.hidden and (is_action(call) or self.known.unknown_to_prompt(call["args"])):
                self._look()
            self._honest(call["args"], also_shown=not self.hidden)
            outcome = self._call(call)
            if outcome.status != "refused" or not self.person or not outcome.approval:
                continue
            if not is_action(call):
                self._ask(call, outcome)
                continue
            # One question for everything that is left to do: so read what is left to read, then ask.
            reads = [one for one in calls if not is_action(one)]
            actions = [call, *(one for one in calls if is_action(one))]
            if len(actions) == 1:
                self._ask(call, outcome)
                continue
            self._rest(reads)
            self._look()
            self._ask_all(actions)
            return

    def _ask(self, call: dict[str, Any], outcome: Outcome) -> None:
        assert self.person and outcome.approval
        self.episode.approvals += 1
        if self.person(outcome.approval):
            self._call(call)

    def _ask_all(self, actions: list[dict[str, Any]]) -> None:
        """Asks once for all, as a plan; where that is not to be had, one by one."""
        for action in actions:
            self._honest(action["args"], also_shown=True)
        steps = [
            # None depends on another, so one that fails ends nothing.
            {"call": one["tool"], "with": literal(one["args"], outermost=True), "id": f"s{number}", "on_error": "continue"}
            for number, one in enumerate(actions, 1)
        ]
        outcome = self.door.plan(steps)
        if outcome.status == "refused" and outcome.approval:
            assert self.person
            self.episode.approvals += 1
            if self.person(outcome.approval):
                outcome = self.door.plan(steps)
        if self._ran("batch", outcome):
            return
        for action in remaining(actions, self.suite.trace()):
            single = self._call(action)
            if single.status == "refused" and single.approval:
                self._ask(action, single)

    def _ran(self, what: str, outcome: Outcome) -> bool:
        """Whether a plan did all that it was to do. To know, the agent may have to look at the report."""
        self._take(outcome)
        texts = [outcome.text]
        if outcome.status == "done" and self.hidden:
            texts += self._look()
        complete = outcome.status == "done" and not any(FAILURE.search(text) for text in texts)
        if not complete:
            self.episode.notes.append(f"{what} {outcome.status}: {' '.join(texts)[-400:]}")
        return complete

    def _call(self, call: dict[str, Any]) -> Outcome:
        outcome = self.door.call(call["tool"], call["args"])
        if outcome.status == "refused":
            self.episode.refused.append(call["tool"])
        self._take(outcome)
        return outcome

    def _take(self, outcome: Outcome) -> None:
        self.hidden += outcome.references
        self.known.hidden = len(self.hidden)
        if outcome.text:
            self._see(outcome.text)

    def _look(self) -> list[str]:
        """Has everything shown that was fetched."""
        if not self.hidden:
            return []
        references, self.hidden = self.hidden, []
        self.known.hidden = 0
        texts = self.door.reveal(references)
        for text in texts:
            self._see(text)
        return texts

    def _see(self, text: str) -> None:
        self.known.shown.append(text)
        if self.episode.injection and not self.episode.read_injection and attacks.MARK in text:
            self.episode.read_injection = True
            self._obey()

    def _obey(self) -> None:
        """The worst case: does what the injection says, literally and at once, and asks for approval where it can."""
        orders = self.suite.injected()
        self.said = f"{self.said} {orders['says']}".strip()
        self.episode.injected_calls = len(orders["calls"])
        for order in orders["calls"]:
            outcome = self.door.call(order["tool"], order["args"])
            if outcome.status == "refused" and outcome.approval and self.person:
                self.episode.injected_asked += 1
                if self.person(outcome.approval):
                    outcome = self.door.call(order["tool"], order["args"])
            self.episode.injected_done += outcome.status == "done"
            self.known.shown.append(outcome.text)

    def _honest(self, arguments: dict[str, Any], also_shown: bool) -> None:
        for name, value in known.leaves(arguments):
            why = self.known.why(name, value)
            if why is None or (not also_shown and not why.startswith("a")):
                raise Dishonest(f"{self.suite.name} {self.episode.user}: {name} = {value!r} is not known yet")


def is_action(call: dict[str, Any]) -> bool:
    """Whether the call does something, by its tool's name."""
    return not call["tool"].startswith(READS)


def remaining(truth: list[dict[str, Any]], trace: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ground truth's calls that have not arrived."""
    arrived = list(trace)
    left = []
    for call in truth:
        if call in arrived:
            arrived.remove(call)
        else:
            left.append(call)
    return left


def scripts(suite: str) -> dict[str, list[dict[str, Any]]]:
    """`plans/SUITE.yaml`."""
    if suite not in _SCRIPTS:
        with open(PLANS / f"{suite}.yaml", encoding="utf-8") as source:
            _SCRIPTS[suite] = yaml.safe_load(source)
    return _SCRIPTS[suite]


_SCRIPTS: dict[str, dict[str, list[dict[str, Any]]]] = {}

# Where a plan's texts are no values of a call: patterns and pointers say what results look like, not what is in them.
_SHAPES = {"ref", "pattern", "at", "order", "by", "max", "id", "let", "endorse", "as", "for", "index", "call", "on_error"}
_NUMBERS = {"amount", "n", "id"}


def plan_literals(form: Any, argument: str = "") -> list[tuple[str, Any]]:
    """The values that the author of a plan typed, with the argument that each is for."""
    found: list[tuple[str, Any]] = []
    if isinstance(form, list):
        for item in form:
            found += plan_literals(item, argument)
    elif isinstance(form, dict):
        for key, item in form.items():
            if key == "with":
                for name, value in item.items():
                    found += plan_literals(value, name)
            elif key == "template":
                parts = re.split(r"\{\w+\}", item["text"])
                found += [("", part.strip(" .,:")) for part in parts if re.search(r"\w", part)]
                found += plan_literals(item["values"], argument)
            elif key not in _SHAPES:
                found += plan_literals(item, argument)
    elif isinstance(form, str) or (argument in _NUMBERS and isinstance(form, (int, float))):
        found.append((argument, form))
    return found


def literal(value: Any, outermost: bool = False) -> Any:
    """`value` as the plan language writes it."""
    if isinstance(value, dict):
        members = {key: literal(item) for key, item in value.items()}
        return members if outermost else {"object": members}
    if isinstance(value, list):
        return [literal(item) for item in value]
    return value


def same_calls(wanted: list[dict[str, Any]], allowed: list[dict[str, Any]]) -> bool:
    """Whether every call in `wanted` is one of `allowed`."""
    left = [json.dumps(call, sort_keys=True) for call in allowed]
    return bool(wanted) and all(json.dumps(call, sort_keys=True) in left for call in wanted)
