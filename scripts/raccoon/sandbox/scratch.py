"""Clearing the folders that untrusted code has written to, whatever it has left there."""

import contextlib
import os
import time

ATTEMPTS = 20  # at removing a folder whose processes are still ending
PAUSE = 0.05  # seconds between them


def empty_folder(folder: str) -> None:
    """Removes all that a child left, however deep: what lies deeper than one level is first moved up."""
    os.chmod(folder, 0o1777 if folder == "/dev/shm" else 0o700)
    moved, unguessed = 0, os.urandom(8).hex()  # a name that no program can have taken
    while names := os.listdir(folder):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for name_inside in os.listdir(path):
                inner = os.path.join(path, name_inside)
                if os.path.islink(inner) or not os.path.isdir(inner):
                    os.unlink(inner)
                    continue
                os.chmod(inner, 0o700)  # else it cannot be moved
                moved += 1
                os.rename(inner, os.path.join(folder, f"{unguessed}.{moved}"))
            os.rmdir(path)


def remove_folder(folder: str | os.PathLike) -> None:
    """Removes a folder with all that lies in it; what cannot be removed after ATTEMPTS stays."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            empty_folder(os.fspath(folder))
            os.rmdir(folder)
        if not os.path.exists(folder):
            return
        time.sleep(PAUSE)
