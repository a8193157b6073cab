"""Plays "Restore from a backup" of deploy/docs/runbooks.md on a stage of runbooks.py: a base backup and an archive of WAL, a
mistake, and back to the moment before it, line by line."""

import signal

from stage import LIMIT_S, as_postgres, commands_of


def on_node(stage, node, program, *arguments):
    return stage.run(stage.folder / f"bin-{node}/{program}", *arguments, **as_postgres())


def sql_on(stage, node, text):
    return on_node(stage, node, "psql", "-XAtq", "-h", "/tmp", "-p", stage.ports[node], "-U", "postgres", "-c", text).strip()


def receive_wal(stage, node, archive):
    """As Barman does: nothing of the server has to be restarted for it."""
    archive.mkdir()
    stage.run("chown", "--reference", stage.folder / "a", archive)
    stage.begin("pg_receivewal", [stage.folder / f"bin-{node}/pg_receivewal", "-D", archive, "-h", "/tmp", "-p", str(stage.ports[node]), "-U", "postgres"])


def begin_restored_pgkeel(stage, *more):
    log = stage.folder / "pgkeel.log"
    before = len(log.read_text())
    stage.begin("pgkeel", [stage.pgkeel, "serve", "--config", stage.folder / "pgkeel.toml", *more])
    return lambda words: words in log.read_text()[before:]


def play(stage, line, moment):
    command, _, remark = line.partition(" #")
    words = command.strip()
    print(line, flush=True)
    real = {
        "/var/lib/postgresql/15/main": str(stage.data("a")), "/usr/lib/postgresql/15/bin": str(stage.folder / "bin-a"),
        "/backup/base": str(stage.folder / "base"), "/backup/wal": str(stage.folder / "archive"),
        "2026-10-24 02:59:00+00": moment,
    }
    if words == "systemctl stop pgkeel":
        return stage.end("pgkeel")
    if words == "systemctl start pgkeel":
        said = begin_restored_pgkeel(stage)  # systemd waits until it is ready
        return stage.wait("pgkeel", lambda: said("status, events and metrics are at"))
    if words.startswith("mv /var/lib/pgkeel "):
        return (stage.folder / "state").rename(stage.folder / "state.before")
    if words.startswith("sudo -u pgkeel pgkeel serve"):
        said = begin_restored_pgkeel(stage, "--adopt", "a")
        stage.wait("the adoption", lambda: said("adopted"))
        process = stage.processes.pop("pgkeel")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=LIMIT_S)
        return None
    if words.startswith("a$ psql -c "):
        text = words.removeprefix("a$ psql -c ").strip('"')
        if "until it is f" in remark:
            return stage.wait("the end of the recovery", lambda: sql_on(stage, "a", text) == "f")
        return sql_on(stage, "a", text)
    if words.startswith("a$ "):
        text = words.removeprefix("a$ ").removeprefix("sudo -u postgres ")
        for name, value in real.items():
            text = text.replace(name, value)
        if "pg_ctl" in text:  # its output would keep a pipe open as long as the server
            text += f" --log {stage.folder}/restored.log >/dev/null"
        return stage.run("sh", "-c", text, **as_postgres())
    output = stage.verb_once_nodes_are_heard(*words.split()[1:])
    if "until it is normal" in remark:
        stage.wait_normal()
    return output


def play_restore(stage, runbooks):
    receive_wal(stage, "a", stage.folder / "archive")
    receives = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pg_receivewal' AND state = 'streaming'"
    stage.wait("the archive", lambda: sql_on(stage, "a", receives) == "1")
    on_node(stage, "a", "pg_basebackup", "-D", stage.folder / "base", "-X", "stream", "-c", "fast", "-h", "/tmp", "-p", stage.ports["a"], "-U", "postgres")
    stage.sql("CREATE TABLE orders_placed AS SELECT generate_series(1, 100) AS id")
    moment = sql_on(stage, "a", "SELECT clock_timestamp()")
    stage.sql("DROP TABLE orders_placed")  # the mistake
    for line in commands_of(runbooks, "Restore from a backup"):
        play(stage, line, moment)
        if line.startswith("pgkeel stop"):  # it has all: a shutdown waits for whoever streams
            stage.end("pg_receivewal")
    if stage.condition()["route"] != "a" or stage.sql("SELECT count(*) FROM orders_placed").strip() != "100":
        raise RuntimeError("after the restore: not what it should be")
    if sql_on(stage, "b", "SELECT count(*) FROM orders_placed") != "100" or sql_on(stage, "b", "SELECT pg_is_in_recovery()") != "t":
        raise RuntimeError("after the restore: b is no standby of what was restored")
    stage.sql("DROP TABLE orders_placed")
