#!/usr/bin/env python3
"""Differential test: the answers of a real kube-apiserver 1.36.2 against another server's.

  oracle.py record --server URL --token T DIR    run the scenarios, write the answers beside them
  oracle.py replay --server URL --token T DIR    run them against another server, print what differs

DIR holds *.yaml scenarios and, once recorded, *.answers.json. A scenario runs in a namespace of
its own, named o-<scenario>, and its steps run in order:

  namespace: false                  # optional: make none
  setup: [ {do: ..., body: ...} ]   # optional: steps whose answers do not count
  steps:
  - do: POST /api/v1/namespaces/{ns}/configmaps?dryRun=All
    token: other                    # optional: a bearer token other than the admin's
    headers: {Accept: application/json}
    body: {kind: ConfigMap, ...}    # sent as JSON; a string is sent as it is
    capture: {rv: metadata.resourceVersion}   # later steps use it as {rv}
    ignore: [metadata.managedFields]          # paths left out of the comparison
    only: {groups.name: "^(apps|batch)$"}     # of a list, or a map, compare these entries
    wait: {path: status.phase, equals: Active, seconds: 5}   # repeat a GET until it holds
    status_only: true               # compare the status code alone
    headers_only: true              # compare the status code and the headers, not the body
    also: [Location]                # compare these headers too
    raw: true                       # compare the body as text: key order, spaces, line ends
    pad: {x: ["ab", 3]}             # {x} in this step's body becomes "ababab"

A body may be !!binary. Compared: status code, the headers Content-Type, Warning, Retry-After and
Allow, and the body as parsed JSON (a watch as its list of events) after normalising what must
differ: uids, times and ages, resource versions, continue tokens, allocated addresses and ports,
generated suffixes, hashes. The order of managedFields entries is not compared (it depends on
the second they were made in), nor that of the causes of an apply conflict (it is random).
Needs Python 3.9 and PyYAML. Exit status 0 when all steps are the same, 1 when some differ.
"""
import argparse, json, os, re, ssl, sys, time, http.client, urllib.parse
import yaml

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
IP = re.compile(r"\b10\.0\.\d{1,3}\.\d{1,3}\b")
AGE = re.compile(r"(\d+[ydhms])+")
ADDRESS = re.compile(r"(serverAddress\"?: ?\"?|https://)[\w.\[\]:-]+:\d+")
RV_TEXT = re.compile(r"(resourceVersion\"?: ?\"?)\d+")
HEADERS = ("content-type", "warning", "retry-after", "allow")


class Server:
    def __init__(self, url, token):
        self.url, self.token = urllib.parse.urlsplit(url), token
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def call(self, method, path, headers, body, token=None):
        conn = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.tls, timeout=30)
        try:
            head = {"User-Agent": "oracle/1.0", "Accept": "application/json"}
            if token != "":
                head["Authorization"] = "Bearer " + (token or self.token)
            if body is not None:
                head["Content-Type"] = "application/json"
            head.update(headers or {})
            try:
                conn.request(method, path, body=body, headers=head)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server may answer, and stop reading, before it has the whole body
            resp, got = conn.getresponse(), {}
            for k, v in resp.getheaders():
                k = k.lower()
                got[k] = got[k] + "\n" + v if k in got else v
            return resp.status, got, resp.read()
        finally:
            conn.close()


def parse(raw, ctype):
    text = raw.decode("utf-8", "replace")
    if "json" not in (ctype or "") and not text.startswith('{"'):
        return text
    docs, dec, at = [], json.JSONDecoder(), 0
    while at < len(text):
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            break
        try:
            doc, at = dec.raw_decode(text, at)
        except ValueError:
            return text
        docs.append(doc)
    return docs[0] if len(docs) == 1 else docs


def table(v):
    """Ages in the cells of a Table; its watch events after the first have no column definitions."""
    ages = [dig(d, "name") in ("Age", "Last Seen", "First Seen", "Last Schedule") for d in v.get("columnDefinitions") or []]
    for row in v.get("rows") or []:
        if isinstance(dig(row, "cells"), list):
            row["cells"] = ["<age>" if isinstance(c, str) and AGE.fullmatch(c) and (i >= len(ages) or ages[i]) else c
                            for i, c in enumerate(row["cells"])]
    return v


def canon(v):
    """The same answer whatever the order of its managedFields and of the managers in an apply
    conflict; answers recorded before a rule was added to normal() meet it here."""
    def ordered(v):
        if isinstance(v, dict) and isinstance(v.get("managedFields"), list):
            v["managedFields"].sort(key=lambda x: json.dumps(x, sort_keys=True))
        if isinstance(v, dict) and isinstance(v.get("causes"), list):
            if all(dig(c, "reason") == "FieldManagerConflict" for c in v["causes"]):
                v["causes"].sort(key=lambda x: json.dumps(x, sort_keys=True))
        for x in v.values() if isinstance(v, dict) else v if isinstance(v, list) else ():
            ordered(x)
    v = dict(v, body=normal(v["body"])) if "body" in v else v
    ordered(v)
    return v


def normal(v, key=""):
    if isinstance(v, dict):
        v = {k: normal(x, k) for k, x in v.items()}
        return table(v) if v.get("kind") == "Table" else v
    if isinstance(v, list):
        return [normal(x, key) for x in v]
    if key in ("resourceVersion", "continue", "hash") and isinstance(v, str) and v:
        return "<%s>" % key
    if key == "serverAddress":
        return "<address>"
    if key == "serverRelativeURL" and v:
        return re.sub(r"hash=\w+", "hash=<hash>", v)
    if key in ("nodePort", "healthCheckNodePort") and isinstance(v, int) and v >= 30000:
        return "<port>"
    if isinstance(v, str):
        v = JWT.sub("<jwt>", TIME.sub("<time>", UUID.sub("<uid>", v)))
        v = IP.sub("<ip>", v)
        if key == "jwks_uri" or "serverAddress" in v:
            v = ADDRESS.sub(r"\1<address>", v)
        if key in ("name", "generateName") or "-" in v:
            v = re.sub(r"-[bcdfghjklmnpqrstvwxz2456789]{5}(?=\b|\")", "-<rand>", v) if re.search(r"gen-", v) else v
        if "\n" in v or v.startswith(("{", "[")):  # YAML, or JSON kept as text
            v = RV_TEXT.sub(r"\1<resourceVersion>", v)
        elif "resource version" in v.lower() or "resourceversion" in v.lower():
            v = re.sub(r"(?<![\w.-])[1-9]\d*(?![\w-])", "<n>", v)
    return v


def dig(v, path):
    for part in path.split("."):
        if isinstance(v, list):
            v = v[int(part)] if part.isdigit() and int(part) < len(v) else None
        elif isinstance(v, dict):
            v = v.get(part)
        else:
            return None
    return v


def drop(v, path):
    head, _, rest = path.partition(".")
    for node in (v if isinstance(v, list) else [v]):
        if isinstance(node, dict) and head == "*":
            for k in list(node):
                drop(node[k], rest) if rest else node.pop(k)
        elif isinstance(node, dict) and head in node:
            drop(node[head], rest) if rest else node.pop(head)


def without(v, keys):
    if isinstance(v, dict):
        return {k: without(x, keys) for k, x in v.items() if k not in keys}
    return [without(x, keys) for x in v] if isinstance(v, list) else v


def keep(v, path, pattern):
    head, _, rest = path.partition(".")
    x = dig(v, head)
    if isinstance(x, list):
        v[head] = [e for e in x if re.search(pattern, str(dig(e, rest)))]
    elif isinstance(x, dict):
        v[head] = {k: e for k, e in x.items() if re.search(pattern, k)}


def run_step(server, step, vars_):
    def fill(s):
        for k, x in vars_.items():
            s = s.replace("{%s}" % k, str(x))
        return s
    method, path = fill(step["do"]).split(" ", 1)
    body = step.get("body")
    if body is not None and not isinstance(body, bytes):
        body = fill(body if isinstance(body, str) else json.dumps(body, separators=(",", ":")))
        for k, (text, times) in (step.get("pad") or {}).items():
            body = body.replace("{%s}" % k, text * times)
        body = body.encode()
    headers = {k: fill(x) for k, x in (step.get("headers") or {}).items()}
    token = fill(step["token"]) if step.get("token") is not None else None
    wait, until = step.get("wait"), time.time() + (step.get("wait") or {}).get("seconds", 0)
    while True:
        status, got, raw = server.call(method, path, headers, body, token)
        out = parse(raw, got.get("content-type"))
        if not wait or dig(out, wait["path"]) == wait.get("equals") or time.time() > until:
            break
        time.sleep(0.1)
    for name, where in (step.get("capture") or {}).items():
        vars_[name] = dig(out, where) or ""
    if step.get("status_only"):
        return {"do": step["do"], "status": status}
    kept = {h: got[h] for h in HEADERS + tuple(h.lower() for h in step.get("also") or []) if h in got}
    answer = {"do": step["do"], "status": status, "headers": normal(kept)}
    if step.get("headers_only"):
        return answer
    answer["body"] = normal(raw.decode("utf-8", "replace") if step.get("raw") else out)
    for p, pattern in (step.get("only") or {}).items():
        keep(answer["body"], p, pattern)
    for p in step.get("ignore") or []:
        drop(answer["body"], p)
    return answer


def run(server, name, scenario):
    vars_ = {"ns": "o-" + name}
    if scenario.get("namespace", True):
        server.call("POST", "/api/v1/namespaces", {}, json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": vars_["ns"]}}).encode())
    for step in scenario.get("setup") or []:
        run_step(server, step, vars_)
    answers = []
    for step in scenario["steps"]:
        try:
            answers.append(run_step(server, step, vars_))
        except (OSError, http.client.HTTPException) as e:
            answers.append({"do": step["do"], "status": "no answer: %s" % type(e).__name__})
    return answers


def differences(want, got, path=""):
    if isinstance(want, dict) and isinstance(got, dict):
        for k in sorted(set(want) | set(got)):
            here = path + "." + k if path else k
            if k not in got:
                yield "%s: missing, want %s" % (here, json.dumps(want[k])[:160])
            elif k not in want:
                yield "%s: not expected, got %s" % (here, json.dumps(got[k])[:160])
            else:
                yield from differences(want[k], got[k], here)
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            yield "%s: %d entries, want %d" % (path, len(got), len(want))
        for i, (a, b) in enumerate(zip(want, got)):
            yield from differences(a, b, "%s[%d]" % (path, i))
    elif want != got:
        yield "%s: got %s, want %s" % (path, json.dumps(got)[:300], json.dumps(want)[:300])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode", choices=["record", "replay"])
    p.add_argument("dir")
    p.add_argument("--server", required=True)
    p.add_argument("--token", required=True)
    p.add_argument("--only", help="run scenarios whose name begins with this")
    p.add_argument("--ignore", action="append", default=[], metavar="KEY", help="leave this key out wherever it stands (managedFields, say)")
    p.add_argument("-v", "--verbose", action="store_true", help="print every difference, not the first three of a step")
    a = p.parse_args()
    server, same, total = Server(a.server, a.token), 0, 0
    for f in sorted(os.listdir(a.dir)):
        name = f[:-5]
        if not f.endswith(".yaml") or not name.startswith(a.only or ""):
            continue
        scenario = yaml.safe_load(open(os.path.join(a.dir, f)))
        try:
            got = run(server, name, scenario)
        except (OSError, http.client.HTTPException) as e:
            got = [{"do": "connection", "status": str(e)}]
        answers = os.path.join(a.dir, name + ".answers.json")
        if a.mode == "record":
            with open(answers, "w") as out:  # a step a line
                out.write("[\n%s\n]\n" % ",\n".join(json.dumps(g, sort_keys=True) for g in got))
            print("%s: %d steps recorded" % (name, len(got)))
            continue
        want, ok = json.load(open(answers)), 0
        for i, w in enumerate(want):
            diffs = ["no answer"] if i >= len(got) else list(
                differences(without(canon(w), a.ignore), without(canon(got[i]), a.ignore)))
            ok += not diffs
            for d in diffs if a.verbose else diffs[:3]:
                print("%s step %d %s\n    %s" % (name, i + 1, w["do"], d))
            if len(diffs) > 3 and not a.verbose:
                print("    … %d more" % (len(diffs) - 3))
        same, total = same + ok, total + len(want)
        print("%-40s %d of %d steps the same" % (name, ok, len(want)))
    if a.mode == "replay":
        print("%d of %d steps the same" % (same, total))
        sys.exit(0 if same == total else 1)


if __name__ == "__main__":
    main()
