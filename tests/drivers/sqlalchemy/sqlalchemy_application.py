"""SQLAlchemy over psycopg 2: its exceptions, its own pool with pool_pre_ping."""
import sys

import sqlalchemy

sys.path.insert(0, sys.path[0] + "/../common")
from application import Application, serve

URL = "postgresql+psycopg2://"


class SqlAlchemy(Application):
    version = "SQLAlchemy " + sqlalchemy.__version__
    engine = None
    connection = None
    connections = None

    def connect(self):
        if self.connection is not None:
            self.connection.invalidate()
            self.connection.close()
            self.connection = None
        self.engine = sqlalchemy.create_engine(URL, poolclass=sqlalchemy.pool.NullPool)
        self.connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def execute(self, sql):
        self.connection.execute(sqlalchemy.text(sql))

    def begin(self):
        self.execute("BEGIN")

    def describe(self, error):
        original = getattr(error, "orig", None)
        diagnostics = getattr(original, "diag", None)
        return {"sqlstate": getattr(original, "pgcode", None), "detail": getattr(diagnostics, "message_detail", None),
                "hint": getattr(diagnostics, "message_hint", None),
                "broken": self.connection is None or getattr(error, "connection_invalidated", False)}

    def pool(self, size):
        self.connections = sqlalchemy.create_engine(URL, pool_size=size, max_overflow=0, pool_pre_ping=True)
        opened = [self.connections.connect() for _ in range(size)]
        for connection in opened:
            connection.close()

    def use(self):
        with self.connections.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))


serve(SqlAlchemy())
