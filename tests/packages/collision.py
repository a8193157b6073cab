"""Plays "Collision" and "Lost transactions" of deploy/docs/runbooks.md on a stage of runbooks.py: two primaries, one history
that stays, and the rows of the other one brought back by hand."""

import json
import re

from restore import sql_on
from stage import commands_of


def collide(stage, standby):
    """Somebody promotes the standby by hand."""
    sql_on(stage, standby, "SELECT pg_promote()")
    stage.wait("the collision", lambda: stage.condition()["condition"] == "collision")


def newest_report(stage, node):
    reports = json.loads(stage.verb("lost", "orders", "--json"))
    names = [entry["report"] for entry in reports["reports"] if entry["report"].startswith(f"{node}-")]
    return sorted(names)[-1]


def play_collision(stage, runbooks):
    primary = stage.condition()["route"]
    other = {"a": "b", "b": "a"}[primary]
    names = {"a": primary, "b": other}  # of the runbook
    stage.sql("CREATE TABLE sales (id int PRIMARY KEY, item text); INSERT INTO sales VALUES (1, 'before')")
    stage.wait("the copy", lambda: sql_on(stage, other, "SELECT count(*) FROM pg_class WHERE relname = 'sales'") == "1")
    for node in (primary, other):  # a report has the names of tables that are older than the last checkpoint
        sql_on(stage, node, "CHECKPOINT")
    collide(stage, other)
    sql_on(stage, other, "INSERT INTO sales VALUES (2, 'only there'), (3, 'there too')")
    stage.sql("INSERT INTO sales VALUES (3, 'here')")
    for line in commands_of(runbooks, "Collision"):
        command, _, remark = line.partition("#")
        words = [names.get(word, word) for word in command.split()]
        print(line, flush=True)
        if words[1] == "resolve":
            words.append("--yes")
        told = stage.verb_once_nodes_are_heard(*words[1:])
        if "both timelines" in remark and not re.search(r"went apart at [0-9A-F]+/[0-9A-F]+", told):
            raise RuntimeError(f"no word of where they parted: {told}")
        if "until it is normal" in remark:
            stage.wait_normal()
    if stage.condition()["route"] != primary or sql_on(stage, other, "SELECT pg_is_in_recovery()") != "t":
        raise RuntimeError("after the collision: not what it should be")

    rows = stage.folder / "rows"
    for line in commands_of(runbooks, "Lost transactions"):
        words = line.partition("#")[0].replace("b-20261024", newest_report(stage, other)).replace("./rows", str(rows)).split()
        print(line, flush=True)
        told = stage.verb_once_nodes_are_heard(*words[1:])
        if "sales" not in told and words[-1] == newest_report(stage, other):
            raise RuntimeError(f"no word of the table: {told}")
    section = runbooks.split("\n## Lost transactions\n")[1].split("\n## ")[0]
    script = "".join(re.findall(r"```sql\n(.*?)```", section, re.DOTALL)).replace("./rows", str(rows))
    (stage.folder / "bring_back.sql").write_text(script)
    if stage.psql("-f", stage.folder / "bring_back.sql").split() != ["3"]:
        raise RuntimeError("the key that was given away twice is not told")
    items = stage.sql("SELECT string_agg(item, ',' ORDER BY id) FROM sales").strip()
    if items != "before,only there,here":
        raise RuntimeError(f"after what was lost is back: {items}")
    stage.sql("DROP TABLE sales")
