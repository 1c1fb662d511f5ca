"""The harnesses under comparison: how each is set up for N prompts against the mock, and how it is started.

Every peer sends the same prompts, one HTTP request each, with a trivial scorer. Each appears as its documentation says
to start it, and again with what we found to make it cheaper (`-fast`) or what lets it do more at once.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent
FILLER = (
    "The museum keeps its clay tablets in a dry room, and the night guard writes the humidity into a ledger each hour. "
    "Visitors may ask which tablet is the oldest, who baked it, and why the corner is missing. "
)
PROMPT_CHARACTERS = 1000  # about 250 tokens


def prompt(index: int) -> str:
    text = f"Question {index:07d}. " + FILLER * (PROMPT_CHARACTERS // len(FILLER) + 1)
    return text[:PROMPT_CHARACTERS]


def write_prompts(path: Path, samples: int) -> None:
    """JSON lines that Inspect reads as they are; the mock's answer contains the target."""
    with path.open("w", encoding="utf-8") as lines:
        for index in range(samples):
            lines.write(json.dumps({"id": index, "input": prompt(index), "target": "OK"}) + "\n")


@dataclass
class Place:
    """Where one run happens."""

    cache: Path  # what setup.sh installed
    folder: Path  # this run's own files
    home: Path  # the harness's home, kept between runs so that its caches are warm
    samples: int
    port: int
    connections: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@dataclass
class Start:
    command: list[str]
    env: dict[str, str] = field(default_factory=dict)


def data(place: Place) -> Path:
    path = place.folder / "prompts.jsonl"
    write_prompts(path, place.samples)
    return path


def inspect(place: Place, fast: bool) -> Start:
    task = shutil.copy(HERE / "peers/inspect_task.py", place.folder)
    command = [str(place.cache / "inspect/bin/inspect"), "eval", Path(task).name]
    command += ["--model", "openai-api/mock/mock", "--model-base-url", place.url]
    command += ["--max-connections", str(place.connections), "--display", "none"]
    command += ["--log-dir", str(place.folder / "logs")]
    if fast:
        command += ["--no-log-realtime", "--no-log-samples", "--no-score-display", "--no-log-model-api"]
        command += ["--log-level", "error", "--log-level-transcript", "error", "--ctl-server", "false"]
        command += ["--max-samples", str(place.connections)]
    return Start(command, {"BENCH_DATA": str(data(place)), "MOCK_API_KEY": "none"})


def garak(place: Place, workers: int | Literal[False]) -> Start:
    package = next((place.cache / "garak/lib").glob("python3*/site-packages/garak"))
    probe, ours = package / "probes/ostrom_bench.py", HERE / "peers/garak_probe.py"
    if not probe.exists() or probe.read_bytes() != ours.read_bytes():
        shutil.copyfile(ours, probe)
    config: dict = {
        "system": {"parallel_attempts": workers},
        "run": {"generations": 1},
        "plugins": {
            "target_type": "openai.OpenAICompatible",
            "target_name": "mock",
            "generators": {"openai": {"OpenAICompatible": {"uri": place.url + "/"}}},
        },
        "reporting": {"report_dir": str(place.folder / "report")},
    }
    path = place.folder / "garak.json"
    path.write_text(json.dumps(config))
    command = [str(place.cache / "garak/bin/python"), "-m", "garak", "--config", str(path)]
    command += ["--spec", "probes.ostrom_bench.Bench"]
    return Start(command, {"BENCH_DATA": str(data(place)), "OPENAICOMPATIBLE_API_KEY": "none"})


def promptfoo(place: Place, fast: bool) -> Start:
    tests = [{"vars": {"prompt": prompt(index)}} for index in range(place.samples)]
    (place.folder / "tests.json").write_text(json.dumps(tests))
    config = {
        "description": "ostrom-bench",
        "prompts": ["{{prompt}}"],
        "providers": [{"id": "openai:chat:mock", "config": {"apiBaseUrl": place.url, "apiKey": "none"}}],
        "defaultTest": {"assert": [{"type": "contains", "value": "OK"}]},
        "tests": "file://tests.json",
    }
    (place.folder / "promptfooconfig.json").write_text(json.dumps(config))
    home = place.cache / "promptfoo"
    command = [str(home / "node"), str(home / "node_modules/promptfoo/dist/src/entrypoint.js"), "eval"]
    command += ["-c", str(place.folder / "promptfooconfig.json"), "-j", str(place.connections)]
    command += ["--no-cache", "--no-progress-bar", "--no-share"]
    env = {
        "PROMPTFOO_CONFIG_DIR": str(place.home / "promptfoo"),
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "true",
        "PROMPTFOO_DISABLE_REDTEAM_REMOTE_GENERATION": "true",
        "PROMPTFOO_DISABLE_SHARING": "1",
    }
    if fast:
        command += ["--no-table", "--no-write", "-o", str(place.folder / "results.jsonl")]
        env |= {"PROMPTFOO_DISABLE_ADAPTIVE_SCHEDULER": "true", "NODE_ENV": "production"}
    return Start(command, env)


PEERS = {
    "inspect": lambda place: inspect(place, fast=False),
    "inspect-fast": lambda place: inspect(place, fast=True),
    # As installed, garak sends one request at a time: the least CPU, and the latency in full for every sample. Its hint
    # recommends 16 workers; `parallel` has one for each connection.
    "garak": lambda place: garak(place, workers=False),
    "garak-16": lambda place: garak(place, workers=16),
    "garak-parallel": lambda place: garak(place, workers=place.connections),
    "promptfoo": lambda place: promptfoo(place, fast=False),
    "promptfoo-fast": lambda place: promptfoo(place, fast=True),
}
