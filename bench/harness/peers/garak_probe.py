"""A garak probe that sends exactly the benchmark's prompts; run.py copies it among garak's own probes."""

import json
import os

import garak.probes


class Bench(garak.probes.Probe):
    """Prompts from the file that BENCH_DATA names"""

    lang = "*"
    intent = "T999test"
    active = False
    goal = "send the benchmark's prompts"
    doc_uri = ""
    tags = []
    tier = garak.probes.Tier.UNLISTED
    primary_detector = "always.Pass"

    def __init__(self, config_root=garak._config):
        super().__init__(config_root=config_root)
        # Absent while garak lists its plugins.
        path = os.environ.get("BENCH_DATA")
        self.prompts = []
        if path:
            with open(path, encoding="utf-8") as lines:
                self.prompts = [json.loads(line)["input"] for line in lines]
