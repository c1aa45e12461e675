"""Verdicts for other machines: the lines on the wire, the server, and the sandbox that asks servers."""
