"""Ports for servers that are told their port, or that take it a second time."""

import random
import socket

BELOW_EPHEMERAL = range(20_000, 32_000)  # the kernel gives none of these to a connection or for port 0


def port_to_take_again() -> int:
    """A free port that no other process is given by chance before a server listens on it."""
    while True:
        port = random.SystemRandom().choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
