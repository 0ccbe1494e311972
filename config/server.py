"""The web process: `python -m config.server FD` serves on a listening socket that its parent opened.

The parent keeps the socket, so when this process is killed and started again its visitors wait instead of failing.
"""

import socket
import sys

import uvicorn

SHUTDOWN_SECONDS = 2  # streams of events never end by themselves


def main(descriptor: int) -> None:
    config = uvicorn.Config(
        "config.asgi:application",
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
