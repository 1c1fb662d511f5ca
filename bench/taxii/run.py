#!/usr/bin/env python3
"""TAXII 2.1 pages a second: an Ostrom node, and OpenTAXII beside it, by turns in one run, over SQLite.

    cargo build --release && cargo build --release -p ostrom-node --example page_load
    bench/taxii/run.py --objects 1000000                   # the node alone
    bench/taxii/run.py --objects 5000 100000 --peer        # both; needs pip and its registry once

Every tenth object belongs to another organisation and is hidden from the reader. The load generator shares the machine. Loopback only; it stops by itself.
"""
import argparse
import http.cookiejar
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEDIA = "application/taxii+json;version=2.1"
PEER = ["opentaxii==0.9.3", "gunicorn==27.0.1"]
TLP = {
    "clear": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
}
PEER_CONFIG = """
domain: "127.0.0.1:{port}"
auth_api:
  class: opentaxii.auth.sqldb.SQLDatabaseAPI
  parameters: {{db_connection: "sqlite:///{folder}/auth.db", create_tables: yes, secret: not-a-secret}}
taxii1:
taxii2:
  public_discovery: yes
  max_content_length: 104857600
  persistence_api:
    class: opentaxii.persistence.sqldb.Taxii2SQLDatabaseAPI
    parameters: {{db_connection: "sqlite:///{folder}/data.db", create_tables: yes}}
logging: {{opentaxii: error, root: error}}
"""
# Runs in the peer's environment: objects go in as its own models, in bulk, so that filling it does not take hours.
PEER_FILL = """
import datetime, json, sys
from opentaxii.http import app
from opentaxii.persistence.sqldb import taxii2models as models
with app.app_context():
    api = app.taxii_server.servers.taxii2.persistence.api
    root = api.add_api_root(title="bench", description="", default=True, is_public=True)
    collection = api.add_collection(api_root_id=root.id, title="bench", description="", alias="bench", is_public=True)
    begin = datetime.datetime.now(datetime.timezone.utc)
    rows = []
    for number, line in enumerate(open(sys.argv[1])):
        value = json.loads(line)
        version = datetime.datetime.strptime(value["modified"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
        rest = {key: part for key, part in value.items() if key not in ("id", "type", "spec_version")}
        rows.append(models.STIXObject(id=value["id"], collection_id=collection.id, type=value["type"], spec_version="2.1",
                    date_added=begin + datetime.timedelta(microseconds=number), version=version, serialized_data=rest))
        if len(rows) == 5000:
            api.db.session.bulk_save_objects(rows); api.db.session.commit(); rows = []
    api.db.session.bulk_save_objects(rows); api.db.session.commit()
    print(f"/taxii2/{root.id}/collections/{collection.id}/objects/")
"""


def port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(number, what):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{what} does not listen on port {number}")


def memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one(dice, mark):
    created = f"2026-{dice.randint(1, 9):02}-{dice.randint(1, 28):02}T{dice.randint(0, 23):02}:00:00.{dice.randint(0, 999):03}Z"
    words = "prompt injection model poisoning tool misuse leak memory agent retrieval document invitation handler".split()
    return {
        "type": "vulnerability", "spec_version": "2.1", "id": f"vulnerability--{uuid.UUID(int=dice.getrandbits(128), version=4)}",
        "created": created, "modified": created, "name": " ".join(dice.sample(words, 4)),
        "description": " ".join(dice.choice(words) for _ in range(30)), "object_marking_refs": [TLP[mark]],
        "external_references": [{"source_name": "bench", "external_id": f"B-{dice.randint(0, 10**9)}"}],
    }


class Person:
    """Somebody's browser."""

    def __init__(self, base):
        self.base = base
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def page(self, path):
        return self.opener.open(self.base + path).read().decode()

    def accept(self, path, **fields):
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.page(path)).group(1)
        fields |= {"csrf": csrf, "secret": path.rsplit("/", 1)[1], "password": "correct horse battery staple"}
        self.opener.open(urllib.request.Request(self.base + "/auth/invitation", urllib.parse.urlencode(fields).encode(), {"Origin": self.base}))

    def api(self, path, value):
        csrf = re.search(r'name="csrf" value="([^"]+)"', self.page("/account")).group(1)
        head = {"Origin": self.base, "Content-Type": "application/json", "X-CSRF-Token": csrf}
        try:
            return json.load(self.opener.open(urllib.request.Request(self.base + "/api/v1" + path, json.dumps(value).encode(), head)))
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read().decode()}")

    def token(self):
        return self.api("/tokens", {"name": "bench", "scopes": ["read", "write"], "days": 1})["token"]


class Node:
    def __init__(self, binary, folder, count):
        self.port = port()
        self.base = f"http://localhost:{self.port}"
        command = [binary, "serve", "--data", str(folder / "node"), "--listen", f"127.0.0.1:{self.port}", "--rate", "1000000000"]
        log = folder / "node.log"
        begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
        wait_for(self.port, "the node")
        urllib.request.urlopen(self.base + "/").read()
        self.started = time.monotonic() - begun
        admin = Person(self.base)
        admin.accept(re.search(r"/invite/\S+", log.read_text()).group(0), organisation="Institute", name="Ada", email="ada@example.org")
        self.person = admin
        collection = admin.api("/collections", {"title": "Bench", "default_tlp": "green"})["id"]
        own = admin.token()
        other = admin.api("/organisations", {"name": "Other", "sectors": []})
        somebody = admin.api("/persons", {"organisation": other["id"], "name": "Eve", "email": "eve@example.org", "roles": ["contributor", "coordinator"]})
        link = admin.api(f"/persons/{somebody['id']}/invitation", {})
        eve = Person(self.base)
        eve.accept(urllib.parse.urlparse(link["link"]).path, name="Eve", email="eve@example.org")
        eves = eve.token()
        self.path = f"/taxii2/api/collections/{collection}/objects/"
        self.headers = [f"Authorization: Bearer {own}", f"Accept: {MEDIA}"]
        dice = random.Random(1)
        begun, self.lines = time.monotonic(), []
        for start in range(0, count, 1000):
            hidden = start // 1000 % 10 == 9
            marks = ["amber"] if hidden else ["clear", "green", "amber"]
            objects = [one(dice, dice.choice(marks)) for _ in range(min(1000, count - start))]
            self.lines += [json.dumps(value) for value in objects]
            self.post(eves if hidden else own, objects)
        self.ingest = count / (time.monotonic() - begun)

    def post(self, token, objects):
        head = {"Authorization": f"Bearer {token}", "Accept": MEDIA, "Content-Type": MEDIA}
        body = json.dumps({"objects": objects}).encode()
        answer = json.load(urllib.request.urlopen(urllib.request.Request(self.base + self.path, body, head)))
        if answer.get("failure_count") or answer.get("success_count") != len(objects):
            raise SystemExit(f"not all objects were taken: {json.dumps(answer)[:500]}")


class Peer:
    def __init__(self, venv, folder, lines):
        self.port = port()
        config, objects = folder / "peer.yml", folder / "objects.jsonl"
        config.write_text(PEER_CONFIG.format(port=self.port, folder=folder))
        objects.write_text("\n".join(lines) + "\n")
        environment = dict(os.environ, OPENTAXII_CONFIG=str(config))
        fill = subprocess.run([venv / "bin" / "python", "-c", PEER_FILL, str(objects)], env=environment, capture_output=True, text=True)
        if fill.returncode != 0:
            raise SystemExit(fill.stderr[-3000:])
        self.path = fill.stdout.strip().splitlines()[-1]
        self.headers = [f"Accept: {MEDIA}"]
        command = [venv / "bin" / "gunicorn", "opentaxii.http:app", "--workers", "2", "--keep-alive", "60", "--worker-class", "gthread", "--threads", "2",
                   "--bind", f"127.0.0.1:{self.port}", "--log-level", "error"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, "the peer")


def walk(server, pages):
    """The paths of so many pages, spread over the collection: as `next` gives them, from beginnings in different places."""
    paths, query, head = [], "limit=100", dict(line.split(": ", 1) for line in server.headers)
    for _ in range(pages):
        path = f"{server.path}?{query}"
        answer = json.load(urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=head | {"Host": f"localhost:{server.port}"})))
        paths.append(path)
        if not answer.get("more"):
            break
        query = "limit=100&next=" + urllib.parse.quote(answer["next"])
    return paths


def load(binary, server, folder, paths, seconds, connections):
    file = folder / f"paths-{server.port}"
    file.write_text("\n".join(paths) + "\n")
    command = [binary, f"localhost:{server.port}", str(seconds), str(connections), str(file)] + server.headers
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--objects", type=int, nargs="+", default=[100_000])
    parse.add_argument("--peer", action="store_true", help="OpenTAXII too")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--seconds", type=float, default=5)
    parse.add_argument("--connections", type=int, default=4)
    parse.add_argument("--pages", type=int, default=2000, help="different pages that are asked for")
    parse.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")))
    parse.add_argument("--work", default=str(Path(tempfile.gettempdir()) / "ostrom-bench-taxii"), help="where the peer is installed")
    given = parse.parse_args()
    release = Path(given.target) / "release"
    venv = Path(given.work) / "venv"
    if given.peer and not (venv / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *PEER], check=True)
        (venv / "installed").touch()
    for count in given.objects:
        with tempfile.TemporaryDirectory() as folder:
            folder, servers = Path(folder), []
            try:
                node = Node(str(release / "ostrom"), folder, count)
                servers.append(("Ostrom", node))
                print(f"{count} objects, every tenth thousand hidden; first start to first answer {node.started * 1000:.0f} ms; "
                      f"ingest {node.ingest:.0f} objects/s in batches of 1,000, the Python that makes them included")
                if given.peer:
                    servers.append(("OpenTAXII", Peer(venv, folder, node.lines)))
                node.lines = None
                paths = {name: walk(server, given.pages if name == "Ostrom" else min(given.pages, 50)) for name, server in servers}
                rows = {name: [] for name, _ in servers}
                for _ in range(given.rounds):
                    for name, server in servers:
                        before = cpu(server.process.pid)
                        row = load(str(release / "examples" / "page_load"), server, folder, paths[name], given.seconds, given.connections)
                        row["cpu_ms"] = (cpu(server.process.pid) - before) / row["pages"] * 1e3
                        rows[name].append(row)
                print(f"{'':<12} {'pages/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8} {'MiB':>7}")
                for name, server in servers:
                    middle = lambda key: statistics.median(row[key] for row in rows[name])
                    own = f"{middle('cpu_ms'):>8.2f} {memory(server.process.pid):>7.0f}" if name == "Ostrom" else ""
                    print(f"{name:<12} {middle('per_second'):>8.0f} {middle('p50_ms'):>8.2f} {middle('p99_ms'):>8.2f} {own}")
                times = []
                for path in ["/", "/flaws", "/search?q=injection"] * 5:
                    begun = time.monotonic()
                    node.person.page(path)
                    times.append((time.monotonic() - begun) * 1e3)
                print("UI, ms (worst of five): " + ", ".join(f"{path} {max(times[at::3]):.0f}" for at, path in enumerate(["/", "/flaws", "/search"])))
            finally:
                for _, server in servers:
                    server.process.send_signal(signal.SIGTERM)
                for _, server in servers:
                    server.process.wait()


main()
