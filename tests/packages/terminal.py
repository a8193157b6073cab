"""The command line on a pseudo-terminal, and elsewhere: tables and colours, questions and their answers, --watch that draws
over itself, and Ctrl-C. On a stage of runbooks.py."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from stage import LIMIT_S, as_postgres

HOME, COLOUR = "\x1b[H", re.compile(r"\x1b\[\d+m")


def need(condition, what):
    if not condition:
        raise RuntimeError(f"terminal: {what}")


class Terminal:
    """A program on a terminal of its own, as a shell starts it."""

    def __init__(self, command, columns=100, rows=40, environment=None):
        self.text = ""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm", **(environment or {})})
            os.execv(command[0], command)

    def read_until(self, condition):
        """False: it ended first."""
        end = time.monotonic() + LIMIT_S
        while not condition(self.text):
            need(time.monotonic() < end, f"not within {LIMIT_S} s:\n{self.text}")
            if select.select([self.descriptor], [], [], 1)[0]:
                try:
                    self.text += os.read(self.descriptor, 65536).decode()
                except OSError:  # it has ended
                    return False
        return True

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def end(self):
        """Its exit status as a shell tells it."""
        self.read_until(lambda text: False)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.descriptor)
        return 128 - status if status < 0 else status


def check_columns(lines, what):
    """Every column of the table of nodes begins where its title does."""
    title = next(index for index, line in enumerate(lines) if line.split()[:3] == ["node", "address", "role"])
    for name in ("address", "role", "version", "timeline", "state"):
        place = lines[title].index(name)
        for row in lines[title + 1:title + 3]:
            need(row[place - 1] == " " and row[place] != " ", f"{what}: column {name}:\n" + "\n".join(lines))


def check_terminal(stage):
    def command(*words):
        return [str(stage.pgkeel), words[0], "--config", str(stage.folder / "pgkeel.toml"), *words[1:]]

    def shown(*words, **more):
        terminal = Terminal(command(*words), **more)
        status = terminal.end()
        return status, terminal.text.replace("\r\n", "\n")

    def piped(*words, answer=None):
        done = subprocess.run(command(*words), input=answer, capture_output=True, text=True, check=False, timeout=LIMIT_S, **as_postgres())
        return done.returncode, done.stdout, done.stderr

    # Tables and colours.
    status, wide = shown("status")
    need(status == 0 and "\x1b[32mnormal\x1b[0m" in wide, f"no colour of normal: {wide!r}")
    check_columns(COLOUR.sub("", wide).split("\n"), "status")
    status, narrow = shown("status", columns=40)
    check_columns(COLOUR.sub("", narrow).split("\n"), "a narrow status")
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for words in (("status",), ("events",), ("decisions", "orders"), ("check", "--live")):
            need("\x1b" not in shown(*words, environment=environment)[1], f"colours of {words} in spite of {environment}")
    for words in (("status",), ("events",)):
        need("\x1b" not in piped(*words)[1], f"{words} writes colours to a pipe")
    for text in (piped("status", "--json")[1], shown("status", "--json")[1]):
        need(json.loads(text)["clusters"][0]["name"] == "orders", f"no JSON: {text}")
    for line in piped("events", "--json")[1].splitlines():
        need(json.loads(line)["text"], f"no JSON: {line}")

    # Questions: on a terminal alone, and anything but yes is no.
    for answer in ("n", "", "what?"):
        terminal = Terminal(command("maintenance", "on", "orders"))
        need(terminal.read_until(lambda text: "[y/N]" in text), f"asks nothing: {terminal.text}")
        terminal.type(answer + "\n")
        need(terminal.end() == 1 and "nothing was done" in terminal.text, f"{answer!r}: {terminal.text}")
    terminal = Terminal(command("maintenance", "on", "orders"))
    need(terminal.read_until(lambda text: "[y/N]" in text), terminal.text)
    terminal.type("\x03")
    need(terminal.end() == 128 + signal.SIGINT, f"Ctrl-C at a question: {terminal.text}")
    terminal = Terminal(command("teardown", "orders"))
    need(terminal.read_until(lambda text: "orders" in text.split("\n")[-1] or "name" in text.split("\n")[-1]), f"asks nothing: {terminal.text}")
    terminal.type("order\n")
    need(terminal.end() == 1, f"a wrong name tears down: {terminal.text}")
    need(piped("teardown", "orders", answer="orders\n")[0] == 2, "teardown reads the name from a pipe")
    need(stage.condition()["condition"] == "normal" and not stage.condition()["maintenance"], "something was done unasked")

    # A reload shows first what it would change; one that changes nothing, or is refused, asks nothing.
    file = stage.folder / "pgkeel.toml"
    as_it_was = file.read_text()
    status, text = shown("reload")
    need(status == 0 and "[y/N]" not in text and "nothing has changed" in text, text)
    file.write_text(as_it_was + "\nnonsense = 1\n")
    status, text = shown("reload")
    need(status == 1 and "[y/N]" not in text and "nonsense" in text, text)
    file.write_text(as_it_was.replace("[cluster.orders]\n", "[cluster.orders]\nfailover_pause = \"77s\"\n"))
    for answer, expected, words in (("n", 1, "nothing was done"), ("y", 0, "change made")):
        terminal = Terminal(command("reload"))
        need(terminal.read_until(lambda text: "[y/N]" in text) and "77s" in terminal.text, f"shows nothing: {terminal.text}")
        terminal.type(answer + "\n")
        need(terminal.end() == expected and words in terminal.text, f"{answer}: {terminal.text}")
    file.write_text(as_it_was)
    status, text = shown("reload", "--yes")
    need(status == 0 and "[y/N]" not in text and "change made" in text, text)

    # --watch draws over itself until Ctrl-C, and shows what happens meanwhile.
    watch = Terminal(command("status", "--watch"))
    follow = Terminal(command("events", "--follow"))
    need(watch.read_until(lambda text: text.count(HOME) >= 2), f"it is not drawn again: {watch.text!r}")
    terminal = Terminal(command("maintenance", "on", "orders"))
    need(terminal.read_until(lambda text: "[y/N]" in text), terminal.text)
    terminal.type("y\n")
    need(terminal.end() == 0, terminal.text)
    need(watch.read_until(lambda text: "maintenance" in text.split(HOME)[-1]), watch.text)
    need(follow.read_until(lambda text: "maintenance on" in text), follow.text)
    status, _, complaint = piped("maintenance", "off", "orders")  # no terminal: nobody is asked
    need(status == 0, complaint)
    need(watch.read_until(lambda text: "normal" in text.split(HOME)[-1].split("\n")[0]), watch.text)
    for each in (watch, follow):
        each.type("\x03")
        need(each.end() == 128 + signal.SIGINT, f"Ctrl-C: {each.text!r}")
    small = Terminal(command("status", "--watch"), columns=40, rows=8)
    need(small.read_until(lambda text: text.count(HOME) >= 3), small.text)
    frame = COLOUR.sub("", small.text.split(HOME)[1]).replace("\x1b[K", "").replace("\x1b[J", "").replace("\r", "")
    rows = sum(max(1, -(-len(line) // 40)) for line in frame.split("\n"))
    need(rows <= 8 and "more" in frame.split("\n")[-1], f"{rows} rows: {frame!r}")
    small.type("\x03")
    need(small.end() == 128 + signal.SIGINT, "Ctrl-C on a small screen")
