#!/usr/bin/env python3
"""Replays the recorded answers and holds the result against differs.txt, the steps that are known to differ.

  check.py check   --server URL --token T    fails on a new difference, and on one that is gone but still listed
  check.py update  --server URL --token T    takes the lines that are gone off the list; never adds one
  check.py propose --server URL --token T    prints a line for every step that differs, with a guess at the reason

The list may only shrink. A line is `scenario step reason`; the reasons, and which of them may come and go:

"""
import argparse, collections, concurrent.futures, os, queue, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import oracle, json, yaml  # noqa: E402

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

REASONS = {
    "admission": "needs an admission policy in CEL or a webhook, a later issue",
    "custom-resources": "needs CustomResourceDefinitions, a later issue",
    "deep-validation": "needs a kind's full validation, a later issue",
    "deep-defaulting": "needs a kind's full defaulting, a later issue",
    "aggregation": "needs APIService proxying, a later issue",
    "recording": "tells of the recording machine (its port)",
    "random": "the real server's own answer varies: may differ or not",
    "defect": "ours to mend",
}
__doc__ += "\n".join("  %-18s %s" % r for r in REASONS.items())


# A step that is known to differ is not waited for as long as its scenario says: what it waits for will not come.
KNOWN_WAIT_SECONDS = 0.3


def replay(server, name, ignore, hopeless):
    """One scenario: its recorded answers, its steps, and {step: [differences]}."""
    base = os.path.join(HERE, "scenarios", name)
    with open(base + ".yaml") as f:
        scenario = yaml.load(f, LOADER)
    with open(base + ".answers.json") as f:
        want = json.load(f)
    setup = scenario.get("setup") or []
    for i, step in enumerate(setup + scenario["steps"], 1 - len(setup)):
        if step.get("wait") and hopeless(name, i):
            step["wait"]["seconds"] = min(step["wait"].get("seconds", 0), KNOWN_WAIT_SECONDS)
    got, differ = oracle.run(server, name, scenario), {}
    for i, w in enumerate(want):
        g = got[i] if i < len(got) else {"do": w["do"], "status": "no answer"}
        found = list(oracle.differences(oracle.without(oracle.canon(w), ignore), oracle.without(oracle.canon(g), ignore)))
        if found:
            differ[i + 1] = found
    return want, scenario["steps"], differ


def replay_all(servers, only, ignore, hopeless):
    """Yields (name, recorded answers, steps, differences) by name. A server replays one scenario at a time."""
    names = sorted(f[:-5] for f in os.listdir(os.path.join(HERE, "scenarios")) if f.endswith(".yaml") and f.startswith(only))
    free = queue.SimpleQueue()
    for server in servers:
        free.put(server)

    def one(name):
        server = free.get()
        try:
            return (name,) + replay(server, name, ignore, hopeless)
        finally:
            free.put(server)

    # Most of the time is spent in watches that wait for their own end.
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as pool:
        yield from pool.map(one, names)


def read_list(path):
    listed = collections.OrderedDict()
    with open(path) as f:
        for number, line in enumerate(f, 1):
            line = line.split("#")[0].split()
            if not line:
                continue
            if len(line) != 3 or not line[1].isdigit() or line[2] not in REASONS:
                sys.exit("%s:%d: want `scenario step reason`, the reason one of %s" % (path, number, ", ".join(REASONS)))
            listed[line[0], int(line[1])] = line[2]
    return listed


def guess(name, differences):
    """Why a step may differ: a guess by family, for a person to look at."""
    by_family = {"admission": "admission", "crd": "custom-resources", "validation": "deep-validation",
                 "defaults": "deep-defaulting"}
    if any("targetPort" in d for d in differences):
        return "recording"
    return by_family.get(name.split("-")[0], "defect")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("mode", choices=["check", "update", "propose"])
    p.add_argument("--server", required=True, action="append", help="repeat it for several servers alike, each empty")
    p.add_argument("--token", required=True)
    p.add_argument("--only", default="", type=lambda names: tuple(names.split(",")),
                   help="scenarios whose name begins with one of these, separated by commas")
    p.add_argument("--ignore", action="append", default=[], metavar="KEY", help="leave this key out wherever it stands")
    p.add_argument("--list", default=os.path.join(HERE, "differs.txt"))
    p.add_argument("-v", "--verbose", action="count", default=0, help="print what differs; twice: all of it")
    a = p.parse_args()

    listed = read_list(a.list) if a.mode != "propose" else {}
    families = collections.OrderedDict()
    new, gone, proposed, start = [], [], [], time.time()
    hopeless_scenarios = {name for name, step in listed if listed[name, step] == "custom-resources"}

    def hopeless(name, step):
        return a.mode == "propose" or (name, step) in listed or step < 1 and name in hopeless_scenarios

    servers = [oracle.Server(url, a.token) for url in a.server]
    for name, want, steps, differ in replay_all(servers, a.only, a.ignore, hopeless):
        for step, found in differ.items() if a.verbose else ():
            print("%s step %d %s" % (name, step, want[step - 1]["do"]))
            for d in found[: None if a.verbose > 1 else 4]:
                print("    " + d)
        family = families.setdefault(name.split("-")[0], [0, 0])
        family[0] += len(want) - len(differ)
        family[1] += len(want)
        for step in range(1, len(want) + 1):
            reason = listed.get((name, step))
            if step in differ and reason is None:
                new.append((name, step, want[step - 1]["do"], differ[step]))
                proposed.append("%s %d %s" % (name, step, guess(name, differ[step])))
            elif step not in differ and reason not in (None, "random"):
                gone.append((name, step))

    for family, (same, steps) in families.items():
        print("%-12s %5d of %5d steps the same" % (family, same, steps))
    print("%-12s %5d of %5d steps the same (%.0f s)" % (
        "all", sum(f[0] for f in families.values()), sum(f[1] for f in families.values()), time.time() - start))
    if a.mode == "propose":
        print("\n".join(proposed))
        return 0
    for name, step, do, differences in new:
        print("NEW   %s step %d %s" % (name, step, do))
        for d in differences[:4]:
            print("          " + d)
    if a.mode == "update":
        with open(a.list) as f:
            lines = f.readlines()
        with open(a.list, "w") as f:
            for line in lines:
                words = line.split("#")[0].split()
                if not (len(words) == 3 and (words[0], int(words[1])) in gone):
                    f.write(line)
        print("%d lines taken off the list, %d new differences" % (len(gone), len(new)))
        return 0
    for name, step in gone:
        print("GONE  %s step %d is the same now: remove it from the list (make oracle-update)" % (name, step))
    reasons = collections.Counter(listed.values())
    print("listed: " + (", ".join("%d %s" % (n, r) for r, n in reasons.most_common()) or "nothing"))
    if new or gone:
        print("%d new differences, %d listed ones gone" % (len(new), len(gone)))
        # A caller may replay these on fresh servers, to tell a difference from a moment's load.
        print("scenarios: " + ",".join(sorted({entry[0] for entry in new + gone})))
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())
