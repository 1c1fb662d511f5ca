#!/usr/bin/env python3
"""How fast a model folder is signed and verified: ours and model_signing, on the same files, in turns.

    python3 bench/signing/speed.py [--size BYTES] [--files N] [--rounds N] [--work FOLDER] [--folder FOLDER]

Makes a folder of random bytes (4 GiB in 8 files, unless told otherwise), reads it once so that all runs find it in the
page cache, and then runs every contestant once per round. Prints the median wall-clock seconds of each with the
smallest and the largest, GB/s, and the ratio to model_signing's command line. `ceiling` is SHA-256 over as many bytes
in memory on all cores: nothing that hashes with SHA-256 on this machine, one stream per core, can be faster. Ours takes
two streams by turns on each core, where there are more files or shards than cores, and so can.
`openssl dgst` is OpenSSL over the same files, one process per core: what reading the files adds to that.
`in process` leaves model_signing's start (imports) out.

One file in the method `files` is one SHA-256 stream, for everybody: use --files 1 to see it, and `shards` for the way out.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from interop import install

HERE = pathlib.Path(__file__).resolve().parent

IN_PROCESS = """
import pathlib, sys, time
from model_signing import hashing, signing
config = hashing.Config()
if sys.argv[4]:
    config.use_shard_serialization(shard_size=int(sys.argv[4]))
start = time.perf_counter()
signing.Config().use_elliptic_key_signer(private_key=sys.argv[1]).set_hashing_config(config).sign(
    pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
print(time.perf_counter() - start)
"""


def sh(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def build(profile):
    made = sh("cargo", "build", "--quiet", "--profile", profile, "--message-format=json", "-p", "ostrom-trust",
              "--example", "oms", cwd=HERE, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    paths = [json.loads(line).get("executable") for line in made]
    return [path for path in paths if path and pathlib.Path(path).stem == "oms"][-1]


def make(folder, size, files):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        path = folder / f"model-{number + 1:05}-of-{files:05}.safetensors"
        want = size // files
        if path.exists() and path.stat().st_size == want:
            continue
        with path.open("wb") as out:
            left = want
            while left:
                left -= out.write(os.urandom(min(left, 16 << 20)))
    for path in folder.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.read(16 << 20):
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = pathlib.Path(tempfile.gettempdir())
    parser.add_argument("--size", type=int, default=4 << 30)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard", type=int, default=256 << 20, help="shard size for the method of shards")
    parser.add_argument("--work", type=pathlib.Path, default=temporary / "ostrom-model-signing")
    parser.add_argument("--folder", type=pathlib.Path, default=temporary / "ostrom-signing-speed")
    parser.add_argument("--profile", default="release", help="of cargo; figures count with release only")
    arguments = parser.parse_args()

    arguments.work.mkdir(parents=True, exist_ok=True)
    python = install(arguments.work)
    program = build(arguments.profile)
    model = arguments.folder / f"model-{arguments.size}-{arguments.files}"
    make(model, arguments.size, arguments.files)
    secret, public = arguments.folder / "key.pem", arguments.folder / "key.pub"
    if not secret.exists():
        sh(program, "keygen", "p256", secret, public, stdout=subprocess.DEVNULL)
    out = lambda name: arguments.folder / f"{name}.sig"

    def run(*command, inner=False):
        start = time.perf_counter()
        done = sh(*command, stdout=subprocess.PIPE, text=True)
        return float(done.stdout.split()[-1]) if inner else time.perf_counter() - start

    ours = lambda name, *options: run(program, "sign", model, out(name), "--key", secret, *options)
    contestants = {
        "model_signing sign": lambda: run(python, "-m", "model_signing", "--log-level", "ERROR", "sign", "key",
                                          "--private_key", secret, "--signature", out("theirs"), model),
        "model_signing sign, in process": lambda: run(python, "-c", IN_PROCESS, secret, model, out("in"), "", inner=True),
        "model_signing sign shards, in process": lambda: run(
            python, "-c", IN_PROCESS, secret, model, out("in"), arguments.shard, inner=True),
        "ours sign": lambda: ours("ours"),
        "ours sign shards": lambda: ours("shards", "--shards", arguments.shard),
        "ours sign blake3": lambda: ours("blake3", "--hash", "blake3"),
        "model_signing verify": lambda: run(python, "-m", "model_signing", "--log-level", "ERROR", "verify", "key",
                                            "--public_key", public, "--signature", out("theirs"), model),
        "ours verify": lambda: run(program, "verify", model, out("ours"), "--public", public),
        "ours verify --fast": lambda: run(program, "verify", model, out("ours"), "--public", public,
                                          "--fast", arguments.folder / "fast.json"),
        "ceiling of SHA-256": lambda: run(program, "ceiling", arguments.size, inner=True),
    }
    if openssl := shutil.which("openssl"):
        files = "\\0".join(str(path) for path in sorted(model.iterdir()))
        contestants["openssl dgst -sha256"] = lambda: run(
            "sh", "-c", f"printf '{files}' | xargs -0 -n 1 -P {os.cpu_count()} {openssl} dgst -sha256")
    times = {name: [] for name in contestants}
    for round_number in range(arguments.rounds + 1):
        for name, contestant in contestants.items():
            seconds = contestant()
            if round_number:  # the first round only fills caches
                times[name].append(seconds)

    print(f"{arguments.size / 1e9:.2f} GB in {arguments.files} files, {arguments.rounds} rounds, {os.cpu_count()} cores, "
          f"{platform.processor() or platform.machine()}, profile {arguments.profile}")
    print(f"{'':40}{'median s':>10}{'smallest':>10}{'largest':>10}{'GB/s':>8}{'× model_signing':>17}")
    for name, taken in times.items():
        median = statistics.median(taken)
        reference = statistics.median(times["model_signing verify" if "verify" in name else "model_signing sign"])
        print(f"{name:40}{median:10.3f}{min(taken):10.3f}{max(taken):10.3f}"
              f"{arguments.size / 1e9 / median:8.2f}{reference / median:17.2f}")


if __name__ == "__main__":
    main()
