"""psycopg 3, and psycopg_pool."""
import sys

import psycopg
import psycopg_pool

sys.path.insert(0, sys.path[0] + "/../common")
from application import COPY_IN, COPY_OUT, Application, serve


class Psycopg3(Application):
    version = "psycopg " + psycopg.__version__
    connection = None
    connections = None
    rows = None
    copying = None

    def connect(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = psycopg.connect("", autocommit=True)

    def execute(self, sql):
        self.connection.execute(sql)

    def begin(self):
        self.execute("BEGIN")

    def start_copy(self, sql):
        self.copying = self.connection.cursor().copy(sql)
        return self.copying.__enter__()

    def copy_out(self):
        self.rows = iter(self.start_copy(COPY_OUT))
        next(self.rows)

    def copy_in(self):
        self.rows = None
        self.start_copy(COPY_IN).write("a line\n")

    def finish(self):
        if self.rows is not None:
            for _ in self.rows:
                pass
        self.copying.__exit__(None, None, None)

    def describe(self, error):
        diagnostics = getattr(error, "diag", None)
        return {"sqlstate": getattr(error, "sqlstate", None), "detail": getattr(diagnostics, "message_detail", None),
                "hint": getattr(diagnostics, "message_hint", None),
                "broken": self.connection is None or self.connection.closed}

    def pool(self, size):
        self.connections = psycopg_pool.ConnectionPool("", min_size=size, max_size=size)
        self.connections.wait()

    def use(self):
        with self.connections.connection() as connection:
            connection.execute("SELECT 1")


serve(Psycopg3())
