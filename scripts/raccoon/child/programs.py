"""Runs a program that reads stdin in the child: once, as Python runs a script, on the input of one case.

Descriptor 0 already holds the input and descriptor 1 takes the output. The expected output never comes here. Each page
that a fresh fork touches costs time, so this file does little, in few steps. What only few programs need is in
adaptations.py.
"""

import _thread
import atexit
import builtins
import gc
import io
import linecache
import marshal
import os
import sys
import types

from raccoon.child.adaptations import adapt
from raccoon.child.functions import FILENAME, MAX_PROGRAM, failure
from raccoon.exchange import frames, values

WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
FLUSH_FAILED = 120  # Python's exit code if sys.stdout cannot be flushed at the end
# Parts of words without one of which no program has objects that do something when they are collected. Most have none.
LASTING = "open rite rap IO __del__ finally yield await weak Temp exec eval getattr __import__ import_module".split()


def run_program(job: int) -> None:
    """Runs the program to its end and returns. If it raises, also by an exit with a code, the exception is sent to the
    judge and the process ends.

    `job` carries marshal.dumps((code, units)). If `units` is None, this is the child of the first case: it compiles the
    code before any of it runs, and sends the judge the units for the children of the other cases.
    """
    source, units = marshal.loads(frames.FrameReader(job).read(MAX_PROGRAM))
    try:
        prepare(source[1])
        preloaded = len(sys.modules)
        units = units or compiled(job, *source)
        report = executed(units) if type(units) is list else units
        code_at_end = finish("".join(source), preloaded)
        if report is not None:
            frames.write_frame(job, report)
            os._exit(1)
    except BaseException:
        os._exit(1)  # the program has closed the channel, for example: code 0 means success
    if code_at_end:
        os._exit(code_at_end)


def compiled(job: int, context: str, code: str) -> list | bytes:
    """The code objects of context and program, which are also sent to the judge; or the report of an error."""
    sources = (("context.py", context), (FILENAME, code.removeprefix("\ufeff")))  # as of a file with that mark
    try:
        units = [compile(text, name, "exec", dont_inherit=True) for name, text in sources if text]
    except BaseException as error:
        return report_of(error)
    frames.write_frame(job, frames.COMPILED + marshal.dumps(((context, code), units)))
    return units


def prepare(code: str) -> None:
    """Makes the module __main__, and what else a script finds."""
    module = types.ModuleType("__main__")
    vars(module).update(__file__=FILENAME, __builtins__=builtins, __annotations__={}, __cached__=None)
    sys.modules["__main__"] = module
    linecache.cache[FILENAME] = (lambda: code,)  # split into lines only when needed
    sys.stdout.reconfigure(line_buffering=False)  # like a script whose output is not a terminal
    adapt(code)


def executed(units: list) -> bytes | None:
    """Runs the code. The report of the exception that ended it, None if Python would exit with code 0."""
    namespace = sys.modules["__main__"].__dict__
    try:
        try:
            for unit in units:
                exec(unit, namespace)
        finally:
            quietly(lambda: sys.stderr.flush())
            quietly(lambda: sys.stdout.flush())
    except SystemExit as error:
        return report_exit(error)
    except BaseException as error:
        return report_uncaught(error)


def report_uncaught(error: BaseException) -> bytes | None:
    """The report of an exception that the program's own sys.excepthook has seen; None if that exits with code 0."""
    if sys.excepthook is not sys.__excepthook__:
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as error_of_hook:
            return report_exit(error_of_hook)
        except BaseException:
            pass  # Python prints it
    return report_of(error)


def report_of(error: BaseException) -> bytes:
    """The report of an exception, without its arguments: the judge does not read before this process has ended."""
    return values.dumps(failure(error, 0))


def report_exit(error: SystemExit) -> bytes | None:
    """The report of an exit, None if it ends the process with code 0."""
    return report_of(error) if exit_code(error.code) else None


def exit_code(code: object) -> int:
    """The process's exit code for SystemExit(code). Python reads it as a C int; the system keeps its lowest byte."""
    if not isinstance(code, int):
        return int(code is not None)
    return int.__and__(code, 0xFF) if int.bit_length(code) < 64 else 0xFF


def finish(source: str, preloaded: int) -> int:
    """Does what Python does at the end of a script (Py_FinalizeEx), in its order. Returns the exit code, 0 or 120."""
    sys.settrace(None)
    if "threading" in sys.modules:  # imported in the zygote it would slow each fork
        quietly(sys.modules["threading"]._shutdown)
    if atexit._ncallbacks():
        quietly(atexit._run_exitfuncs)
    flushed = quietly(flush_stdout)
    if any(word in source for word in LASTING):
        collect(preloaded)
    else:
        quietly(restore_streams)
    quietly(flush_stdout)
    return 0 if flushed else FLUSH_FAILED


def collect(preloaded: int) -> None:
    """Collects the program's objects, so that buffered output is written and `__del__` and `finally` run.

    Modules beyond the first `preloaded` are the program's.
    """
    if gc.isenabled():
        gc.collect()
    quietly(restore_streams)
    while len(sys.modules) > preloaded:
        sys.modules.popitem()
    sys.modules.pop("__main__", None)
    importing, builtins.__import__ = builtins.__import__, no_import
    gc.collect()
    builtins.__import__ = importing
    if not _thread._count():  # a daemon thread may hold files, which are then lost
        for found in gc.get_objects():  # held by a module of the zygote, whose own objects are not among these
            if issubclass(type(found), WRITERS):
                quietly(found.flush)


def quietly(function) -> bool:
    """Calls it. Whether it raised nothing; Python prints what is raised at the end and goes on."""
    try:
        function()
    except BaseException:
        return False
    return True


def flush_stdout() -> None:
    """Flushes sys.stdout, also an object of the program, if it is not closed."""
    if sys.stdout is None:
        return
    try:
        closed = bool(sys.stdout.closed)
    except Exception:
        closed = False
    if not closed:
        sys.stdout.flush()


def restore_streams() -> None:
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__


def no_import(*_):
    """Stands for __import__ when the program's last objects are collected."""
    raise ImportError("sys.meta_path is None, Python is likely shutting down")
