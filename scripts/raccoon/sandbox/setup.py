"""What caller, judge and zygote share: the settings of a judge, and how a folder of untrusted code is emptied."""

import contextlib
import os
import time
from dataclasses import dataclass

ATTEMPTS = 20  # to remove a folder while its processes are still ending
PAUSE = 0.05  # seconds between them


@dataclass(frozen=True)
class Setup:
    """The settings of one judge and its zygote, which both get as JSON."""

    channel: int  # descriptor of the socket to the process that has started this one: caller or judge
    scratch: str  # an empty folder that nothing else uses; for the caller the folder of all of them
    memory_mb: int  # of address space for a child, beyond the zygote's own
    packages: list[str]  # site-packages folders of the caller's Python
    preload: list[str]  # modules to import before the first fork
    shared: bool  # tests run with the code; inside namespaces also processes, exec and loopback sockets
    weak: bool  # continue if Landlock or seccomp is missing
    hash_seed: int = 0  # PYTHONHASHSEED of judge and child: the order of their sets


def library_path() -> dict[str, str]:
    """The one environment variable of the caller that a Python may need to start."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def empty_folder(folder: str) -> None:
    """Removes everything that a child left, however deep. Folders below the first level are moved up before."""
    os.chmod(folder, 0o1777 if folder == "/dev/shm" else 0o700)
    moved, unguessed = 0, os.urandom(8).hex()  # no program can have used this name
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
    """The path of everything in a folder, and whether it is a folder (a link to a folder is not)."""
    with os.scandir(folder) as found:
        return [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in found]


def remove_folder(folder: str) -> None:
    """Removes a folder with all its contents. If that fails ATTEMPTS times, the rest stays."""
    for _ in range(ATTEMPTS):
        with contextlib.suppress(OSError):
            empty_folder(folder)
            os.rmdir(folder)
        if not os.path.exists(folder):
            return
        time.sleep(PAUSE)
