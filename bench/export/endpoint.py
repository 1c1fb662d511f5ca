"""An OpenAI-compatible endpoint whose answers follow from the prompt: some repeat the code word in it, and with an argument every Nth prompt gets HTTP 500.

    python bench/export/endpoint.py [N]

Prints its port as the first line.
"""

import hashlib
import http.server
import json
import re
import sys

EVERY = int(sys.argv[1]) if len(sys.argv) > 1 else 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [message["content"] for message in request["messages"]]
        number = int.from_bytes(hashlib.sha256("\n".join(texts).encode()).digest()[:4], "big")
        if EVERY and number % EVERY == 0:
            return self.answer(500, {"error": {"message": "out of order"}})
        words = re.findall(r"[A-Z]{3,}-[0-9]{4}", texts[-1]) if number % 3 == 0 else []
        reply = words[0] if words else "Certainly, here it is."
        self.answer(200, {
            "id": "1", "object": "chat.completion", "created": 1, "model": request["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        })

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
