"""The smallest Inspect task that does the benchmark's work: one generation per sample, scored by inclusion."""

import os

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def ostrom_bench() -> Task:
    return Task(dataset=json_dataset(os.environ["BENCH_DATA"]), solver=generate(), scorer=includes())
