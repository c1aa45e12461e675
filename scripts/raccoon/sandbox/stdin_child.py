"""Runs a program that reads stdin in the child: once, as Python runs a script, on the input of one case.

Descriptor 0 already holds the input and descriptor 1 takes the output. The expected output never comes here. Each page
that a fresh fork touches costs time, so this file does little, in few steps.
"""

import _thread
import atexit
import builtins
import io
import linecache
import marshal
import os
import sys
import types

from raccoon.sandbox.child import FILENAME, MAX_PROGRAM, failure
from raccoon.verdicts import values

WRITERS = (io.TextIOWrapper, io.BufferedWriter)


def run_program(job: int) -> None:
    """Runs the program to its end and returns. If it raises, also by an exit with a code, the exception is sent to the
    judge and the process ends.

    `job` carries marshal.dumps((code, units)). If `units` is None, this is the child of the first case: it compiles the
    code before any of it runs, and sends the judge the units for the children of the other cases.
    """
    code, units = marshal.loads(values.FrameReader(job).read(MAX_PROGRAM))
    module = types.ModuleType("__main__")
    module.__file__ = FILENAME
    sys.modules["__main__"] = module
    try:
        units = units or compiled(job, *code)
        linecache.cache[FILENAME] = (lambda: code[1],)  # split into lines only when needed
        builtins.exit = builtins.quit = sys.exit  # the module `site` gives these to scripts
        sys.stdout.reconfigure(line_buffering=False)  # like a script whose output is not a terminal
        run(units, module.__dict__)
    except BaseException as error:
        try:
            values.write_frame(job, values.dumps(failure(error, 0)))
        finally:
            os._exit(1)  # also if the program has closed the channel: code 0 means success


def compiled(job: int, context: str, code: str) -> list:
    """The code objects of context and program, which are also sent to the judge."""
    sources = (("context.py", context), (FILENAME, code))
    units = [compile(text, name, "exec", dont_inherit=True) for name, text in sources if text]
    values.write_frame(job, values.COMPILED + marshal.dumps(((context, code), units)))
    return units


def run(units: list, namespace: dict) -> None:
    """Runs the program, then does the work of Python at the end of a script."""
    try:
        for unit in units:
            exec(unit, namespace)
    except SystemExit as error:
        if error.code is not None and error.code != 0:
            flush(sys.stdout)
            raise
    except BaseException:
        flush(sys.stdout)
        raise
    if _thread._count() > 0 and "threading" in sys.modules:  # imported in the zygote it would slow each fork
        sys.modules["threading"]._shutdown()
    if atexit._ncallbacks():
        atexit._run_exitfuncs()
    for found in list(namespace.values()):  # files on descriptor 1, also of a kept method: open(1, "w").write
        flush(found.__self__ if type(found) is types.BuiltinMethodType else found)
    flush(sys.__stdout__)
    if sys.stdout is not sys.__stdout__ and hasattr(sys.stdout, "flush"):
        sys.stdout.flush()  # the program's own object


def flush(found: object) -> None:
    """Flushes a file that is open for writing. Leaves anything else alone."""
    if type(found) in WRITERS and not found.closed and found.writable():
        found.flush()

