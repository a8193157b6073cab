"""Plays "Leave without pgkeel" and the SQL of "Leave pgkeel" of deploy/docs/runbooks.md on a stage of runbooks.py."""

import re
import shlex

from restore import on_node, sql_on
from stage import commands_of

STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE application_name !~ 'pg_' AND state = 'streaming'"
SLOTS = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'pgkeel%'"


def need(stage, what, node, query, wanted):
    """Soon: a server reads a changed setting a moment after pg_reload_conf()."""
    stage.wait(f"{what}: {query} on {node} is {wanted!r}", lambda: sql_on(stage, node, query) == wanted)


def need_plain_servers(stage, primary, standby):
    """Nothing of pgkeel is in their way any more, and the standby streams on."""
    need(stage, "left", primary, "SHOW synchronous_standby_names", "")
    need(stage, "left", standby, "SHOW primary_slot_name", "")
    for node in (primary, standby):
        need(stage, "left", node, SLOTS, "0")
    need(stage, "left", primary, STREAMS, "1")
    sql_on(stage, primary, "CREATE TABLE afterwards (); DROP TABLE afterwards")  # waits for nobody


def play_leave_without_pgkeel(stage, runbooks, begin_agent):
    """Ends with a pgkeel that has them again."""
    primary = stage.condition()["route"]
    standby = {"a": "b", "b": "a"}[primary]
    names = {"a$": primary, "b$": standby}  # of the runbook
    stage.processes["pgkeel"].kill()
    stage.processes.pop("pgkeel").wait()
    need(stage, "before", primary, "SELECT count(*) > 0 FROM pg_replication_slots WHERE slot_name LIKE 'pgkeel%'", "t")
    need(stage, "before", primary, "SELECT current_setting('synchronous_standby_names') <> ''", "t")
    for line in commands_of(runbooks, "Leave without pgkeel"):
        command, _, remark = line.partition(" #")
        print(line, flush=True)
        words = shlex.split(command)
        if words[0] == "systemctl":
            for node in ("a", "b"):
                stage.end(f"agent-{node}")
            continue
        node, arguments = names[words[0]], ["-XAtq", "-h", "/tmp", "-p", stage.ports[names[words[0]]], "-U", "postgres", *words[2:]]
        said = lambda: on_node(stage, node, "psql", *arguments).strip()
        if "until it has no row" in remark:
            stage.wait("the end of the slots", lambda: said() == "" and sql_on(stage, node, SLOTS) == "0")
        else:
            said()
    need_plain_servers(stage, primary, standby)
    for node in ("a", "b"):
        begin_agent(stage, node)
    stage.begin("pgkeel", [stage.pgkeel, "serve", "--config", stage.folder / "pgkeel.toml"])
    stage.wait_normal()


def play_sql_of_leave(stage, runbooks, primary, standby):
    """After a teardown."""
    need_plain_servers(stage, primary, standby)
    section = runbooks.split("\n## Leave pgkeel\n")[1].split("\n## ")[0]
    script = stage.folder / "leave.sql"
    script.write_text("".join(re.findall(r"```sql\n(.*?)```", section, re.DOTALL)))
    on_node(stage, primary, "psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-h", "/tmp", "-p", stage.ports[primary], "-U", "postgres", "-f", script)
    need(stage, "left", primary, "SELECT count(*) FROM pg_roles WHERE rolname = 'pgkeel'", "0")
    need_plain_servers(stage, primary, standby)
