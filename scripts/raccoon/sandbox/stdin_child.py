"""What the child does for a program that reads stdin: runs it once, as Python runs a script, on one case's input.

Descriptor 0 already holds the input and descriptor 1 takes what is printed; the expected output never comes here. A
fresh fork pays for each page that it touches, so this file does little and in few steps.
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
    """Runs the program to its end and returns; what it raises is sent to the judge, an exit with a code among it, and
    ends the process.

    `job` brings marshal.dumps((code, units)). Where `units` is None this is the child of the first case: it compiles,
    before any code of the program runs, and sends the judge what the children of the other cases get.
    """
    code, units = marshal.loads(values.FrameReader(job).read(MAX_PROGRAM))
    module = types.ModuleType("__main__")
    module.__file__ = FILENAME
    sys.modules["__main__"] = module
    try:
        units = units or compiled(job, *code)
        linecache.cache[FILENAME] = (lambda: code[1],)  # split into lines only where somebody asks
        builtins.exit = builtins.quit = sys.exit  # which the module `site` gives to scripts
        sys.stdout.reconfigure(line_buffering=False)  # a script writes by blocks where nobody is watching
        run(units, module.__dict__)
    except BaseException as error:
        try:
            values.write_frame(job, values.dumps(failure(error), trusted=False))
        finally:
            os._exit(1)  # also where the program has closed the channel: code 0 says that all went well


def compiled(job: int, context: str, code: str) -> list:
    """The code objects of context and program, sent to the judge too."""
    sources = (("context.py", context), (FILENAME, code))
    units = [compile(text, name, "exec", dont_inherit=True) for name, text in sources if text]
    values.write_frame(job, values.COMPILED + marshal.dumps(((context, code), units)))
    return units


def run(units: list, namespace: dict) -> None:
    """Runs the program, and then does what Python does at the end of a script."""
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
    if _thread._count() > 0 and "threading" in sys.modules:  # a zygote that had imported it would pay at each fork
        sys.modules["threading"]._shutdown()
    if atexit._ncallbacks():
        atexit._run_exitfuncs()
    for found in list(namespace.values()):  # files on descriptor 1, and what is kept of one: open(1, "w").write
        flush(found.__self__ if type(found) is types.BuiltinMethodType else found)
    flush(sys.__stdout__)
    if sys.stdout is not sys.__stdout__ and hasattr(sys.stdout, "flush"):
        sys.stdout.flush()  # an object of the program's own


def flush(found: object) -> None:
    """Writes out what is buffered for a file that is open for writing; anything else is left alone."""
    if type(found) in WRITERS and not found.closed and found.writable():
        found.flush()

