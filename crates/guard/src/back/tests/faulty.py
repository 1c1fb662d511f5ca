"""A server with a tool for each fault. Usage: faulty.py ERA START"""
import json, os, subprocess, sys, threading, time

era, start = sys.argv[1], sys.argv[2]
modern = era == "modern"
lock = threading.Lock()
cancelled, held, answers, calls, levels = [], [], {}, [], []
listening = {}
subscribed = []


def raw(data):
    with lock:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def send(message):
    raw(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def ok(id, result):
    if modern:
        result.setdefault("resultType", "complete")
    send({"id": id, "result": result})


def say(id, text):
    ok(id, {"content": [{"type": "text", "text": str(text)}]})


def fail(id, code, message, **more):
    send({"id": id, "error": {"code": code, "message": message, **more}})


def ask(id, method, params, then):
    key = "q%d" % len(answers)
    answers[key] = lambda m: then(m)
    send({"id": key, "method": method, "params": params})


CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True, "listChanged": True}, "logging": {}}
FORM = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}


def tool(id, name, a, meta, params):
    token = meta.get("progressToken")
    if name == "echo":
        say(id, json.dumps({"arguments": a, "meta": meta}, sort_keys=True))
    elif name == "pid":
        say(id, os.getpid())
    elif name == "child":
        child = subprocess.Popen(["sleep", "100000"])
        say(id, "%d %d" % (os.getpid(), child.pid))
    elif name == "hang":
        pass
    elif name == "seen":
        say(id, json.dumps({"cancelled": len(cancelled), "calls": calls, "levels": levels, "subscribed": subscribed}))
    elif name == "die":
        print("the disk is full", file=sys.stderr, flush=True)
        os._exit(3)
    elif name == "last-word":
        say(id, "done")
        os._exit(0)
    elif name == "orphan":
        subprocess.Popen(["sleep", "100000"])
        os._exit(4)
    elif name == "busy":
        say(id, "busy")
        time.sleep(a["seconds"])
    elif name == "deaf":
        os.close(0)
    elif name == "twice":
        say(id, "first")
        say(id, "second")
    elif name == "wrong-id":
        say(id + 1000, "for another")
        say(str(id), "for a text")
        send({"error": {"code": -32700, "message": "what?"}})
        say(id, "right")
    elif name == "swap":
        held.append((id, a))
        if len(held) == 2:
            for (id, a) in reversed(held):
                say(id, a["me"])
    elif name == "garbage":
        raw(b"Loading model...\n\n\xff\xfe\n{\"jsonrpc\":\"2.0\",\"id\":%d,\"id\":1,\"result\":{}}\n[1]\n" % id)
        raw(b"x" * a.get("long", 0) + b"\n")
        say(id, "after")
    elif name == "half":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"half \\ud83d"}]}}\n' % id)
    elif name == "unacceptable":
        raw(b'{"result":{"a":1,"a":2},"jsonrpc":"2.0","id":%d}\n' % id)
    elif name == "too-much":
        say(id, "x" * a["long"])
    elif name == "babble":
        raw(b"babble\n" * 1000)
        say(id, "after")
    elif name == "endless":
        while True:
            raw(b"x" * 65536)
    elif name == "flood":
        for n in range(a["count"]):
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": n}})
        say(id, "after")
    elif name == "spam":
        for n in range(a["count"]):
            send({"method": "notifications/tools/list_changed"})
        say(id, "after")
    elif name == "others-progress":
        for n in range(1, id):
            send({"method": "notifications/progress", "params": {"progressToken": n, "progress": 1}})
        say(id, "after")
    elif name == "log":
        for level in ("debug", "error"):
            send({"method": "notifications/message", "params": {"level": level, "data": level}})
        say(id, "logged")
    elif name == "changed":
        for sub in list(listening) or [None]:
            meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": sub}} if sub is not None else {}
            send({"method": "notifications/tools/list_changed", "params": meta})
            for uri in (listening.get(sub) or {}).get("resourceSubscriptions", subscribed):
                send({"method": "notifications/resources/updated", "params": {"uri": uri, **meta}})
        say(id, "changed")
    elif name == "forge-change":
        send({"method": "notifications/tools/list_changed",
              "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": id}}})
        say(id, "forged")
    elif name == "ask" and not modern:
        ask(id, a.get("method", "elicitation/create"), FORM,
            lambda m: say(id, json.dumps(m.get("result", m.get("error")), sort_keys=True)))
    elif name == "ask":
        state = params.get("requestState")
        if a.get("for-ever") or state is None:
            ok(id, {"resultType": "input_required", "requestState": "s1",
                    "inputRequests": {"who": {"method": a.get("method", "elicitation/create"), "params": FORM}}})
        else:
            say(id, json.dumps([state, params.get("inputResponses")], sort_keys=True))
    elif name == "shed":
        if params.get("requestState") is None:
            ok(id, {"resultType": "input_required", "requestState": "later"})
        else:
            say(id, json.dumps(params.get("inputResponses")))
    elif name == "odd-type":
        ok(id, {"resultType": "task"})
    elif name == "ping":
        answers["p"] = lambda m: say(id, json.dumps(m["result"]))
        send({"id": "p", "method": "ping"})
    elif name == "pings":
        for n in range(a["count"]):
            send({"id": "p%d" % n, "method": "ping"})
        say(id, "after")
    elif name == "missing":
        fail(id, -32002, "Resource not found", data={"uri": "x:y"})
    else:
        fail(id, -32602, "no such tool")


def handle(m):
    id, method = m.get("id"), m.get("method")
    params = m.get("params") or {}
    meta = params.get("_meta") or {}
    calls.append(method)
    if method is None:
        then = answers.pop(m["id"], None)
        if then:
            then(m)
    elif method == "server/discover":
        if start == "exit":
            os._exit(1)
        if start == "silent":
            return
        if start == "slow":
            time.sleep(1.0)
        if start == "newer":
            return fail(id, -32022, "no", data={"supported": ["2031-01-01"], "requested": "x"})
        if not modern:
            return fail(id, -32601, "Method not found")
        ok(id, {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "instructions": "Be brief.",
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "faulty", "version": "1"}}})
    elif method == "initialize":
        if modern:
            return fail(id, -32601, "Method not found")
        ok(id, {"protocolVersion": "2025-06-18" if start == "old" else params["protocolVersion"], "capabilities": CAPABILITIES,
                "serverInfo": {"name": "faulty", "version": "1"}, "instructions": "Be brief."})
    elif method == "notifications/cancelled":
        cancelled.append(params["requestId"])
        listening.pop(params["requestId"], None)
    elif method == "tools/list":
        ok(id, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        tool(id, params["name"], params.get("arguments") or {}, meta, params)
    elif method == "logging/setLevel":
        levels.append(params["level"])
        ok(id, {})
    elif method == "resources/subscribe":
        subscribed.append(params["uri"])
        ok(id, {})
    elif method == "resources/unsubscribe":
        subscribed.remove(params["uri"])
        ok(id, {})
    elif method == "subscriptions/listen":
        wanted = dict(params["notifications"])
        if "resourceSubscriptions" in wanted:
            wanted["resourceSubscriptions"] = [u for u in wanted["resourceSubscriptions"] if not u.startswith("no:")]
        listening[id] = wanted
        send({"method": "notifications/subscriptions/acknowledged", "params": {
            "notifications": wanted, "_meta": {"io.modelcontextprotocol/subscriptionId": id}}})
    elif id is not None:
        fail(id, -32601, "Method not found")


if start == "never":
    print("no configuration found\x1b[31m", file=sys.stderr, flush=True)
    os._exit(2)
if start == "mute":
    time.sleep(100000)
if start == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    handle(json.loads(line))
if start == "stubborn":
    time.sleep(100000)
