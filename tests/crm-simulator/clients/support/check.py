"""What the Python programs share: the addresses, the control API, sign-in steps, and counting."""

import json
import os
import ssl
import sys
import urllib.parse
import urllib.request

with open(sys.argv[1], encoding="utf-8") as file:
    SIM = json.load(file)["simulator"]
os.environ["REQUESTS_CA_BUNDLE"] = SIM["ca_file"]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

import jwt  # noqa: E402
import requests  # noqa: E402

COUNTS = {True: 0, False: 0}


def check(what, condition, seen=""):
    COUNTS[bool(condition)] += 1
    if not condition:
        print(f"FAILED {what}: {seen}")


def raises(what, kind, run, test=lambda error: True):
    try:
        seen = run()
    except kind as error:
        check(what, test(error), repr(error))
    except Exception as error:  # noqa: BLE001
        check(what, False, repr(error))
    else:
        check(what, False, f"no error, but {seen}")


def control(method, path, body=None):
    request = urllib.request.Request(SIM["control"] + path, method=method)
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, data) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Settings:
    """Changes settings of one system, and puts them back in the end."""

    def __init__(self, system, **change):
        self.system, self.change = system, change

    def __enter__(self):
        old = control("GET", "/settings")[self.system]
        self.old = {name: old[name] for name in self.change}
        control("PATCH", "/settings", {self.system: self.change})

    def __exit__(self, *_):
        control("PATCH", "/settings", {self.system: self.old})


def sent_back(url):
    """What a sign-in sends back to the app."""
    answer = requests.get(url, allow_redirects=False, timeout=10)
    query = urllib.parse.urlsplit(answer.headers["location"]).query
    return dict(urllib.parse.parse_qsl(query))


def verified(token, keys, audience, issuer):
    """The claims of an identity token, after PyJWT has looked at everything."""
    context = ssl.create_default_context(cafile=SIM["ca_file"])
    key = jwt.PyJWKClient(keys, ssl_context=context).get_signing_key_from_jwt(token)
    return jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)


def main(*parts):
    for part in parts:
        try:
            part()
        except Exception as error:  # noqa: BLE001
            check(part.__name__, False, repr(error))
    print(f"{COUNTS[True]} passed, {COUNTS[False]} failed")
    sys.exit(1 if COUNTS[False] else 0)
