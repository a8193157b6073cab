"""deploy/examples for several pgkeels, with a real HAProxy and the script that keepalived runs, before two scripted pgkeels.

balancers.py SOURCE PGKEEL"""

import contextlib
import http.server
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77
PATIENCE = 60  # s; only there to end a broken test
HOSTS = {"left": "127.0.0.2", "right": "127.0.0.3"}
IN_EXAMPLE = {"left": "10.0.0.21", "right": "10.0.0.22"}


def wait_until(what, look):
    limit = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > limit:
            raise AssertionError(f"{what} is waited for in vain")
        time.sleep(0.05)


class ScriptedPgkeel:
    """Its access point says its name; its admin endpoint says yes to what is in `yes`."""

    def __init__(self, name, ports, keys):
        self.name, self.yes = name, {"/primary/orders", "/leader"}
        self.door = socket.create_server((HOSTS[name], ports["access"]))
        threading.Thread(target=self.greet, daemon=True).start()
        scripted = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.path in scripted.yes else 503)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(scripted.name.encode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.admin = Server((HOSTS[name], ports["admin"]), Answers)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys / f"admin-{HOSTS[name]}.crt", keys / f"admin-{HOSTS[name]}.key")
        self.admin.socket = context.wrap_socket(self.admin.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.admin.serve_forever, daemon=True).start()

    def greet(self):
        while True:
            session, _ = self.door.accept()
            threading.Thread(target=self.serve, args=(session,), daemon=True).start()

    def serve(self, session):
        with session, contextlib.suppress(OSError):
            session.sendall(self.name.encode())
            while session.recv(100):
                pass


def free_ports(count):
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def session_through(port):
    """(socket, whom it leads to); whom: None where it is refused or closed."""
    try:
        session = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        return session, session.recv(100).decode() or None
    except OSError:
        return None, None


def led_to(port, times=8):
    return {session_through(port)[1] for _ in range(times)}


def console_of(port, authority, name):
    context = ssl.create_default_context(cafile=authority)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=HOSTS[name]) as session:
                session.sendall(b"GET /leader HTTP/1.0\r\n\r\n")
                return session.recv(1000).split(b"\r\n\r\n")[-1].decode() or session.recv(100).decode()
    except OSError:
        return None


def check_haproxy(source, folder, keys, ports):
    text = (source / "deploy/examples/haproxy-several.cfg").read_text()
    orders, console = free_ports(2)
    for place, was, now in (("frontend orders", "bind :5432", f"bind 127.0.0.1:{orders}"),
                            ("frontend console", "bind :7432", f"bind 127.0.0.1:{console}")):
        assert was in text, place
        text = text.replace(was, now)
    text = text.replace("maxconn 10000", "maxconn 100").replace("bind 127.0.0.1:8404", f"bind unix@{folder}/statistics").replace("/etc/haproxy/pgkeel-ca.crt", f"{keys}/ca.crt")
    for name, host in IN_EXAMPLE.items():
        text = text.replace(f"{host}:5432", f"{HOSTS[name]}:{ports['access']}").replace(f"{host}:7432", f"{HOSTS[name]}:{ports['admin']}")
        text = text.replace(host, HOSTS[name])
    text = text.replace("check port 7432", f"check port {ports['admin']}")
    configuration = folder / "haproxy.cfg"
    configuration.write_text(text)
    left, right = (ScriptedPgkeel(name, ports, keys) for name in HOSTS)
    right.yes.discard("/leader")
    log = folder / "haproxy.log"
    with log.open("w") as told:
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", configuration], stdout=told, stderr=told)
    try:
        wait_until("both", lambda: led_to(orders) == {"left", "right"} or haproxy.poll() is not None)
        assert haproxy.poll() is None, log.read_text()
        wait_until("the leader's console", lambda: console_of(console, keys / "ca.crt", "left") == "left")

        session = next(each for each, whom in (session_through(orders) for _ in range(8)) if whom == "left")
        left.yes.discard("/primary/orders")
        wait_until("the other one alone", lambda: led_to(orders) == {"right"})
        session.settimeout(PATIENCE)
        assert session.recv(100) == b"", "a session of one that is taken out goes on"

        right.yes.discard("/primary/orders")  # a failover: both hold their clients
        wait_until("both, which hold", lambda: led_to(orders) == {"left", "right"})

        left.yes.discard("/leader")
        right.yes.update({"/leader", "/primary/orders"})
        wait_until("the other leader's console", lambda: console_of(console, keys / "ca.crt", "right") == "right")
        wait_until("the one that routes again", lambda: led_to(orders) == {"right"})
    finally:
        haproxy.terminate()
        haproxy.wait()
    return left, right


def check_scripts(source, folder, keys, ports, left):
    def asks(script, *question, **environment):
        return subprocess.run([source / "deploy/examples" / script, *question], check=False, capture_output=True,
                              env={**os.environ, "PGKEEL_ADDRESS": f"{HOSTS['left']}:{ports['admin']}", **environment}).returncode == 0

    def says(*question, **environment):
        return asks("pgkeel-says", *question, **environment)

    believed = {"PGKEEL_AUTHORITY": str(keys / "ca.crt"), "PGKEEL_HOST": HOSTS["left"]}
    left.yes = {"/primary/orders", "/leader"}
    assert says("primary", "orders", **believed)
    assert says("leader", **believed)
    assert not says("replica", "orders", **believed)
    left.yes = set()
    assert not says("primary", "orders", **believed)
    left.yes = {"/leader"}
    assert not says("leader", **{**believed, "PGKEEL_HOST": "10.0.0.99"}), "a certificate of another host is believed"
    assert not says("leader", PGKEEL_AUTHORITY="/nowhere"), "TLS is no plain HTTP"

    systemctl = folder / "systemctl"
    path = {"PATH": f"{folder}:{os.environ['PATH']}", **believed}

    def is_ready(runs, **environment):
        systemctl.write_text(f"#!/bin/sh\nexit {0 if runs else 3}\n")
        systemctl.chmod(0o755)
        return asks("pgkeel-is-ready", **{**path, **environment})

    left.yes = {"/readyz"}
    assert is_ready(True)
    assert not is_ready(True, PGKEEL_HOST="10.0.0.99"), "a certificate of another host is believed"
    left.yes = set()
    assert not is_ready(True)
    assert is_ready(False), "where pgkeel does not run it is not this host that has failed"


def main():
    source, pgkeel = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    missing = [tool for tool in ("haproxy", "curl") if not shutil.which(tool)]
    if missing:
        print(f"not installed: {', '.join(missing)}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        keys = folder / "keys"
        subprocess.run([pgkeel, "keygen", "--out", keys, *[word for host in HOSTS.values() for word in ("--admin", host)]], check=True,
                       stdout=subprocess.DEVNULL)
        ports = dict(zip(("access", "admin"), free_ports(2)))
        left, _ = check_haproxy(source, folder, keys, ports)
        check_scripts(source, folder, keys, ports, left)
    print("HAProxy leads clients and operators as the examples say; the scripts of keepalived ask in TLS")
    return 0


sys.exit(main())
