"""What runs in the untrusted process: a program, the answers to the judge's requests, and a script's end."""
