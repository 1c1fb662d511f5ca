"""An executable model of `docs/design/guard.md`, for the bridge's own tests only.

It lets the tests exercise the replayed agent, the plans and the policies without building `ostrom`. No figure in
`docs/agentdojo.md` comes from it. It answers `tools/call` as the guard does: handles, `reveal`, `run_plan`, refusals.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REF = "ostrom:ref:"


@dataclass(frozen=True)
class Label:
    """Possible influencers, and permitted readers (None: everyone)."""

    by: frozenset[str] = frozenset()
    readers: frozenset[str] | None = None

    def join(self, *others: "Label") -> "Label":
        by, readers = self.by, self.readers
        for other in others:
            by = by | other.by
            if other.readers is not None:
                readers = other.readers if readers is None else readers & other.readers
        return Label(by, readers)


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


def lift(data: Any, label: Label, fields: list[tuple[list[str], dict[str, Any]]], base: Label, path: tuple[str, ...] = ()) -> Node:
    for pattern, facts in fields:
        if len(pattern) == len(path) and all(want in ("*", part) for want, part in zip(pattern, path, strict=True)):
            endorse = facts.get("endorse", {}).get("pattern")
            if not (endorse and isinstance(data, str) and re.fullmatch(endorse, data)):
                label = base.join(Label(frozenset(facts["influencers"])))
            fields = []
    if isinstance(data, dict):
        return Node({key: lift(item, label, fields, base, (*path, key)) for key, item in data.items()}, label)
    if isinstance(data, list):
        return Node([lift(item, label, fields, base, (*path, str(index))) for index, item in enumerate(data)], label)
    return Node(data, label)


class ModelGuard:
    """One run: a context, its handles, and a server behind."""

    def __init__(self, policy: Path, server: Any) -> None:
        with open(policy, "rb") as source:
            (self.name, facts), *_ = tomllib.load(source)["servers"].items()
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
                return self._reveal(arguments["refs"])
            if tool == "run_plan":
                return self._run_plan(arguments)
            digest = _digest([tool, arguments])
            nodes = {key: self._argument(value) for key, value in arguments.items()}
            node = self._dispatch(tool, nodes, self.context, Label(), digest)
            return self._shown(tool, node)
        except Refused as refused:
            number = _digest([tool, arguments])
            self.pending[number] = refused.calls
            return _error(f"refused: {refused}", number)
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

    def _dispatch(self, tool: str, arguments: dict[str, Node], control: Label, yes_no: Label, digest: str) -> Node:
        facts = self.tools[tool]
        plain = {key: node.plain() for key, node in arguments.items()}
        self._check(tool, facts, arguments, plain, control, yes_no, digest)
        result = self.server.call(tool, plain)
        carried = control.join(yes_no, *(node.total() for node in arguments.values()))
        if result.get("isError"):
            text = result["content"][0]["text"]
            raise ToolError(text)
        declared = facts.get("result", {})
        fields = [(pattern.split("/")[1:], rule) for pattern, rule in declared.get("fields", {}).items()]
        base = carried.join(Label(frozenset(), label_of(declared).readers))
        node = lift(result["structuredContent"]["result"], base.join(label_of(declared)), fields, base)
        node.text = result["content"][0]["text"]  # type: ignore[attr-defined]
        return node

    def _check(
        self, tool: str, facts: dict[str, Any], arguments: dict[str, Node], plain: dict[str, Any], control: Label,
        yes_no: Label, digest: str,
    ) -> None:  # fmt: skip
        if digest in self.approved:
            return
        refusal = [{"tool": tool, "args": plain}]
        if facts["critical"]:
            allowed = facts["influencers"]
            conditions = set(facts.get("conditions", []))
            if allowed != "anyone":
                if not control.by <= set(allowed):
                    raise Refused(f"{tool}: control is influenced by {sorted(control.by - set(allowed))}", refusal)
                if not yes_no.by <= set(allowed) | conditions:
                    raise Refused(f"{tool}: a condition is influenced by {sorted(yes_no.by)}", refusal)
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
        for key, label in [("control", control.join(yes_no)), *((key, node.total()) for key, node in arguments.items())]:
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
        return {"content": [{"type": "text", "text": json.dumps(data)}], "structuredContent": {"result": data}}

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
            values.append(getattr(node, "text", None) or json.dumps(node.plain(), ensure_ascii=False))
        return {"content": [{"type": "text", "text": value} for value in values]}

    def _run_plan(self, plan: dict[str, Any]) -> dict[str, Any]:
        digest = _digest(["run_plan", plan])
        run = _Run(self, digest if digest in self.approved else "")
        if not run.approved:
            blocked = [step for step in run.calls(plan["steps"]) if self._tainted(step["call"])]
            if blocked:
                raise Refused("run_plan: the context is influenced", [_plain_call(step) for step in blocked])
        try:
            run.steps(plan["steps"], self.context, Label())
            status = {"status": "done"}
        except Failed as failed:
            self.context = self.context.join(failed.label)
            status = {"status": "failed"}
        except ToolError as error:
            status = {"status": "failed", "error": str(error)}
        except Refused as refused:
            status = {"status": "refused", "why": str(refused)}
        data = {**status, "refs": run.refs}
        return {"content": [{"type": "text", "text": json.dumps(data)}], "structuredContent": data, "isError": status["status"] != "done"}

    def _tainted(self, tool: str) -> bool:
        facts = self.tools[tool]
        allowed = facts["influencers"]
        audience = {f"server:{self.name}", *facts.get("audience", [])}
        floor = self.context.readers
        if floor is not None and not audience <= floor:
            return True
        return bool(facts["critical"] and allowed != "anyone" and not self.context.by <= set(allowed))


class ToolError(Exception):
    """The server's tool failed."""


def _plain_call(step: dict[str, Any]) -> dict[str, Any]:
    return {"tool": step["call"], "args": step["args"]}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _error(text: str, approval: str | None) -> dict[str, Any]:
    meta = {"ostrom/approval": approval} if approval else {}
    return {"content": [{"type": "text", "text": text}], "isError": True, "_meta": meta}


class _Run:
    """One plan under way."""

    def __init__(self, guard: ModelGuard, approved: str) -> None:
        self.guard = guard
        self.approved = approved
        self.names: dict[str, Node] = {}
        self.refs: list[str] = []

    def calls(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for step in steps:
            if "call" in step:
                found.append(step)
            for part in ("do", "then", "else"):
                found += self.calls(step.get(part, []))
        return found

    def steps(self, steps: list[dict[str, Any]], control: Label, yes_no: Label) -> None:
        for step in steps:
            if "call" in step:
                arguments = {key: self.value(item) for key, item in step["args"].items()}
                node = self.guard._dispatch(step["call"], arguments, control, yes_no, self.approved)
                self.refs.append(self.guard._keep(node))
                self.names[step["id"]] = node
            elif "let" in step:
                self.names[step["id"]] = self.value(step["let"])
            elif "for" in step:
                self._each(step, control, yes_no)
            else:
                condition = self.value(step["if"])
                branch = step["then"] if condition.data is True else step.get("else", [])
                self.steps(branch, control, yes_no.join(condition.total()))

    def _each(self, step: dict[str, Any], control: Label, yes_no: Label) -> None:
        items = self.value(step["in"])
        control = control.join(items.label)
        collected = []
        if len(items.data) > step["max"]:
            raise Failed(items.label)
        for index, item in enumerate(items.data, 1):
            self.names[step["for"]] = item
            if "index" in step:
                self.names[step["index"]] = Node(index, items.label)
            self.steps(step["do"], control, yes_no)
            if "collect" in step:
                collected.append(self.value(step["collect"]))
        self.names[step["id"]] = Node(collected, items.label)

    def value(self, form: Any) -> Node:
        if isinstance(form, list):
            return Node([self.value(item) for item in form], USER)
        if not isinstance(form, dict):
            return Node(form, USER)
        if "ref" in form:
            return self.names[form["ref"]].at(form.get("at", ""))
        for operation in OPERATIONS:
            if operation in form:
                return getattr(self, "_" + operation)(form)
        return Node({key: self.value(item) for key, item in form.items()}, USER)

    # Lists.

    def _list(self, form: Any) -> Node:
        node = self.value(form)
        if not isinstance(node.data, list):
            raise Failed(node.total())
        return node

    def _first(self, form: Any) -> Node:
        return self._pick(self._list(form["first"]), 0, False)

    def _last(self, form: Any) -> Node:
        return self._pick(self._list(form["last"]), -1, False)

    def _only(self, form: Any) -> Node:
        return self._pick(self._list(form["only"]), 0, True)

    def _pick(self, node: Node, index: int, alone: bool) -> Node:
        if not node.data or (alone and len(node.data) != 1):
            raise Failed(node.label)
        return _under(node.data[index], node.label)

    def _filter(self, form: Any) -> Node:
        node = self._list(form["filter"])
        kept, label = [], node.label
        for item in node.data:
            verdict = self._test(item, form["where"])
            label = label.join(verdict.label)
            if verdict.data:
                kept.append(item)
        return Node(kept, label)

    def _exists(self, form: Any) -> Node:
        node = self._list(form["exists"])
        verdicts = [self._test(item, form["where"]) for item in node.data]
        return Node(any(one.data for one in verdicts), node.label.join(*(one.label for one in verdicts)))

    def _test(self, item: Node, where: dict[str, Any]) -> Node:
        ((name, operands),) = where.items()
        if name in ("all", "any"):
            parts = [self._test(item, one) for one in operands]
            return Node((all if name == "all" else any)(one.data for one in parts), Label().join(*(one.label for one in parts)))
        if name == "not":
            inner = self._test(item, operands)
            return Node(not inner.data, inner.label)
        return _compare(name, item.at(operands[0]), self.value(operands[1]))

    def _map(self, form: Any) -> Node:
        node = self._list(form["map"])
        return Node([item.at(form["at"]) for item in node.data], node.label)

    def _flatten(self, form: Any) -> Node:
        node = self._list(form["flatten"])
        label = node.label.join(*(item.label for item in node.data))
        return Node([one for item in node.data for one in item.data], label)

    def _unique(self, form: Any) -> Node:
        node = self._list(form["unique"])
        seen: dict[str, Node] = {}
        for item in node.data:
            seen.setdefault(json.dumps(item.plain()), item)
        return Node(list(seen.values()), node.total())

    def _difference(self, form: Any) -> Node:
        left, right = (self._list(part) for part in form["difference"])
        gone = {json.dumps(item.plain()) for item in right.data}
        kept = [item for item in left.data if json.dumps(item.plain()) not in gone]
        return Node(kept, left.total().join(right.total()))

    def _length(self, form: Any) -> Node:
        node = self._list(form["length"])
        return Node(len(node.data), node.label)

    def _values(self, form: Any) -> Node:
        node = self.value(form["values"])
        return Node(list(node.data.values()), node.label)

    def _sort(self, form: Any) -> Node:
        node = self._list(form["sort"])
        items, label = list(node.data), node.label
        for pointer, order in reversed(form["by"]):
            label = label.join(*(item.at(pointer).total() for item in items))
            items.sort(key=lambda item: item.at(pointer).plain(), reverse=order == "desc")
        return Node(items, label)

    def _count_by(self, form: Any) -> Node:
        node = self._list(form["count_by"])
        counts: dict[str, int] = {}
        for item in node.data:
            key = item.at(form["at"]).plain()
            counts[key] = counts.get(key, 0) + 1
        label = node.label.join(*(item.at(form["at"]).total() for item in node.data))
        return Node(
            [Node({"key": Node(key, label), "count": Node(count, label)}, label) for key, count in counts.items()], label
        )

    # Text, numbers, truth.

    def _match(self, form: Any) -> Node:
        text, pattern = self.value(form["match"][0]), form["match"][1]
        found = re.search(pattern, str(text.data))
        if not found:
            raise Failed(text.label)
        return Node(found[1], text.label)

    def _number(self, form: Any) -> Node:
        node = self.value(form["number"])
        try:
            return Node(float(str(node.data).replace(",", "")), node.label)
        except ValueError as error:
            raise Failed(node.label) from error

    def _arithmetic(self, form: Any, name: str) -> Node:
        left, right = (self.value(part) for part in form[name])
        a, b = left.data, right.data
        value = {"add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b, "div": lambda: a / b, "round": lambda: round(a, b)}
        return Node(value[name](), left.label.join(right.label))

    def _add(self, form: Any) -> Node:
        return self._arithmetic(form, "add")

    def _sub(self, form: Any) -> Node:
        return self._arithmetic(form, "sub")

    def _mul(self, form: Any) -> Node:
        return self._arithmetic(form, "mul")

    def _div(self, form: Any) -> Node:
        return self._arithmetic(form, "div")

    def _round(self, form: Any) -> Node:
        return self._arithmetic(form, "round")

    def _gt(self, form: Any) -> Node:
        return _compare("gt", *(self.value(part) for part in form["gt"]))

    def _lt(self, form: Any) -> Node:
        return _compare("lt", *(self.value(part) for part in form["lt"]))

    def _and(self, form: Any) -> Node:
        parts = [self.value(part) for part in form["and"]]
        return Node(all(part.data for part in parts), Label().join(*(part.label for part in parts)))

    def _not(self, form: Any) -> Node:
        node = self.value(form["not"])
        return Node(not node.data, node.label)

    def _if(self, form: Any) -> Node:
        condition = self.value(form["if"])
        return _under(self.value(form["then"] if condition.data else form["else"]), condition.total())

    def _template(self, form: Any) -> Node:
        parts = {key: self.value(item) for key, item in form["with"].items()}
        text = form["template"]
        for key, node in parts.items():
            text = text.replace("{" + key + "}", str(node.data))
        return Node(text, USER.join(*(node.total() for node in parts.values())))


OPERATIONS = [
    "first", "last", "only", "filter", "exists", "map", "flatten", "unique", "difference", "length", "values", "sort", "count_by",
    "match", "number", "add", "sub", "mul", "div", "round", "gt", "lt", "and", "not", "if", "template",
]  # fmt: skip


def _under(node: Node, label: Label) -> Node:
    return Node(node.data, node.label.join(label))


def _compare(name: str, left: Node, right: Node) -> Node:
    a, b = left.plain(), right.plain()
    label = left.total().join(right.total())
    match name:
        case "eq":
            return Node(a == b, label)
        case "contains":
            return Node(str(b).lower() in str(a).lower(), label)
        case "starts":
            return Node(str(a).startswith(str(b)), label)
    if isinstance(a, str) != isinstance(b, str):
        raise Failed(label)
    return Node(a < b if name == "lt" else a > b, label)
