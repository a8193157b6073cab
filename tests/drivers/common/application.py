"""The loop of the Python programs: see ../README.md. One answer for each command."""
import json
import sys


class Unsupported(Exception):
    pass


class Application:
    """What a driver's program gives; a command is the method of its name."""
    version = ""

    def connect(self):
        raise NotImplementedError

    def execute(self, sql):
        raise NotImplementedError

    def describe(self, error):
        """sqlstate, detail, hint and broken of an exception."""
        raise NotImplementedError

    def begin(self):
        raise NotImplementedError

    def query(self):
        self.execute("SELECT 1")

    def hold(self):
        self.execute("SELECT pg_sleep(3600)")

    def copy_out(self):
        raise Unsupported

    def copy_in(self):
        raise Unsupported

    def finish(self):
        self.query()

    def pool(self, size):
        raise Unsupported

    def use(self):
        """Borrows from the pool, runs a statement, gives back."""
        raise Unsupported


COPY_OUT = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT"
COPY_IN = "COPY copied FROM STDIN"


def say(answer):
    print(json.dumps(answer), flush=True)


def next_command():
    return sys.stdin.readline().split()


def report(application, error):
    answer = {"ok": False, "class": type(error).__name__, "message": str(error)}
    answer.update({key: value for key, value in application.describe(error).items() if value is not None})
    return answer


def use_pool(application, count):
    """Succeeded where the last use did: the pool has recovered."""
    answer = {"ok": False, "failed": 0}
    for _ in range(count):
        try:
            application.use()
            answer["ok"] = True
        except Exception as error:  # each class of error is a finding
            answer["ok"] = False
            answer["failed"] += 1
            answer["error"] = report(application, error)
    return answer


def carry_out(application, command):
    try:
        if command[0] == "version":
            return {"ok": True, "version": application.version}
        if command[0] == "use":
            return use_pool(application, int(command[1]))
        getattr(application, command[0])(*[int(argument) for argument in command[1:]])
        return {"ok": True}
    except Unsupported:
        return {"unsupported": True}
    except Exception as error:
        return report(application, error)


def serve(application):
    while command := next_command():
        say(carry_out(application, command))
