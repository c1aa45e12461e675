"""What the sandbox needs from the machine: platform, Python, a folder for scratch files, memory.

Anything missing raises SandboxError before any process is started. The message is one line that says what to do.
"""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from raccoon.constants import OLDEST_PYTHON, RunError

NEEDED_MODULES = {  # modules that a Python build may lack, and what each needs
    "_ctypes": "libffi's headers",
    "fcntl": "a Linux build",
    "resource": "a Linux build",
}
SPARE_FOLDER = "/dev/shm"  # in memory; writable even if a container's root directory is read-only
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
LIMIT_FILES = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))  # of cgroups version 2 and 1
NO_LIMIT = 1 << 60  # bytes; version 1 writes a number near 2**63 for no limit


class SandboxError(RunError):
    """The sandbox cannot run on this machine; the message says why and what to do."""


def refuse_foreign_platform() -> None:
    """Raises SandboxError if the system is not Linux, or if this Python lacks something that the judges need."""
    if sys.version_info < OLDEST_PYTHON:
        wanted, found = (".".join(map(str, version[:2])) for version in (OLDEST_PYTHON, sys.version_info))
        raise SandboxError(f"Python >= {wanted} needed, found {found}: run it in the project's Docker image")
    if sys.platform != "linux":
        raise SandboxError(f"the sandbox needs Linux, this is {sys.platform}: run it in the project's Docker image")
    for name, source in NEEDED_MODULES.items():
        if importlib.util.find_spec(name) is None:
            raise SandboxError(
                f"{sys.executable} was built without its module {name}: build it with {source}, "
                "or use another Python or the project's Docker image"
            )


def scratch_root() -> Path:
    """A new folder for the scratch folders of one sandbox. Raises SandboxError if none can be made."""
    try:
        root = tempfile.mkdtemp(prefix="sandbox-", dir=None if temporary_folder() else SPARE_FOLDER)
        os.chmod(root, 0o711)  # a child with its own uid must reach its scratch folder
    except OSError as error:
        raise SandboxError(
            f"cannot make a folder for scratch files ({error}): set TMPDIR to a writable folder"
        ) from None
    return Path(root)


def temporary_folder() -> str:
    """The folder for temporary files; "" if /tmp and similar folders are full or not writable."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return ""


def memory_note(memory_mb: int) -> str:
    """A warning if this container may use less memory in total than one program may; else ""."""
    allowed = container_memory()
    if allowed >= memory_mb << 20:
        return ""
    return (
        f"; this container's memory limit of {allowed >> 20} MB is below a program's {memory_mb} MB: a program that "
        "exceeds it is killed, and fails unless the solution is killed too; raise the container's limit or lower "
        "memory_mb"
    )


def container_memory() -> int:
    """Bytes that the cgroups of this process may use, the lowest limit of all levels; NO_LIMIT if none is set."""
    try:
        lines = OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return NO_LIMIT
    groups = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    found = [NO_LIMIT]
    for controller, file in LIMIT_FILES:
        mounted = CGROUPS / controller
        for folder in (mounted, *reversed((mounted / groups.get(controller, "") / "x").parents)):
            found += limits_in(folder / file)
    return min(found)


def limits_in(file: Path) -> list[int]:
    """The limit in a cgroup's file as a list of one number; [] if it says "max" or does not exist."""
    try:
        return [int(file.read_text())]
    except (OSError, ValueError):
        return []
