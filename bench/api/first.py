"""Becomes a new node's first administrator, and prints shell variables: COOKIE, CSRF, TOKEN, COLLECTION.

    python first.py URL LINK
"""

import json
import sys
import urllib.parse
import urllib.request

url, link = sys.argv[1:3]


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


cookies = {}
opener = urllib.request.build_opener(Stay)


def ask(method, path, body=None, kind=None, headers=None):
    headers = dict(headers or {})
    if cookies:
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    if kind:
        headers["Content-Type"] = kind
    request = urllib.request.Request(url + path, data=body, method=method, headers=headers)
    try:
        answer = opener.open(request)
    except urllib.error.HTTPError as error:
        answer = error
    for set_cookie in answer.headers.get_all("Set-Cookie") or []:
        name, value = set_cookie.split(";")[0].split("=", 1)
        cookies[name] = value
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {answer.status} {answer.read()!r}")
    return answer.read()


def csrf():
    return json.loads(ask("GET", "/auth/session"))["csrf"]


def post(path, value):
    headers = {"X-CSRF-Token": csrf()}
    return json.loads(ask("POST", path, json.dumps(value).encode(), "application/json", headers))


form = {
    "csrf": csrf(),
    "secret": link.rsplit("/", 1)[1],
    "organisation": "Institute",
    "name": "Ada",
    "email": "ada@institute.example",
    "password": "correct horse battery staple",
}
ask("POST", "/auth/invitation", urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded")
collection = post("/api/v1/collections", {"title": "Flaws", "alias": "flaws", "default_tlp": "amber"})
token = post("/api/v1/tokens", {"name": "bench", "scopes": ["read", "write", "report"], "days": 7})
print(f"COOKIE='{'; '.join(f'{name}={value}' for name, value in cookies.items())}'")
print(f"CSRF='{csrf()}'")
print(f"TOKEN='{token['token']}'")
print(f"COLLECTION='{collection['id']}'")
