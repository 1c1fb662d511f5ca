"""Prints where every argument of every ground-truth call comes from: (a) prompt or chosen, (b) an earlier result, (c) inference.

    python provenance.py [SUITE …] [--table]
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import dojo
import known
import server


def rows(state: server.State, user: str) -> list[tuple[str, str, Any, str]]:
    """(tool, argument, value, class and reason) for one user task, with all results hidden until they are looked up."""
    task = state.load(user, None)
    results: list[str] = []
    found = []
    for call in task["truth"]:
        for name, value in known.leaves(call["args"]):
            found.append((call["tool"], name, value, _why(state.name, task["prompt"], name, value, results)))
        results.append(state.call(call["tool"], call["args"])["content"][0]["text"])
    return found


def _why(suite: str, prompt: str, name: str, value: Any, results: list[str]) -> str:
    if known.chosen(suite, name, value, [prompt]):
        return "a chosen"
    how = known.from_prompt(value, prompt)
    if how:
        return f"a {how}"
    for index, text in enumerate(results):
        if value not in known.PLACEHOLDERS and known.in_text(value, text):
            return f"b in result {index + 1}"
    # A template of the prompt filled from a result is data flow too.
    if known.from_prompt(value, prompt, results) or known.chosen(suite, name, value, [prompt, *results]):
        return "b template, filled from a result"
    return "c inferred"


def main() -> None:
    suites = [one for one in sys.argv[1:] if not one.startswith("-")] or list(dojo.SUITES)
    for name in suites:
        state = server.State(name)
        kinds: Counter[str] = Counter()
        worst: Counter[str] = Counter()
        for user in state.suite.user_tasks:
            found = rows(state, user)
            kinds.update(why[0] for *_, why in found)
            worst[max((why[0] for *_, why in found), default="a")] += 1
            if "--table" in sys.argv:
                for tool, argument, value, why in found:
                    print(f"{name}\t{user}\t{tool}\t{argument}\t{str(value)[:60]!r}\t{why}")
        print(f"{name}: arguments {dict(sorted(kinds.items()))}, tasks by their worst argument {dict(sorted(worst.items()))}")


if __name__ == "__main__":
    main()
