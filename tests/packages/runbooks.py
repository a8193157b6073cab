"""Plays deploy/docs/runbooks.md: two servers made by the entry point of the containers, each with its agent, and pgkeel
in front; then every command of "Restore from a backup", "Rolling minor upgrade", "Replace a node", "Collision", "Lost
transactions" and "Leave", word by word. Also: what a running pgkeel answers is what deploy/docs/metrics.md and openapi.json say, and
how it behaves on a terminal.

runbooks.py SOURCE PGKEEL"""

import json
import pathlib
import subprocess
import sys
import tempfile

from api import check_api
from collision import play_collision
from documented_metrics import OF_SEVERAL, documented_metrics, must_tell
from leave import play_leave_without_pgkeel, play_sql_of_leave
from restore import play_restore
from stage import LIMIT_S, Stage, as_postgres, commands_of
from terminal import check_terminal


def play(stage, line):
    command, _, remark = line.partition("#")
    words = command.split()
    print(line, flush=True)
    if words[0] == "pgkeel":
        output = stage.verb_once_nodes_are_heard(*words[1:])
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


def begin_agent(stage, node):
    stage.begin(f"agent-{node}", [stage.pgkeel, "agent", "--config", stage.write_agent_file(node)])
    stage.wait("the new agent", lambda: stage.answers(stage.ports["agent_" + node]))


def replace_host(stage, node):
    stage.lose_host(node)
    begin_agent(stage, node)


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
            check_terminal(stage)
            play_restore(stage, runbooks)
            for line in commands_of(runbooks, "Rolling minor upgrade"):
                play(stage, line)
            if stage.condition()["route"] != "b" or stage.sql("SELECT word FROM kept").strip() != "before":
                raise RuntimeError("after the upgrade: not what it should be")
            lost = "a"  # the standby now; the runbook calls the node that is replaced b
            stage.lose_host(lost)
            for line in commands_of(runbooks, "Replace a node"):
                if "systemctl start" in line:
                    begin_agent(stage, lost)
                    print(line, flush=True)
                else:
                    play(stage, line.replace("orders b ", f"orders {lost} "))
            if stage.sql("SELECT word FROM kept").strip() != "before":
                raise RuntimeError("after the replacement: not what it should be")
            check_metrics(stage, (source / "deploy/docs/metrics.md").read_text())
            play_collision(stage, runbooks)
            play_leave_without_pgkeel(stage, runbooks, begin_agent)
            primary, standby = check_api(stage, lambda node: replace_host(stage, node))
            play_sql_of_leave(stage, runbooks, primary, standby)
        except Exception:
            print(json.dumps(stage.condition(), indent=1)[:3000], stage.logs(), flush=True)
            raise
        finally:
            stage.close()


main()
