"""Django's PostgreSQL backend over the embedded server, which starts when somebody first connects.

So `--help` and `check` run without a server, and a server that was killed is up again for the next write.
"""

import select
from functools import cache
from typing import Any

from django.conf import settings
from django.db.backends.postgresql import base

from config.embedded.postgres import Server


@cache
def server() -> Server:
    return Server(settings.VAR)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        server().ensure()
        return super().get_new_connection(conn_params)

    def is_usable(self) -> bool:
        """Whether the connection lives: asked of the server only if its socket has something to say.

        It is on this machine, so a server that went has closed the socket; an idle one is silent.
        """
        if self.connection.closed:
            return False
        socket = select.poll()
        socket.register(self.connection.fileno(), select.POLLIN)
        return not socket.poll(0) or super().is_usable()
