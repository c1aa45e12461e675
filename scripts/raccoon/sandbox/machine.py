"""What the machine under the sandbox offers: its platform, its Python, a folder for scratch files, its memory.

Whatever is missing is a SandboxError of one line that says what to do, before any process is started.
"""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

OLDEST_PYTHON = (3, 11)  # its -P keeps a script's folder out of sys.path
NEEDED_MODULES = {  # that a Python may have been built without: what each comes from
    "_ctypes": "libffi's headers",
    "fcntl": "a Linux build",
    "resource": "a Linux build",
}
SPARE_FOLDER = "/dev/shm"  # in memory; writable also where a container's root directory is not
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
LIMIT_FILES = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))  # of cgroups version 2 and 1
NO_LIMIT = 1 << 60  # bytes; version 1 writes a number near 2**63 for none


class SandboxError(RuntimeError):
    """The sandbox cannot stand on this machine; the message says why and what to do."""


def refuse_foreign_platform() -> None:
    """SandboxError where there is no Linux kernel to build on, or a Python that lacks what the judges need."""
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
    """A new folder for the scratch folders of one sandbox; SandboxError where no place can be written to."""
    try:
        root = tempfile.mkdtemp(prefix="sandbox-", dir=None if temporary_folder() else SPARE_FOLDER)
        os.chmod(root, 0o711)  # a child with a uid of its own passes through to its scratch folder
    except OSError as error:
        raise SandboxError(
            f"no folder for scratch files can be made ({error}): set TMPDIR to a folder that can be written to"
        ) from None
    return Path(root)


def temporary_folder() -> str:
    """Where temporary files go, empty where /tmp and its like are full or cannot be written to."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return ""


def memory_note(memory_mb: int) -> str:
    """A warning where this container may use less memory in all than one program may; else empty."""
    allowed = container_memory()
    if allowed >= memory_mb << 20:
        return ""
    return (
        f"; this container's memory limit of {allowed >> 20} MB is below a program's {memory_mb} MB: a program beyond "
        "it is killed and gets INFRA; raise the container's limit or lower memory_mb"
    )


def container_memory() -> int:
    """Bytes that the cgroups of this process may use, the least of all above it; NO_LIMIT where none is set."""
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
    """The limit that a cgroup's file holds: one number, or none where it says "max" or does not exist."""
    try:
        return [int(file.read_text())]
    except (OSError, ValueError):
        return []
