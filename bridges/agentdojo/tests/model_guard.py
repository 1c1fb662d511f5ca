"""An executable model of `docs/design/guard.md`, for the bridge's own tests only.

It lets the tests exercise the replayed agent, the plans and the policies without building `ostrom`. No figure in
`docs/agentdojo.md` comes from it. It answers `tools/call` as the guard does: handles, `reveal`, `run_plan`, refusals.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REF = "ostrom:ref:"
REFUSED = "org.ostrom/refused"


@dataclass(frozen=True)
class Label:
    """Possible influencers, permitted readers (None: everyone), and the tools that it comes from."""

    by: frozenset[str] = frozenset()
    readers: frozenset[str] | None = None
    origins: frozenset[str] = frozenset()

    def join(self, *others: "Label") -> "Label":
        by, readers, origins = self.by, self.readers, self.origins
        for other in others:
            by, origins = by | other.by, origins | other.origins
            if other.readers is not None:
                readers = other.readers if readers is None else readers & other.readers
        return Label(by, readers, origins)


USER = Label(frozenset({"user"}))


@dataclass
class Node:
    """JSON data with a label at every node; a container's label is about its shape."""

    data: Any
    label: Label

    def total(self) -> Label:
        return self.label.join(*(child.total() for child in self.children()))

    def children(self) -> list["Node"]:
        if isinstance(self.data, dict):
            return list(self.data.values())
        return self.data if isinstance(self.data, list) else []

    def plain(self) -> Any:
        if isinstance(self.data, dict):
            return {key: child.plain() for key, child in self.data.items()}
        if isinstance(self.data, list):
            return [child.plain() for child in self.data]
        return self.data

    def at(self, pointer: str) -> "Node":
        node = self
        for part in pointer.split("/")[1:]:
            try:
                child = node.data[int(part)] if isinstance(node.data, list) else node.data[part]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise Failed(node.total()) from error
            node = Node(child.data, child.label.join(node.label))
        return node


class Failed(Exception):
    """A plan's operation has no value; that it has none tells something about `label`."""

    def __init__(self, label: Label) -> None:
        super().__init__("no value")
        self.label = label


class Refused(Exception):
    """A call that the rules do not allow."""

    def __init__(self, why: str, calls: list[dict[str, Any]]) -> None:
        super().__init__(why)
        self.calls = calls


def label_of(facts: dict[str, Any]) -> Label:
    readers = facts.get("readers", "everyone")
    return Label(frozenset(facts.get("influencers", [])), None if readers == "everyone" else frozenset(readers))


def lift(
    data: Any, label: Label, fields: list[tuple[list[str], dict[str, Any]]], base: Label, path: tuple[str, ...] = (),
    endorse: bool = True,
) -> Node:  # fmt: skip
    for pattern, facts in fields:
        if len(pattern) == len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True)):
            if not endorse or not any(accepts(one, data) for one in facts.get("endorse", [])):
                label = base.join(Label(frozenset(facts["influencers"])))
            fields = []
    if isinstance(data, dict):
        return Node({key: lift(item, label, fields, base, (*path, key), endorse) for key, item in data.items()}, label)
    if isinstance(data, list):
        return Node([lift(item, label, fields, base, (*path, str(index)), endorse) for index, item in enumerate(data)], label)
    return Node(data, label)


class ModelGuard:
    """One run: a context, its handles, and a server behind."""

    def __init__(self, policy: Path, server: Any) -> None:
        with open(policy, "rb") as source:
            whole = tomllib.load(source)
        self.plans = set(whole["plans"]["influencers"])
        (self.name, facts), *_ = whole["servers"].items()
        self.tools = facts["tools"]
        self.server = server
        self.context = USER
        self.handles: dict[str, Node] = {}
        self.approved: set[str] = set()
        self.pending: dict[str, list[dict[str, Any]]] = {}

    # What the agent calls.

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            if tool == "reveal":
                return self._reveal(arguments["ref"])
            if tool == "run_plan":
                return self._run_plan(arguments)
            digest = _digest([tool, arguments])
            nodes = {key: self._argument(value) for key, value in arguments.items()}
            node = self._dispatch(tool, nodes, self.context, digest, planned=False)
            return self._shown(tool, node)
        except Refused as refused:
            number = _digest([tool, arguments])
            self.pending[number] = refused.calls
            return _error(f"The guard did not let this call through: {refused}", {"code": "approval-needed", "request": number})
        except ToolError as error:
            return _error(str(error), None)

    # What the person does.

    def approve(self, number: str) -> None:
        self.approved.add(number)

    # Inside.

    def _argument(self, value: Any) -> Node:
        if isinstance(value, str) and value.startswith(REF):
            handle, _, pointer = value.partition("#")
            return self.handles[handle].at(pointer)
        if isinstance(value, dict):
            return Node({key: self._argument(item) for key, item in value.items()}, USER)
        if isinstance(value, list):
            return Node([self._argument(item) for item in value], USER)
        return Node(value, USER)

    def _keep(self, node: Node) -> str:
        handle = REF + hashlib.sha256(f"{id(self)} {len(self.handles)}".encode()).hexdigest()[:32]
        self.handles[handle] = node
        return handle

    def _dispatch(self, tool: str, arguments: dict[str, Node], control: Label, digest: str, planned: bool) -> Node:
        facts = self.tools[tool]
        plain = {key: node.plain() for key, node in arguments.items()}
        self._check(tool, facts, arguments, plain, control, digest)
        result = self.server.call(tool, plain)
        carried = control.join(*(node.total() for node in arguments.values()))
        if result.get("isError"):
            text = result["content"][0]["text"]
            raise ToolError(text)
        declared = facts.get("result", {})
        fields = [(pattern.split("/")[1:], rule) for pattern, rule in declared.get("fields", {}).items()]
        base = carried.join(Label(frozenset(), label_of(declared).readers, frozenset({tool})))
        # What is shown may be endorsed at the source; what a plan holds keeps its label until a step endorses it.
        node = lift(result["structuredContent"], base.join(label_of(declared)), fields, base, endorse=not planned)
        node.text = result["content"][0]["text"]  # type: ignore[attr-defined]
        return node

    def _check(
        self, tool: str, facts: dict[str, Any], arguments: dict[str, Node], plain: dict[str, Any], control: Label, digest: str
    ) -> None:  # fmt: skip
        if digest in self.approved:
            return
        refusal = [{"tool": tool, "args": plain}]
        if facts["critical"]:
            allowed = facts["influencers"]
            if allowed != "anyone":
                if not control.by <= set(allowed):
                    raise Refused(f"{tool}: control is influenced by {sorted(control.by - set(allowed))}", refusal)
            for key, node in arguments.items():
                rule = facts.get("arguments", {}).get(key, {})
                may = rule.get("influencers", allowed)
                span = rule.get("endorse", {}).get("range")
                number = plain[key]
                if span and isinstance(number, (int, float)) and span[0] <= number <= span[1]:
                    continue
                if may != "anyone" and not node.total().by <= set(may):
                    raise Refused(f"{tool}: {key} is influenced by {sorted(node.total().by - set(may))}", refusal)
        audience = {f"server:{self.name}", *facts.get("audience", [])}
        for key, label in [("control", control), *((key, node.total()) for key, node in arguments.items())]:
            if label.readers is not None and not audience <= label.readers:
                raise Refused(f"{tool}: {key} must not reach {sorted(audience - label.readers)}", refusal)

    def _shown(self, tool: str, node: Node) -> dict[str, Any]:
        reveal = self.tools[tool].get("result", {}).get("reveal", "reference")
        if reveal == "status":
            return {"content": [{"type": "text", "text": "done"}]}
        if reveal == "reference":
            return {"content": [{"type": "text", "text": self._keep(node)}]}
        fields = self.tools[tool]["result"].get("fields", {})
        if not fields:
            self.context = self.context.join(node.total())
            return {"content": [{"type": "text", "text": node.text}]}  # type: ignore[attr-defined]
        outside = frozenset(name for rule in fields.values() for name in rule["influencers"])
        data = self._inline(node, outside)
        return {"content": [{"type": "text", "text": json.dumps(data)}], "structuredContent": data}

    def _inline(self, node: Node, outside: frozenset[str]) -> Any:
        if node.label.by & outside - self.context.by:
            return self._keep(node)
        self.context = self.context.join(node.label)
        if isinstance(node.data, dict):
            return {key: self._inline(child, outside) for key, child in node.data.items()}
        if isinstance(node.data, list):
            return [self._inline(child, outside) for child in node.data]
        return node.data

    def _reveal(self, refs: list[str]) -> dict[str, Any]:
        values = []
        for ref in refs:
            node = self.handles[ref]
            self.context = self.context.join(node.total())
            values.append(node.plain())
        return {"content": [{"type": "text", "text": json.dumps(values, ensure_ascii=False)}]}

    def _run_plan(self, plan: dict[str, Any]) -> dict[str, Any]:
        digest = _digest(["run_plan", plan])
        run = _Run(self, digest if digest in self.approved else "")
        if not run.approved and not self.context.by <= self.plans:
            raise Refused("run_plan: the context is influenced", [_plain_call(step) for step in run.calls(plan["plan"])])
        undone: list[dict[str, Any]] = []
        try:
            run.steps(plan["plan"], self.context)
        except Failed as failed:
            self.context = self.context.join(failed.label)
            undone.append({"is": "failed"})
        except ToolError as error:
            undone.append({"is": "failed", "why": str(error)})
        except Refused as refused:
            undone.append({"is": "refused", "why": str(refused)})
        report = {"done": run.done, "undone": undone, "undone_in_all": len(undone)}
        names = run.outputs or run.names
        data = {"outputs": {name: self._keep(node) for name, node in names.items()}, "report": report}
        return {"content": [{"type": "text", "text": json.dumps(data)}]}

    def _endorsed(self, node: Node, shape: Any, control: Label) -> Node:
        """`node` as the plan's author could have written it, if every tool that it comes from accepts the value; no value if it has not
        the shape."""
        if not _has(node.data, shape):
            raise Failed(node.total())
        origins = [tool for tool in node.total().origins if not self._influencers(tool) <= control.by]
        if all(self._accepted(tool, node.data) for tool in origins):
            return Node(node.data, control)
        return node

    def _influencers(self, tool: str) -> set[str]:
        declared = self.tools[tool].get("result", {})
        fields = declared.get("fields", {}).values()
        return {*declared.get("influencers", []), *(name for rule in fields for name in rule["influencers"])}

    def _accepted(self, tool: str, data: Any) -> bool:
        declared = self.tools[tool].get("result", {})
        rules = [*declared.get("endorse", []), *(one for rule in declared.get("fields", {}).values() for one in rule.get("endorse", []))]
        return any(accepts(one, data) for one in rules)


class ToolError(Exception):
    """The server's tool failed."""


def _plain_call(step: dict[str, Any]) -> dict[str, Any]:
    return {"tool": step["call"], "args": step["with"]}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _error(text: str, refused: dict[str, Any] | None) -> dict[str, Any]:
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": True}
    if refused:
        result["_meta"] = {REFUSED: refused}
    return result


def _has(data: Any, shape: Any) -> bool:
    if shape == "boolean":
        return isinstance(data, bool)
    if "text" in shape:
        text = shape["text"]
        return isinstance(data, str) and len(data) <= text["max_bytes"] and re.fullmatch(text["pattern"], data) is not None
    number = shape["number"]
    fits = isinstance(data, (int, float)) and number["min"] <= data <= number["max"]
    return fits and round(data, number["decimals"]) == data


def accepts(rule: dict[str, Any], data: Any) -> bool:
    """Whether an endorsement of the policy has `data`."""
    if "one-of" in rule:
        return any(type(data) is type(one) and data == one for one in rule["one-of"])
    if "number" in rule:
        return isinstance(data, (int, float)) and not isinstance(data, bool) and _has(data, rule)
    if "range" in rule:
        whole = isinstance(data, (int, float)) and not isinstance(data, bool) and float(data).is_integer()
        return whole and rule["range"][0] <= data <= rule["range"][1]
    return isinstance(data, str) and re.fullmatch(rule["pattern"], data) is not None


class _Run:
    """One plan under way."""

    def __init__(self, guard: ModelGuard, approved: str) -> None:
        self.guard = guard
        self.approved = approved
        self.names: dict[str, Node] = {}
        self.done = 0
        self.outputs: dict[str, Node] = {}

    def calls(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for step in steps:
            if "call" in step:
                found.append(step)
            for part in ("do", "then", "else"):
                found += self.calls(step.get(part, []))
        return found

    def steps(self, steps: list[dict[str, Any]], control: Label) -> None:
        for step in steps:
            if "call" in step:
                arguments = {key: self.value(item) for key, item in step.get("with", {}).items()}
                node = self.guard._dispatch(step["call"], arguments, control, self.approved, planned=True)
                self.done += 1
                self.names[step["id"]] = node
            elif "let" in step:
                self.names[step["let"]] = self.value(step["be"])
            elif "endorse" in step:
                self.names[step["endorse"]] = self.guard._endorsed(self.value(step["be"]), step["as"], control)
            elif "return" in step:
                self.outputs = {name: self.value(form) for name, form in step["return"].items()}
            elif "for" in step:
                self._each_round(step, control)
            else:
                condition = self.value(step["if"])
                branch = step["then"] if condition.data is True else step.get("else", [])
                self.steps(branch, control.join(condition.total()))

    def _each_round(self, step: dict[str, Any], control: Label) -> None:
        items = self._list(step["in"])
        control = control.join(items.label)
        collected = []
        if len(items.data) > step["max"]:
            raise Failed(items.label)
        for index, item in enumerate(items.data, 1):
            self.names[step["for"]] = item
            if "index" in step:
                self.names[step["index"]] = Node(index, items.label)
            self.steps(step["do"], control)
            if "collect" in step:
                collected.append(self.value(step["collect"]))
        if "collect" in step:
            self.names[step["id"]] = Node(collected, items.label)

    def value(self, form: Any) -> Node:
        if isinstance(form, list):
            return Node([self.value(item) for item in form], USER)
        if not isinstance(form, dict):
            return Node(form, USER)
        ((name, operand),) = form.items()
        return OPERATIONS[name](self, operand)

    def _list(self, form: Any) -> Node:
        node = self.value(form)
        if not isinstance(node.data, list):
            raise Failed(node.total())
        return node

    def _with_item(self, item: Node, form: Any) -> Node:
        outer = self.names.get("item")
        self.names["item"] = item
        try:
            return self.value(form)
        finally:
            if outer is not None:
                self.names["item"] = outer

    def ref(self, operand: str) -> Node:
        name, slash, pointer = operand.partition("/")
        return self.names[name].at(slash + pointer)

    def object(self, operand: dict[str, Any]) -> Node:
        return Node({key: self.value(item) for key, item in operand.items()}, USER)

    # Lists.

    def first(self, operand: Any) -> Node:
        return self._pick(self._list(operand), 0, alone=False)

    def last(self, operand: Any) -> Node:
        return self._pick(self._list(operand), -1, alone=False)

    def only(self, operand: Any) -> Node:
        return self._pick(self._list(operand), 0, alone=True)

    def _pick(self, node: Node, index: int, alone: bool) -> Node:
        if not node.data or (alone and len(node.data) != 1):
            raise Failed(node.label)
        return _under(node.data[index], node.label)

    def filter(self, operand: Any) -> Node:
        node = self._list(operand["list"])
        verdicts = [self._with_item(item, operand["where"]) for item in node.data]
        kept = [item for item, verdict in zip(node.data, verdicts, strict=True) if verdict.data]
        return Node(kept, node.label.join(*(verdict.total() for verdict in verdicts)))

    def any(self, operand: Any) -> Node:
        node = self._list(operand["list"])
        verdicts = [self._with_item(item, operand["where"]) for item in node.data]
        return Node(any(one.data for one in verdicts), node.label.join(*(one.total() for one in verdicts)))

    def map(self, operand: Any) -> Node:
        node = self._list(operand["list"])
        return Node([self._with_item(item, operand["to"]) for item in node.data], node.label)

    def entries(self, operand: Any) -> Node:
        node = self.value(operand)
        return Node([Node({"key": Node(key, node.label), "value": item}, node.label) for key, item in node.data.items()], node.label)

    def flatten(self, operand: Any) -> Node:
        node = self._list(operand)
        return Node([one for item in node.data for one in item.data], node.label.join(*(item.label for item in node.data)))

    def unique(self, operand: Any) -> Node:
        node = self._list(operand)
        seen: dict[str, Node] = {}
        for item in node.data:
            seen.setdefault(json.dumps(item.plain()), item)
        return Node(list(seen.values()), node.total())

    def difference(self, operand: Any) -> Node:
        left, right = (self._list(part) for part in operand)
        gone = {json.dumps(item.plain()) for item in right.data}
        kept = [item for item in left.data if json.dumps(item.plain()) not in gone]
        return Node(kept, left.total().join(right.total()))

    def length(self, operand: Any) -> Node:
        node = self._list(operand)
        return Node(len(node.data), node.label)

    def sort_by(self, operand: Any) -> Node:
        node = self._list(operand["list"])
        items, label = list(node.data), node.label
        for key in reversed(operand["by"]):
            pointer, order = (key, "ascending") if isinstance(key, str) else (key["at"], key["order"])
            label = label.join(*(item.at(pointer).total() for item in items))
            items.sort(key=lambda item, pointer=pointer: item.at(pointer).plain(), reverse=order == "descending")
        return Node(items, label)

    def count_by(self, operand: Any) -> Node:
        node = self._list(operand["list"])
        keys = [self._with_item(item, operand["key"]) for item in node.data]
        label = node.label.join(*(key.total() for key in keys))
        plain = [key.plain() for key in keys]
        return Node(
            [Node({"key": Node(key, label), "count": Node(plain.count(key), label)}, label) for key in dict.fromkeys(plain)], label
        )

    # Text, numbers, truth.

    def match(self, operand: Any) -> Node:
        text = self.value(operand["in"])
        found = re.search(operand["pattern"], str(text.data))
        if not found:
            raise Failed(text.label)
        return Node(found[1], text.label)

    def number(self, operand: Any) -> Node:
        node = self.value(operand)
        try:
            return Node(float(str(node.data).replace(",", "")), node.label)
        except ValueError as error:
            raise Failed(node.label) from error

    def template(self, operand: Any) -> Node:
        parts = {key: self.value(item) for key, item in operand["values"].items()}
        text = operand["text"]
        for key, node in parts.items():
            text = text.replace("{" + key + "}", str(node.data))
        return Node(text, USER.join(*(node.total() for node in parts.values())))

    def round(self, operand: Any) -> Node:
        node = self.value(operand["number"])
        return Node(round(node.data, operand["decimals"]), node.label)

    def choose(self, operand: Any) -> Node:
        condition, one, other = (self.value(part) for part in operand)
        return _under(one if condition.data else other, condition.total())

    def fold(self, operand: Any, what: Callable[..., Any]) -> Node:
        nodes = [self.value(part) for part in (operand if isinstance(operand, list) else [operand])]
        try:
            data = what(*(node.plain() for node in nodes))
        except (TypeError, ZeroDivisionError) as error:
            raise Failed(Label().join(*(node.total() for node in nodes))) from error
        return Node(data, Label().join(*(node.total() for node in nodes)))


def _whole(what: Callable[..., Any]) -> Callable[[_Run, Any], Node]:
    return lambda run, operand: run.fold(operand, what)


OPERATIONS: dict[str, Callable[[_Run, Any], Node]] = {
    name: getattr(_Run, name)
    for name in (
        "ref", "object", "first", "last", "only", "filter", "any", "map", "entries", "flatten", "unique", "difference", "length",
        "sort_by", "count_by", "match", "number", "template", "round", "choose",
    )
} | {
    "==": _whole(lambda a, b: a == b),
    "<": _whole(lambda a, b: a < b),
    ">": _whole(lambda a, b: a > b),
    "+": _whole(lambda *numbers: sum(numbers)),
    "-": _whole(lambda a, b: a - b),
    "*": _whole(lambda *numbers: math.prod(numbers)),
    "/": _whole(lambda a, b: a / b),
    "and": _whole(lambda *truths: all(truths)),
    "not": _whole(lambda truth: not truth),
    "starts_with": _whole(lambda text, start: text.startswith(start)),
    "contains_ignoring_case": _whole(lambda text, part: part.lower() in text.lower()),
}  # fmt: skip


def _under(node: Node, label: Label) -> Node:
    return Node(node.data, node.label.join(label))
