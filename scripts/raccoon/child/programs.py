"""Runs a program that reads stdin in the child: once, as Python runs a script, on the input of one case.

Descriptor 0 already holds the input and descriptor 1 takes the output. The expected output never comes here. Each page
that a fresh fork touches costs time, so this file does little, in few steps. `adapt` does what only few programs need
to find what they find in plain Python, if a word of their text hints at it; functions.py uses it too.
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
from collections.abc import Callable
from typing import Any

from raccoon.exchange import frames, values
from raccoon.exchange.heap import standard_name

FILENAME = "solution.py"  # the program's name in tracebacks
MAX_PROGRAM = 64 << 20  # bytes of a program with its context
MAX_MESSAGE = 1000  # characters of an exception's message
MAX_CAUSES = 5  # exceptions behind an exception
RECURSION_LIMIT, MAX_LIMIT = 1000, (1 << 31) - 1  # of a script that has set no limit, and of any
WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
FLUSH_FAILED = 120  # Python's exit code if sys.stdout cannot be flushed at the end
# Parts of words without one of which no program has objects that do something when they are collected. Most have none.
LASTING = "open rite rap IO __del__ finally yield await weak Temp exec eval getattr __import__ import_module".split()
TRACE = vars(BaseException)["__traceback__"].__get__  # past what a class of the program defines
SYNTAX_FILE, SYNTAX_LINE = (vars(SyntaxError)[name].__get__ for name in ("filename", "lineno"))
STREAMS = {
    path: number
    for number, name in enumerate(("stdin", "stdout", "stderr"))
    for path in (f"/dev/{name}", f"/dev/fd/{number}", f"/proc/self/fd/{number}")
}


def failure(error: BaseException, causes: int = MAX_CAUSES) -> list:
    """["error", class, its standard classes from the most special to the most general, message, exception, line]

    The exception is sent as a value; it is None where it cannot be sent, or without `causes`. `line` is the program's
    line at which it was raised, or at which the program does not parse; 0 if it is not known.
    """
    standard = [".".join(name) for kind in type(error).__mro__ if (name := standard_name(kind))]
    try:
        message = str(error)[:MAX_MESSAGE]
    except BaseException:
        message = ""
    return values.Inline(["error", type(error).__name__, standard, message, error if causes else None, own_line(error)])


def own_line(error: BaseException) -> int:
    """The line of the program's deepest frame on the way to an exception; 0 if there is none."""
    line, trace = 0, TRACE(error)
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    if not line and issubclass(type(error), SyntaxError) and SYNTAX_FILE(error) is FILENAME:  # as given to compile()
        line = SYNTAX_LINE(error)
    return line if type(line) is int and 0 < line < MAX_LIMIT else 0


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
        ending = executed(units) if isinstance(units, list) else units
        code_at_end = finish("".join(source), preloaded)
        if ending is not None:
            frames.write_frame(job, ending)
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
        return report(error)
    frames.write_frame(job, frames.COMPILED + marshal.dumps(((context, code), units)))
    return units


def prepare(code: str) -> None:
    """Makes the module __main__, and what else a script finds."""
    module = types.ModuleType("__main__")
    vars(module).update(__file__=FILENAME, __builtins__=builtins, __annotations__={}, __cached__=None)
    sys.modules["__main__"] = module
    linecache.cache[FILENAME] = (lambda: code,)  # split into lines only when needed
    stdout: Any = sys.stdout
    stdout.reconfigure(line_buffering=False)  # like a script whose output is not a terminal
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
        return None
    except SystemExit as error:
        return report_exit(error)
    except BaseException as error:
        if sys.excepthook is not sys.__excepthook__:
            try:
                sys.excepthook(type(error), error, error.__traceback__)
            except SystemExit as error_of_hook:
                return report_exit(error_of_hook)
            except BaseException:
                pass  # Python prints it
        return report(error)


def report(error: BaseException) -> bytes:
    """The report of an exception, without its arguments: the judge does not read before this process has ended."""
    return values.dumps(failure(error, 0))


def report_exit(error: SystemExit) -> bytes | None:
    """The report of an exit; None for code 0. Python reads the code as a C int; the system keeps its lowest byte."""
    code = error.code
    if code is None or isinstance(code, int) and int.bit_length(code) < 64 and not int.__and__(code, 0xFF):
        return None
    return report(error)


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


def adapt(code: str) -> None:
    """Gives a program the usable depth of recursion that a script has, and whatever its text hints at."""
    frame: types.FrameType | None = sys._getframe(1)
    depth = 0  # as many frames as below the program
    while frame:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(RECURSION_LIMIT + depth)
    for word, change in ADAPTATIONS:
        if word in code:
            change(code)


def hide_depth(code: str) -> None:
    """Lets the program read and set a recursion limit that does not count the frames below its own."""
    get, real = sys.getrecursionlimit, sys.setrecursionlimit
    frames = get() - RECURSION_LIMIT
    sys.getrecursionlimit = lambda: get() - frames
    sys.setrecursionlimit = lambda limit: real(min(limit + frames, MAX_LIMIT) if limit > 0 else limit)


def serve_streams(code: str) -> None:
    """Lets open() find the names of descriptors 0 to 2. The sandbox has no /proc."""

    def served(function):
        def opened(file, *arguments, **keywords):
            path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else None
            if path in STREAMS:
                keywords["opener"] = lambda *_: os.dup(STREAMS[path])
            return function(file, *arguments, **keywords)

        return opened

    def descriptor(path, *arguments, **keywords):
        return os.dup(STREAMS[path]) if path in STREAMS else real(path, *arguments, **keywords)

    builtins.open = io.open = served(io.open)
    os.open, real = descriptor, os.open


def write_itself(code: str) -> None:
    """Puts the program's file into its folder, and says where it is."""
    sys.modules["__main__"].__file__ = os.path.abspath(FILENAME)
    with open(FILENAME, "w", encoding="utf-8", newline="") as file:
        file.write(code)


def serve_pools(code: str) -> None:
    """Runs process pools by threads, because the sandbox allows no other process.

    A worker sees what a forked process would see: its tasks and results are pickled, and its functions of __main__ work
    on a copy of the globals. The methods of classes do not.
    """
    import concurrent.futures
    import multiprocessing.pool
    import queue

    crossed = crossing()

    class Channel(queue.SimpleQueue):
        main: dict = {}

        def put(self, item):
            super().put(crossed(item, self.main))

    class Pool(multiprocessing.pool.ThreadPool):
        def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
            self.main = forked_main()
            if type(initializer) is types.FunctionType:
                initializer = types.FunctionType(initializer.__code__, self.main, "", initializer.__defaults__)
            super().__init__(processes, initializer, initargs)

        def _setup_queues(self):
            self._inqueue, self._outqueue = Channel(), Channel()
            self._inqueue.main = self.main
            self._quick_put, self._quick_get = self._inqueue.put, self._outqueue.get

    class Executor(concurrent.futures.ThreadPoolExecutor):
        main: dict | None = None

        def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=()):
            super().__init__(max_workers, "", initializer, initargs)

        def submit(self, *task, **keywords):
            self.main = self.main or forked_main()
            return super().submit(self.run, task, keywords)

        def run(self, task, keywords):
            (function, *arguments), keywords = crossed((task, keywords), self.main)
            return crossed(function(*arguments, **keywords), {})

    vars(concurrent.futures).update(ProcessPoolExecutor=Executor)
    replace_pools(Pool)


def replace_pools(pool: type) -> None:
    """Puts a pool in the place of that of multiprocessing, and locks of threads in the place of its locks."""
    import multiprocessing.context
    import threading

    base, default = multiprocessing.context.BaseContext, multiprocessing.context._default_context
    names = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier")
    of_threads = {name: getattr(threading, name) for name in names}  # those of processes need files in /dev/shm
    for name, made in (of_threads | {"Pool": pool}).items():
        setattr(base, name, staticmethod(made))
    vars(multiprocessing).update((name, getattr(default, name)) for name in multiprocessing.__all__)


def crossing() -> Callable:
    """A function that gives what a process with the globals `main` gets of an item that is sent to it."""
    import pickle

    class Unpickler(pickle.Unpickler):
        main: dict

        def find_class(self, module, name):
            return self.main[name] if module == "__main__" and name in self.main else super().find_class(module, name)

    def crossed(item, main: dict):
        reader = Unpickler(io.BytesIO(pickle.dumps(item)))
        reader.main = main
        return reader.load()

    return crossed


def forked_main() -> dict:
    """A copy of the globals of __main__, for its functions in a worker. What cannot be copied is shared."""
    import copy

    main = vars(sys.modules["__main__"])
    memo: dict = {}
    copied: dict = {}
    for name, value in main.items():
        try:
            copied[name] = copy.deepcopy(value, memo)
        except Exception:  # whatever the program's own __deepcopy__ or __reduce__ raises
            copied[name] = value
        if type(value) is types.FunctionType and value.__globals__ is main:
            copied[name] = types.FunctionType(value.__code__, copied, name, value.__defaults__, value.__closure__)
            copied[name].__kwdefaults__ = value.__kwdefaults__
    return copied


ADAPTATIONS = (  # (word in the program's text, what it may need)
    ("recursionlimit", hide_depth),
    ("/dev", serve_streams),
    ("/proc", serve_streams),
    ("__file__", write_itself),
    ("argv", write_itself),
    ("multiprocessing", serve_pools),
    ("ProcessPoolExecutor", serve_pools),
)
