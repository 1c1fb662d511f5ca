"""Runs one command and says what it cost: wall time, CPU time and peak memory of its whole process tree (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    exit_code: int
    timed_out: bool
    wall_s: float
    # User plus system time of the process and of every descendant that was waited for.
    cpu_s: float
    # Peak memory of the tree: the kernel's high-water mark of the resident set while it is one process, or the sampled
    # proportional sets (PSS) summed over several, so that pages which forked workers share are counted once.
    # (ru_maxrss will not do: it starts from the size of the process that forked, which is this script.)
    peak_mb: float
    peak_processes: int


def tree(root: int) -> list[int]:
    """The process and its descendants that are alive now."""
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        try:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                todo.extend(int(child) for child in children.read_text().split())
        except OSError:
            continue  # it ended while we looked
    return found


def field_mb(path: Path, name: str) -> float:
    """A size in kB from one of the kernel's `Name:  123 kB` files, in MB; 0 once the process is gone."""
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def size_mb(pids: list[int]) -> float:
    if len(pids) == 1:
        return field_mb(Path(f"/proc/{pids[0]}/status"), "VmHWM:")
    return sum(field_mb(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") for pid in pids)


class Sampler(threading.Thread):
    """Samples the tree's memory, spending at most about a twentieth of one core on it."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.done = root, threading.Event()
        self.peak_mb, self.peak_processes = 0.0, 1

    def run(self) -> None:
        while True:
            start = time.monotonic()
            pids = tree(self.root)
            self.peak_mb = max(self.peak_mb, size_mb(pids))
            self.peak_processes = max(self.peak_processes, len(pids))
            if self.done.wait(max(0.02, 20 * (time.monotonic() - start))):
                return


def run(command: list[str], env: dict[str, str], cwd: Path, log: Path, timeout_s: float) -> Cost:
    """Runs the command to its end, or to the time limit, with its output in `log`."""
    with log.open("wb") as output:
        start = time.monotonic()
        child = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            os.killpg(child.pid, signal.SIGKILL)

        limit = threading.Timer(timeout_s, stop)
        sampler = Sampler(child.pid)
        limit.start()
        sampler.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        limit.cancel()
        sampler.done.set()
        sampler.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    try:
        os.killpg(child.pid, signal.SIGKILL)  # helpers that it left behind, in the session that was made for it
    except ProcessLookupError:
        pass
    return Cost(
        exit_code=child.returncode,
        timed_out=timed_out.is_set(),
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=sampler.peak_mb,
        peak_processes=sampler.peak_processes,
    )
