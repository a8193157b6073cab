"""What deploy/docs/several.md says to do, done on one machine: each host is a loopback address.

several.py SOURCE PGKEEL"""

import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

from documented_metrics import documented_metrics, must_tell

SKIPPED = 77
PATIENCE = 90  # s; only there to end a broken test
ETCDS = {"one": "127.0.0.11", "two": "127.0.0.12", "three": "127.0.0.13"}
PGKEELS = {"left": "127.0.0.21", "right": "127.0.0.22"}


def wait_until(what, look):
    limit = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > limit:
            raise AssertionError(f"{what} is waited for in vain")
        time.sleep(0.1)


class Guide:
    """The page's blocks, with addresses, ports and files of this test."""

    def __init__(self, page, folder):
        ports = {}
        for port in (2379, 2380, 5432, 7432, 7433, 7434):
            with socket.create_server(("", 0)) as found:
                ports[port] = found.getsockname()[1]
        text = page.read_text().replace("10.0.0.", "127.0.0.").replace("0.0.0.0:", "127.0.0.21:")
        text = re.sub(r"(127\.0\.0\.\d+):(\d+)", lambda found: f"{found[1]}:{ports[int(found[2])]}", text)
        self.text, self.folder = text, folder

    def block(self, kind, holds):
        blocks = [block for block in re.findall(rf"^```{kind}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL) if holds in block]
        assert len(blocks) == 1, f"{len(blocks)} blocks of {kind} have {holds}"
        return blocks[0]

    def run(self, block, pgkeel):
        path = f"{pathlib.Path(pgkeel).resolve().parent}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env={**os.environ, "PATH": path}, text=True,
                              capture_output=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


class Host:
    """/etc of one of them."""

    def __init__(self, folder, name):
        self.etc = folder / name
        self.etc.mkdir()

    def give(self, origin, name):
        shutil.copy(origin, self.etc / name)
        (self.etc / name).chmod(0o600)

    def with_own_files(self, text):
        return re.sub(r"/etc/(etcd|pgkeel)/", f"{self.etc}/", text)


def start_etcds(guide, folder, processes):
    for name, address in ETCDS.items():
        host = Host(folder, f"etcd-{name}")
        host.give(folder / "etcd-ca.crt", "ca.crt")
        for end in ("crt", "key"):
            host.give(folder / f"etcd-{address}.{end}", f"etcd.{end}")
        text = host.with_own_files(guide.block("sh", "ETCD_NAME"))
        settings = dict(re.findall(r'^(\w+)="(.*)"$', text, re.MULTILINE))
        for key, value in settings.items():
            if key != "ETCD_INITIAL_CLUSTER":
                settings[key] = value.replace(ETCDS["one"], address)
        settings.update(ETCD_NAME=name, ETCD_DATA_DIR=str(host.etc / "data"), ETCD_LOGGER="zap")
        log = (host.etc / "log").open("w")
        processes[name] = subprocess.Popen(["etcd"], env={**os.environ, **settings}, stdout=log, stderr=log)
    url = re.search(r"ETCDCTL_ENDPOINTS=(\S+)", guide.text)[1]
    health = ["etcdctl", f"--endpoints={url}", f"--cacert={folder}/etcd-ca.crt", "endpoint", "health"]
    wait_until("etcd", lambda: subprocess.run(health, env={**os.environ, "ETCDCTL_API": "3"}, capture_output=True, check=False).returncode == 0)


def configure(guide, folder, name):
    address = PGKEELS[name]
    host = Host(folder, name)
    host.give(folder / "keys/ca.crt", "ca.crt")
    host.give(folder / "etcd-ca.crt", "etcd-ca.crt")
    for what in ("proxy", "admin"):
        for end in ("crt", "key"):
            host.give(folder / f"keys/{what}-{address}.{end}", f"{what}.{end}")
    for password in ("etcd", "monitor", "replication"):
        host.give(folder / "etcd.password", f"{password}.password")
    text = host.with_own_files(guide.block("toml", "[coordination]")).replace(PGKEELS["left"], address).replace('"left"', f'"{name}"')
    text = text.replace("[admin]", f'[admin]\ntoken_file = "{host.etc}/admin.token"')
    file = host.etc / "pgkeel.toml"
    file.write_text(f'{text}[state]\ndirectory = "{host.etc}/state"\n')
    return file


def findings(pgkeel, file):
    """Of `pgkeel check --live`, about the pgkeels and etcd: there are no servers here, and the machine may be slow."""
    done = subprocess.run([pgkeel, "check", "--live", "--json", "--config", file], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.stdout, done.stderr
    return [(finding["severity"], finding["problem"]) for finding in json.loads(done.stdout)["coordination"]["findings"]
            if " took " not in finding["problem"]]


def must_find(pgkeel, file, wanted):
    found = findings(pgkeel, file)
    assert found == wanted, f"{found}, not {wanted}"


def must_find_at_last(pgkeel, file, beginnings):
    """Once it has settled; what is wrong with a connection is said in several ways."""
    found = []

    def is_found():
        found[:] = findings(pgkeel, file)
        return len(found) == len(beginnings) and all(
            severity == wanted and problem.startswith(beginning)
            for (severity, problem), (wanted, beginning) in zip(found, beginnings))

    try:
        wait_until(f"{beginnings}", is_found)
    except AssertionError as error:
        raise AssertionError(f"{error}; there is {found}") from None


def coordination(pgkeel, file):
    done = subprocess.run([pgkeel, "status", "--json", "--config", file], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["clusters"][0]["coordination"] if done.returncode == 0 else {}


def play(source, pgkeel, folder, processes):
    guide = Guide(source / "deploy/docs/several.md", folder)
    # etcd looks at the address from which another one calls, which is 127.0.0.1 here.
    guide.run(guide.block("bash", "pgkeel keygen").replace("subjectAltName=IP:%s", "subjectAltName=IP:%s,IP:127.0.0.1"), pgkeel)
    for name in ("root", "etcd"):
        (folder / f"{name}.password").write_text(f"secret-of-{name}\n")
    start_etcds(guide, folder, processes)
    guide.run(guide.block("bash", "etcdctl auth enable").replace("/etc/etcd/ca.crt", f"{folder}/etcd-ca.crt"), pgkeel)

    files = {name: configure(guide, folder, name) for name in PGKEELS}
    for file in files.values():
        checked = subprocess.run([pgkeel, "check", "--config", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0 and not checked.stderr, checked.stderr
    must_find(pgkeel, files["left"], [])
    for name, file in files.items():
        log = (file.parent / "log").open("w")
        processes[f"pgkeel {name}"] = subprocess.Popen([pgkeel, "serve", "--config", file], stdout=log, stderr=log)
        wait_until(f"{name}'s lease", lambda own=name, its=file: any(
            member["name"] == own and member["has_lease"] for member in coordination(pgkeel, its).get("members", [])))
    wait_until("the leader", lambda: coordination(pgkeel, files["right"])["leader"] == "left")
    # They know each other: both answer both.
    for file in files.values():
        must_find(pgkeel, file, [])

    admin = re.search(r'^listen += "([^"]+:\d+)"$', files["left"].read_text().split("[admin]")[1], re.MULTILINE)[1]
    page = (source / "deploy/docs/metrics.md").read_text()
    trust = ssl.create_default_context(cafile=folder / "keys/ca.crt")
    must_tell(f"https://{admin}/metrics", trust, documented_metrics(page))
    with urllib.request.urlopen(f"https://{admin}/metrics", context=trust) as answer:
        metrics = answer.read().decode()
    for name in ("admin", "coordination.peer", "coordination.peer.ca", "coordination.tls.ca"):
        assert f'pgkeel_certificate_end_timestamp_seconds{{certificate="{name}"}}' in metrics, f"when {name} ends is not told"

    wrong = files["right"].parent / "wrong.toml"
    (wrong.parent / "etcd.password").write_text("a guess\n")
    wrong.write_text(files["right"].read_text().replace("[cluster.orders]", '[cluster.orders]\ndurability = "strict"'))
    assert {severity for severity, _ in findings(pgkeel, wrong)} == {"error"}
    shutil.copy(folder / "etcd.password", wrong.parent / "etcd.password")
    must_find(pgkeel, wrong, [("warning", "pgkeel left is configured differently in cluster.orders.durability")])

    processes["three"].kill()
    processes["three"].wait()
    three_is_missing = [("warning", f"etcd https://{ETCDS['three']}")]
    must_find_at_last(pgkeel, files["left"], three_is_missing)  # it may have led the others
    processes["pgkeel right"].kill()
    processes["pgkeel right"].wait()
    must_find_at_last(pgkeel, files["left"], three_is_missing)  # once its lease is over


def main():
    source, pgkeel = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    missing = [tool for tool in ("etcd", "etcdctl", "openssl") if not shutil.which(tool)]
    if missing:
        print(f"not installed: {', '.join(missing)}")
        return SKIPPED
    processes = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            play(source, pgkeel, pathlib.Path(folder), processes)
        finally:
            for process in reversed(list(processes.values())):
                process.terminate()
            for process in processes.values():
                process.wait()
    print("two pgkeels agree through three etcds, with TLS and a password, as the page says")
    return 0


sys.exit(main())
