"""psycopg 2, and its pool."""
import sys

import psycopg2
import psycopg2.pool

sys.path.insert(0, sys.path[0] + "/../common")
from application import COPY_IN, COPY_OUT, Application, next_command, say, serve


class PausingFile:
    """What COPY reads from or writes to: stops after its first piece until the next command."""
    def __init__(self):
        self.begun = False

    def pause(self):
        say({"ok": True})
        next_command()

    def write(self, data):
        if not self.begun:
            self.begun = True
            self.pause()
        return len(data)

    def read(self, _size):
        if not self.begun:
            self.begun = True
            return "a line\n"
        self.pause()
        return ""


class Psycopg2(Application):
    version = "psycopg2 " + psycopg2.__version__.split()[0]
    connection = None
    connections = None

    def connect(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = psycopg2.connect("")
        self.connection.autocommit = True

    def execute(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def begin(self):
        self.execute("BEGIN")

    def copy_out(self):
        self.copy(COPY_OUT)

    def copy_in(self):
        self.copy(COPY_IN)

    def copy(self, sql):
        with self.connection.cursor() as cursor:
            cursor.copy_expert(sql, PausingFile())

    def describe(self, error):
        diagnostics = getattr(error, "diag", None)
        return {"sqlstate": getattr(error, "pgcode", None), "detail": getattr(diagnostics, "message_detail", None),
                "hint": getattr(diagnostics, "message_hint", None),
                "broken": self.connection is None or self.connection.closed != 0}

    def pool(self, size):
        self.connections = psycopg2.pool.ThreadedConnectionPool(size, size, "")

    def use(self):
        connection = self.connections.getconn()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        finally:
            self.connections.putconn(connection, close=connection.closed != 0)


serve(Psycopg2())
