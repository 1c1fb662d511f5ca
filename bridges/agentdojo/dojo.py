"""AgentDojo, imported without the language-model clients that it does not need here.

`agentdojo.agent_pipeline` imports the clients of four model vendors as it starts. Nothing of ours talks to a model, so two
stand-ins take the place of that package's `__init__` and of `google_llm` (of which one constant is read). Suites, tools,
tasks, `utility` and `security` are AgentDojo's own, unchanged.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

import agentdojo
import yaml

VERSION = "v1.2.2"
SUITES = ("banking", "slack", "travel", "workspace")


def _stand_in(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = [os.path.join(agentdojo.__path__[0], *name.split(".")[1:])]  # type: ignore[attr-defined]
    sys.modules[name] = module
    return module


if "agentdojo.agent_pipeline" not in sys.modules:
    _stand_in("agentdojo.agent_pipeline")
    _google = types.ModuleType("agentdojo.agent_pipeline.llms.google_llm")
    _google.EMPTY_FUNCTION_NAME = "<empty-function-name>"  # type: ignore[attr-defined]
    sys.modules[_google.__name__] = _google

# The same grammar, read eight times as fast: an environment is read for every episode.
if hasattr(yaml, "CSafeLoader"):
    yaml.safe_load = lambda text: yaml.load(text, Loader=yaml.CSafeLoader)

from agentdojo.agent_pipeline.tool_execution import tool_result_to_str  # noqa: E402
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime  # noqa: E402
from agentdojo.task_suite.load_suites import get_suite  # noqa: E402
from pydantic import BaseModel  # noqa: E402

__all__ = ["FunctionCall", "FunctionsRuntime", "SUITES", "VERSION", "as_json", "show", "suite"]


def suite(name: str) -> Any:
    """The suite `name` (one of `SUITES`) of the benchmark version that all figures are for."""
    return get_suite(VERSION, name)


def show(value: Any) -> str:
    """`value` as AgentDojo shows a tool's result to a model by default."""
    return tool_result_to_str(value)


def as_json(value: Any) -> Any:
    """`value`, a tool's result, as JSON data."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value
