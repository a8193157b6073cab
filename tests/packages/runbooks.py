"""Plays deploy/docs/runbooks.md: two servers made by the entry point of the containers, each with its agent, and pgkeel
in front; then every command of "Rolling minor upgrade" and "Replace a node", word by word. Also: what a running pgkeel
answers is what deploy/docs/metrics.md and openapi.json say.

runbooks.py SOURCE PGKEEL"""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from documented_metrics import OF_SEVERAL, documented_metrics, must_tell

LIMIT_S = 120  # ends only a broken run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_postgres():
    """Servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Stage:
    """The cluster of the compose file, on this host. Ends what it started."""

    def __init__(self, source, pgkeel, bin_directory, folder):
        self.source, self.pgkeel, self.folder = source, pgkeel, folder
        self.docker = source / "deploy/docker"
        self.processes = {}
        self.ports = {name: free_port() for name in ("a", "b", "agent_a", "agent_b", "access", "admin")}
        # What a minor upgrade replaces below a server: the programs. Two names for the same ones.
        for version in ("old", "new"):
            (folder / version).symlink_to(bin_directory)
        self.run("sh", self.docker / "make-secrets", folder / "secrets")
        self.run(pgkeel, "keygen", "--out", folder / "keys", "--agent", "127.0.0.1", "--admin", "127.0.0.1")
        for name in ("a", "b"):
            (folder / name).mkdir()
            (folder / f"bin-{name}").symlink_to(folder / "old")
        if os.geteuid() == 0:
            self.run("chown", "-R", "postgres:", folder)
            self.run("chmod", "0755", folder)

    def run(self, *command, **more):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=LIMIT_S, **more)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def trust(self):
        return ssl.create_default_context(cafile=self.folder / "keys/ca.crt")

    def data(self, node):
        return self.folder / node / "data"

    def write_agent_file(self, node):
        text = (self.docker / "agent.toml").read_text()
        keys = self.folder / "keys"
        text = text.replace("/keys/agent.", f"{keys}/agent-127.0.0.1.").replace("/keys/ca", f"{keys}/ca")
        text = text.replace("/var/lib/postgresql/node", str(self.folder / node)).replace("/usr/lib/postgresql/15/bin", str(self.folder / f"bin-{node}"))
        text = text.replace("[agent]\n", f'[agent]\nlisten = "127.0.0.1:{self.ports["agent_" + node]}"\n')
        file = self.folder / f"agent-{node}.toml"
        file.write_text(text)
        return file

    def write_pgkeel_file(self):
        text = (self.docker / "pgkeel.toml").read_text().replace('"/keys/', f'"{self.folder}/keys/').replace('"/run/secrets/', f'"{self.folder}/secrets/')
        text = text.replace("/var/lib/pgkeel", str(self.folder / "state")).replace("0.0.0.0:7432", f"127.0.0.1:{self.ports['admin']}")
        text = text.replace("/keys/admin.", "/keys/admin-127.0.0.1.")
        text = text.replace("0.0.0.0:5432", f"127.0.0.1:{self.ports['access']}")
        for node in ("a", "b"):
            text = text.replace(f'"pg-{node}"', f'"127.0.0.1"\nport  = {self.ports[node]}')
            text = text.replace(f"https://pg-{node}:7433", f"https://127.0.0.1:{self.ports['agent_' + node]}")
        (self.folder / "pgkeel.toml").write_text(text)

    def begin(self, name, command, environment=None):
        log = open(self.folder / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                                env={**os.environ, **(environment or {})}, cwd=self.folder, **as_postgres())

    def begin_node(self, node):
        environment = {
            "NODE": node, "PGDATA": str(self.data(node)), "PORT": str(self.ports[node]),
            "SUPERUSER_PASSWORD_FILE": str(self.folder / "secrets/superuser_password"),
            "MONITOR_PASSWORD_FILE": str(self.folder / "secrets/monitor_password"),
            "REPLICATION_PASSWORD_FILE": str(self.folder / "secrets/replication_password"),
            "PATH": f"{self.folder}/bin-{node}:{pathlib.Path(self.pgkeel).parent}:{os.environ['PATH']}",
        }
        if node == "b":
            environment.update(UPSTREAM_HOST="127.0.0.1", UPSTREAM_PORT=str(self.ports["a"]))
        self.begin(f"agent-{node}", [self.docker / "node-entrypoint", self.pgkeel, "agent", "--config", self.write_agent_file(node)], environment)
        self.wait(f"agent of {node}", lambda: "listens" in (self.folder / f"agent-{node}.log").read_text() or self.answers(self.ports["agent_" + node]))

    def answers(self, port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def wait(self, what, condition):
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {LIMIT_S} s")
            time.sleep(0.1)

    def verb(self, *words):
        return self.run(self.pgkeel, words[0], "--config", self.folder / "pgkeel.toml", *words[1:], stdin=subprocess.DEVNULL, **as_postgres())

    def condition(self):
        done = subprocess.run([self.pgkeel, "status", "--json", "--config", str(self.folder / "pgkeel.toml")], capture_output=True, text=True, check=False, **as_postgres())
        return json.loads(done.stdout)["clusters"][0] if done.returncode == 0 else {"condition": done.stderr}

    def verb_once_agents_are_heard(self, *words):
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                return self.verb(*words)
            except RuntimeError as refused:
                if "answers already" in str(refused) and words[0] == "provision":  # auto_rejoin was quicker
                    return str(refused)
                if "its agent does not answer" not in str(refused) or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def wait_normal(self):
        self.wait("normal", lambda: self.condition()["condition"] == "normal" and all(node["note"] for node in self.condition()["nodes"]))

    def sql(self, text):
        environment = {**os.environ, "PGPASSWORD": (self.folder / "secrets/superuser_password").read_text()}
        return self.run(self.folder / "bin-a/psql", "-XAtq", "-h", "127.0.0.1", "-p", self.ports["access"], "-U", "postgres", "-c", text, env=environment)

    def lose_host(self, node):
        """Its agent, its server, and its disks."""
        self.end(f"agent-{node}")
        self.stop_server(node)
        shutil.rmtree(self.folder / node)
        (self.folder / node).mkdir()
        if os.geteuid() == 0:
            self.run("chown", "postgres:", self.folder / node)

    def stop_server(self, node):
        for directory in (self.data(node), self.data(node).with_suffix(".new")):  # the latter: its making was cut off
            if (directory / "postmaster.pid").exists():
                subprocess.run([str(self.folder / f"bin-{node}/pg_ctl"), "-D", str(directory), "-m", "immediate", "-w", "stop"],
                               capture_output=True, check=False, **as_postgres())

    def end(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self):
        for name in ["pgkeel", *[name for name in self.processes if name != "pgkeel"]]:
            if name in self.processes:
                self.end(name)
        for node in ("a", "b"):
            self.stop_server(node)

    def logs(self):
        return "".join(f"---- {file.name}\n{file.read_text()[-3000:]}" for file in sorted(self.folder.glob("*.log")))


def commands_of(runbooks, title):
    """The lines of the code block below this title."""
    section = runbooks.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```\n(.*?)```", section, re.DOTALL)[-1].strip().splitlines()


def play(stage, line):
    command, _, remark = line.partition("#")
    words = command.split()
    print(line, flush=True)
    if words[0] == "pgkeel":
        output = stage.verb_once_agents_are_heard(*words[1:])
        if "until it is normal" in remark:
            stage.wait_normal()
        return output
    node = words.pop(0)[0]
    if words[0] == "apt-get":
        link = stage.folder / f"bin-{node}"
        link.unlink()
        link.symlink_to(stage.folder / "new")
        return ""
    if words[:2] == ["systemctl", "start"]:
        stage.begin_node(node)
        return ""
    if words[:3] == ["sudo", "-u", "postgres"]:
        words = [word.replace("/usr/lib/postgresql/15/bin", str(stage.folder / f"bin-{node}")).replace("/var/lib/postgresql/15/main", str(stage.data(node)))
                 for word in words[3:]]
        # Its output would keep the pipe open as long as the server.
        done = subprocess.run([*words, "--log", str(stage.folder / f"server-{node}.log")], stdout=subprocess.DEVNULL, check=False, timeout=LIMIT_S, **as_postgres())
        if done.returncode != 0:
            raise RuntimeError(line)
        return ""
    raise RuntimeError(f"nobody knows how to play: {line}")


def check_metrics(stage, page):
    must_tell(f"https://127.0.0.1:{stage.ports['admin']}/metrics", stage.trust(), documented_metrics(page) - OF_SEVERAL)


def ask(stage, path, method="GET"):
    request = urllib.request.Request(f"https://127.0.0.1:{stage.ports['admin']}{path}", method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, context=stage.trust()) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers.get_content_type(), refused.read().decode()


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}


def mismatches(schema, value, document, path):
    """Where the value is not what the schema (of OpenAPI 3.0, as far as openapi.json uses it) says."""
    if "$ref" in schema:
        part = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            part = part[name]
        yield from mismatches(part, value, document, path)
        return
    if value is None:
        if not schema.get("nullable"):
            yield f"{path} is null"
        return
    wanted = schema.get("type")
    if wanted and (not isinstance(value, TYPES[wanted]) or (wanted != "boolean" and isinstance(value, bool))):
        yield f"{path} is no {wanted}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value}, none of {schema['enum']}"
    if wanted == "object":
        for name in schema.get("required", []):
            if name not in value:
                yield f"{path} has no {name}"
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from mismatches(part, value[name], document, f"{path}.{name}")
    if wanted == "array":
        for place, one in enumerate(value):
            yield from mismatches(schema.get("items", {}), one, document, f"{path}[{place}]")


def check_api(stage):
    """Every path answers as it is described; without the token nothing is ordered."""
    document = json.loads(ask(stage, "/api/v1/openapi.json")[2])
    problems = []
    for path, operations in document["paths"].items():
        concrete = path.replace("{cluster}", "orders").replace("{id}", "1").replace("{node}", "a")
        for method in set(operations) - {"parameters"}:
            status, kind, body = ask(stage, concrete, method.upper())
            described = operations[method]["responses"].get(str(status))
            if described is None:
                problems.append(f"{method} {path} answers {status}, which is not described")
                continue
            if method == "post" and operations[method].get("security") and status not in (401, 429):
                problems.append(f"post {path} without a token answers {status}")
            content = described.get("content", {})
            if content and kind not in content:
                problems.append(f"{method} {path} answers {kind} instead of {sorted(content)}")
            elif kind == "application/json" and content:
                problems += mismatches(content[kind].get("schema", {}), json.loads(body), document, f"{method} {path}: answer")
    if problems:
        raise RuntimeError("\n".join(problems))


def main():
    source, pgkeel = pathlib.Path(sys.argv[1]), sys.argv[2]
    bin_directory = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    runbooks = (source / "deploy/docs/runbooks.md").read_text()
    # Not in TMPDIR: names of sockets are short.
    with tempfile.TemporaryDirectory(prefix="pgkeel-", dir="/tmp") as folder:
        stage = Stage(source, pgkeel, bin_directory, pathlib.Path(folder))
        try:
            stage.begin_node("a")
            stage.begin_node("b")
            stage.write_pgkeel_file()
            stage.begin("pgkeel", [pgkeel, "serve", "--config", stage.folder / "pgkeel.toml"])
            stage.wait_normal()
            stage.sql("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('before')")
            for line in commands_of(runbooks, "Rolling minor upgrade"):
                play(stage, line)
            if stage.condition()["route"] != "b" or stage.sql("SELECT word FROM kept").strip() != "before":
                raise RuntimeError("after the upgrade: not what it should be")
            lost = "a"  # the standby now; the runbook calls the node that is replaced b
            stage.lose_host(lost)
            for line in commands_of(runbooks, "Replace a node"):
                if "systemctl start" in line:
                    stage.begin(f"agent-{lost}", [pgkeel, "agent", "--config", stage.write_agent_file(lost)])
                    stage.wait("the new agent", lambda: stage.answers(stage.ports["agent_" + lost]))
                    print(line, flush=True)
                else:
                    play(stage, line.replace("orders b ", f"orders {lost} "))
            if stage.sql("SELECT word FROM kept").strip() != "before":
                raise RuntimeError("after the replacement: not what it should be")
            check_api(stage)
            check_metrics(stage, (source / "deploy/docs/metrics.md").read_text())
        except Exception:
            print(json.dumps(stage.condition(), indent=1)[:3000], stage.logs(), flush=True)
            raise
        finally:
            stage.close()


main()
