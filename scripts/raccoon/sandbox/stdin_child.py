"""What the child does for a program that reads stdin: runs it once, as Python runs a script, on one case's input.

Descriptor 0 already holds the input and descriptor 1 takes what is printed; the expected output never comes here.
"""

import atexit
import builtins
import contextlib
import gc
import linecache
import marshal
import sys
import threading

from raccoon.sandbox import values

FILENAME = "solution.py"  # what tracebacks call the program
COMPILED = b"c"  # how the frame with the compiled program begins
MAX_COMPILED = 8 << 20  # bytes; a larger program is compiled again in each child


def run_program(job: int, incoming: values.FrameReader, program: dict, namespace: dict) -> list:
    """Runs the program to its end and gives ["ok", None, None]; raises what it raised, exits with a code among it.

    The child of the first case compiles, before any code of the program runs, and sends the result to the judge,
    which hands it to the children of the other cases.
    """
    units = marshal.loads(incoming.read(MAX_COMPILED)) if program["compiled"] else compiled(job, program)
    code = program["code"]
    linecache.cache[FILENAME] = (len(code), None, code.splitlines(keepends=True), FILENAME)
    builtins.exit = builtins.quit = sys.exit  # which the module `site` gives to scripts
    sys.stdout.reconfigure(line_buffering=False)  # a script writes by blocks where nobody is watching
    try:
        for unit in units:
            exec(unit, namespace)
    except SystemExit as error:
        if error.code not in (None, 0):
            flush()
            raise
    except BaseException:
        flush()
        raise
    end_like_a_script(namespace)
    return ["ok", None, None]


def compiled(job: int, program: dict) -> tuple:
    """The code objects of context and program; they go to the judge too, empty where they are too large."""
    sources = (("context.py", program["context"]), (FILENAME, program["code"]))
    units = tuple(compile(text, name, "exec", dont_inherit=True) for name, text in sources if text)
    data = marshal.dumps(units)
    values.write_frame(job, COMPILED + (data if len(data) < MAX_COMPILED else b""))
    return units


def end_like_a_script(namespace: dict) -> None:
    """What Python does at the end of a script: waits for threads, runs exit functions, writes what is buffered."""
    threading._shutdown()
    atexit._run_exitfuncs()
    flush()
    namespace.clear()
    gc.collect()  # files that the program has left open on a descriptor are written when they are collected


def flush() -> None:
    """Writes out what is buffered for stdout, also where the program has put another object in its place."""
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None and not getattr(stream, "closed", False):
            with contextlib.suppress(AttributeError):
                stream.flush()
