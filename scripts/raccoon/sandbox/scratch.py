"""Clearing the folders that untrusted code has written to, whatever it has left there."""

import contextlib
import os
import time

STILL_CLEARING = b""  # a judge's frame to its caller: the verdict is known, and the scratch folder not yet empty
ATTEMPTS = 20  # at removing a folder whose processes are still ending
PAUSE = 0.05  # seconds between them


def empty_folder(folder: str) -> None:
    """Removes all that a child left, however deep: what lies deeper than one level is first moved up."""
    os.chmod(folder, 0o1777 if folder == "/dev/shm" else 0o700)
    moved, unguessed = 0, os.urandom(8).hex()  # a name that no program can have taken
    while found := entries(folder):
        for path, is_folder in found:
            if not is_folder:
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for inner, is_folder_inside in entries(path):
                if not is_folder_inside:
                    os.unlink(inner)
                    continue
                os.chmod(inner, 0o700)  # else it cannot be moved
                moved += 1
                os.rename(inner, os.path.join(folder, f"{unguessed}.{moved}"))
            os.rmdir(path)


def entries(folder: str) -> list[tuple[str, bool]]:
    """The path of everything in a folder, and whether it is a folder itself and no link to one."""
    with os.scandir(folder) as found:
        return [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in found]


def remove_folder(folder: str | os.PathLike) -> None:
    """Removes a folder with all that lies in it; what cannot be removed after ATTEMPTS stays."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            empty_folder(os.fspath(folder))
            os.rmdir(folder)
        if not os.path.exists(folder):
            return
        time.sleep(PAUSE)
