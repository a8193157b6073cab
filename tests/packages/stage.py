"""Two servers made by the entry point of the containers, each with its agent, and pgkeel in front, on this host: where the
documents are played."""

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
import time

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

    def wait(self, what, condition, limit_s=LIMIT_S):
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {limit_s} s")
            time.sleep(0.1)

    def verb(self, *words):
        return self.run(self.pgkeel, words[0], "--config", self.folder / "pgkeel.toml", *words[1:], stdin=subprocess.DEVNULL, **as_postgres())

    def condition(self):
        done = subprocess.run([self.pgkeel, "status", "--json", "--config", str(self.folder / "pgkeel.toml")], capture_output=True, text=True, check=False, **as_postgres())
        return json.loads(done.stdout)["clusters"][0] if done.returncode == 0 else {"condition": done.stderr}

    # A pgkeel that has just begun has not heard its nodes and agents yet.
    def verb_once_nodes_are_heard(self, *words):
        end = time.monotonic() + LIMIT_S
        while True:
            try:
                return self.verb(*words)
            except RuntimeError as refused:
                if "answers already" in str(refused) and words[0] == "provision":  # auto_rejoin was quicker
                    return str(refused)
                if " does not answer" not in str(refused) or time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def wait_normal(self):
        self.wait("normal", lambda: self.condition()["condition"] == "normal" and all(node["note"] for node in self.condition()["nodes"]))

    def psql(self, *arguments):
        """Through the access point."""
        environment = {**os.environ, "PGPASSWORD": (self.folder / "secrets/superuser_password").read_text()}
        return self.run(self.folder / "bin-a/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", self.ports["access"], "-U", "postgres", *arguments, env=environment)

    def sql(self, text):
        return self.psql("-c", text)

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
    """The lines of the last code block below this title that is of no language: SQL has one."""
    section = runbooks.split(f"\n## {title}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return [text for language, text in blocks if not language][-1].strip().splitlines()
