"""deploy/observe against what pgkeel tells: every metric that an alert or the dashboard names is there, names follow the
conventions, and the alerts fire when they should (promtool: without it the test looks at the rest, and counts as skipped).
deploy/docs/metrics.md is made of it: PGKEEL_REWRITE=1 writes it anew.

check.py PRINT_METRICS FOLDER PAGE"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

SKIPPED = 77
METRIC = re.compile(r"\bpgkeel_[a-z_]+\b")


def told_by(program):
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return text, set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def expressions(folder):
    """(where, expression) of every alert and every panel."""
    rules = re.sub(r">-\n\s+", "", (folder / "pgkeel.rules.yml").read_text())
    rules = re.sub(r"(expr: .*)\n\s+((?:and|or|unless) )", r"\1 \2", rules)
    for expression in re.findall(r"^\s+expr: (.*)$", rules, re.MULTILINE):
        yield "pgkeel.rules.yml", expression
    dashboard = json.loads((folder / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"dashboard, {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        yield f"dashboard, ${variable['name']}", variable["query"]


def alerts(folder, name):
    return set(re.findall(r"alert(?:name)?[:=]\s*\"?(Pgkeel\w+)", (folder / name).read_text()))


PAGE = """# Metrics

`GET /metrics` of the admin endpoint, in Prometheus' text format. Made from what pgkeel tells; do not edit by hand
(`PGKEEL_REWRITE=1 ctest --preset release -R observe`). Counters begin with the process. Alert rules and a dashboard:
[deploy/observe](../observe).

| metric | type | labels | what |
| --- | --- | --- | --- |
"""


def page_of(text):
    """A row for each metric."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    rows = []
    for name in sorted(kinds):
        sample = re.search(rf"^{name}(?:_sum)?\{{([^}}]*)\}}", text, re.MULTILINE)
        labels = re.findall(r'(\w+)="', sample.group(1)) if sample else []
        rows.append(f"| `{name}` | {kinds[name]} | {', '.join(labels)} | {helps[name]} |\n")
    return PAGE + "".join(rows)


def main():
    program, folder, page = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    text, told = told_by(program)
    problems = [f"{where}: nobody tells {name}" for where, expression in expressions(folder)
                for name in METRIC.findall(expression) if name not in told]
    if os.environ.get("PGKEEL_REWRITE"):
        page.write_text(page_of(text))
    if page.read_text() != page_of(text):
        problems.append(f"{page} is not what pgkeel tells; PGKEEL_REWRITE=1 writes it anew")
    tested = alerts(folder, "pgkeel.rules.test.yml")
    problems += [f"pgkeel.rules.test.yml: {alert} is not tested" for alert in alerts(folder, "pgkeel.rules.yml") - tested]
    promtool = shutil.which("promtool") or shutil.which(folder.parents[1] / "build/tools/promtool")
    if promtool:
        for command, what in ((["check", "metrics"], text), (["test", "rules", str(folder / "pgkeel.rules.test.yml")], None)):
            run = subprocess.run([promtool, *command], input=what, capture_output=True, text=True, check=False)
            if run.returncode != 0:
                problems.append(f"promtool {' '.join(command)}:\n{run.stdout}{run.stderr}")
    else:
        print("promtool is not installed (deploy/install-deps --tests): names and alerts are not looked at by it", file=sys.stderr)
    print("\n".join(problems) or f"{len(told)} metrics, all that is named is told")
    return 1 if problems else 0 if promtool else SKIPPED


sys.exit(main())
