"""Uses a TAXII 2.1 server as anybody would who has taxii2-client (PyPI): discovery, collections, objects in and out, filters, pages,
manifests, versions, status, deletion. Ends with status 0 if everything is as the specification says.

    python client.py URL TOKEN COLLECTION
"""

import sys
import uuid

import requests
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import ApiRoot, Collection, Server, as_pages

url, token, collection_id = sys.argv[1:4]
MARK = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"  # TLP:WHITE, version 1.0


def vulnerability(name, modified="2026-01-01T00:00:00.000Z", id=None):
    return {
        "type": "vulnerability",
        "spec_version": "2.1",
        "id": id or f"vulnerability--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": modified,
        "name": name,
        "object_marking_refs": [MARK],
    }


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r} is not {expected!r}")
    print(f"ok: {what}")


def ids(envelope):
    return [one["id"] for one in envelope.get("objects", [])]


server = Server(url, user="anybody", password=token)
check("discovery has one API root", len(server.api_roots), 1)
root = server.default
check("the API root speaks 2.1", "application/taxii+json;version=2.1" in root.versions, True)
mine = [one for one in root.collections if one.id == collection_id]
check("the collection is listed", len(mine), 1)
collection = mine[0]
check("it can be read and written", (collection.can_read, collection.can_write), (True, True))
check("it is empty", collection.get_objects(), {})

things = [vulnerability(f"Flaw {n}") for n in range(25)]
status = collection.add_objects({"objects": things})
check("all are taken", (status.status, status.success_count, status.failure_count), ("complete", 25, 0))
check("the status can be asked for", root.get_status(status.id).success_count, 25)

pages = list(as_pages(collection.get_objects, per_request=10))
check("pages of ten", [len(page["objects"]) for page in pages], [10, 10, 5])
seen = [one for page in pages for one in ids(page)]
check("every object once", sorted(seen), sorted(one["id"] for one in things))
# What is sent back is what was sent.
by_id = {one["id"]: one for page in pages for one in page["objects"]}
check("objects as they were", all(by_id[one["id"]] == one for one in things), True)

first = things[0]
later = vulnerability("Flaw 0, again", "2026-02-01T00:00:00.000Z", first["id"])
check("a new version", collection.add_objects({"objects": [later]}).success_count, 1)
check("the last version", collection.get_object(first["id"])["objects"][0]["name"], "Flaw 0, again")
check("all versions", len(collection.get_object(first["id"], version="all")["objects"]), 2)
check("the first version", collection.get_object(first["id"], version="first")["objects"][0]["name"], "Flaw 0")
versions = collection.object_versions(first["id"])["versions"]
check("versions", versions, ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"])
check("by type", len(ids(collection.get_objects(type="vulnerability", limit=100))), 25)
check("by another type", collection.get_objects(type="malware"), {})
check("by id", ids(collection.get_objects(id=things[3]["id"])), [things[3]["id"]])
manifest = collection.get_manifest(limit=100)["objects"]
check("a manifest", len(manifest), 25)
check("added after the end", collection.get_objects(added_after=manifest[-1]["date_added"]), {})

check("one is removed", bool(collection.delete_object(things[5]["id"])) or True, True)
check("and is gone", len(ids(collection.get_objects(limit=100))), 24)

# Something broken among good ones is refused alone.
bad = dict(vulnerability("No date"))
del bad["created"]
status = collection.add_objects({"objects": [bad, vulnerability("Good")]})
check("a defect is told", (status.success_count, status.failure_count), (1, 1))

# The raw protocol.
auth = {"Authorization": f"Bearer {token}"}
objects = f"{collection.url}objects/"
answer = requests.get(objects, headers={**auth, "Accept": "application/taxii+json;version=2.1"}, params={"limit": 3})
check("the media type", answer.headers["Content-Type"], "application/taxii+json;version=2.1")
check("date headers", all(f"X-TAXII-Date-Added-{end}" in answer.headers for end in ("First", "Last")), True)
check("406", requests.get(objects, headers={**auth, "Accept": "application/xml"}).status_code, 406)
kind = {**auth, "Accept": "application/taxii+json;version=2.1"}
check("415", requests.post(objects, headers={**kind, "Content-Type": "application/json"}, data="{}").status_code, 415)
good = {**kind, "Content-Type": "application/taxii+json;version=2.1"}
for what, body in [
    ("no JSON", b"{"),
    ("a name twice", b'{"objects":[],"objects":[]}'),
    ("not UTF-8", b'{"objects":["\xff"]}'),
    ("too deep", b"[" * 10000 + b"]" * 10000),
    ("too deep inside", b'{"objects":[' + b'{"x":' * 10000 + b"1" + b"}" * 10000 + b"]}"),
]:
    answer = requests.post(objects, headers=good, data=body)
    # What can be told apart is refused alone, in a status.
    refused = answer.status_code in (400, 413, 422) or answer.json().get("success_count") == 0
    check(f"{what} is refused", refused, True)
for what, query in [("limit=0", "limit=0"), ("limit=x", "limit=x"), ("next=x", "next=x"), ("added_after=x", "added_after=x")]:
    check(f"{what} is refused", requests.get(f"{objects}?{query}", headers=kind).status_code in (400, 422), True)
check("401", requests.get(objects, headers={**kind, "Authorization": "Bearer ost_x"}).status_code, 401)
missing = requests.get(f"{root.url}collections/{uuid.uuid4()}/", headers=kind)
check("404", missing.status_code, 404)
check("405", requests.put(objects, headers=kind).status_code, 405)
try:
    Collection(f"{root.url}collections/{uuid.uuid4()}/", user="x", password=token).get_objects()
    sys.exit("a collection that does not exist was read")
except (requests.HTTPError, TAXIIServiceException):
    print("ok: a collection that does not exist")
stranger = ApiRoot(root.url)
check("strangers see what is for everybody", stranger.title, root.title)
print("done")
