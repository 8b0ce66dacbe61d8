"""A port on loopback at which nothing listens."""

import socket


def free_port():
    """Return the number of a port that no process uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
