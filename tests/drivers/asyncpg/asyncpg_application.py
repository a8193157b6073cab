"""asyncpg, and its pool."""
import asyncio
import os
import sys

import asyncpg

sys.path.insert(0, sys.path[0] + "/../common")
from application import Application, next_command, say, serve

SETTINGS = {"application_name": os.environ["PGAPPNAME"]}
COPY_QUERY = "SELECT repeat('x', 1000) FROM generate_series(1, 10000000)"


class Asyncpg(Application):
    version = "asyncpg " + asyncpg.__version__
    connection = None
    connections = None

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def connect(self):
        if self.connection is not None:
            self.connection.terminate()
        self.connection = None
        self.connection = self.wait(asyncpg.connect(server_settings=SETTINGS))

    def execute(self, sql):
        self.wait(self.connection.execute(sql))

    def begin(self):
        self.execute("BEGIN")

    async def pause_at_first(self, *_data):
        if self.pausing:
            self.pausing = False
            say({"ok": True})
            next_command()

    async def lines(self):
        yield b"a line\n"
        # Sent by now; the event loop runs on when the next command has come.
        await self.pause_at_first()

    def copy_out(self):
        self.pausing = True
        self.wait(self.connection.copy_from_query(COPY_QUERY, output=self.pause_at_first))

    def copy_in(self):
        self.pausing = True
        self.wait(self.connection.copy_to_table("copied", source=self.lines()))

    def describe(self, error):
        return {"sqlstate": getattr(error, "sqlstate", None), "detail": getattr(error, "detail", None),
                "hint": getattr(error, "hint", None), "broken": self.connection is None or self.connection.is_closed()}

    def pool(self, size):
        self.connections = self.wait(asyncpg.create_pool(min_size=size, max_size=size, loop=self.loop))

    def use(self):
        self.wait(self.connections.execute("SELECT 1"))


serve(Asyncpg())
