"""What only few programs need to find what they find in plain Python, done if a word of their text hints at it.

It runs in the child, before the program. Nothing depends on it but the program's own behaviour.
"""

import builtins
import io
import os
import sys
import types

FILENAME = "solution.py"  # the program's name in tracebacks
RECURSION_LIMIT, MAX_LIMIT = 1000, (1 << 31) - 1  # of a script that has set no limit, and of any
STREAMS = {
    path: number
    for number, name in enumerate(("stdin", "stdout", "stderr"))
    for path in (f"/dev/{name}", f"/dev/fd/{number}", f"/proc/self/fd/{number}")
}


def adapt(code: str) -> None:
    """Gives a program the usable depth of recursion that a script has, and whatever its text hints at."""
    frame, depth = sys._getframe(1), 0  # as many frames as below the program
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
    import pickle
    import queue
    import threading

    class Unpickler(pickle.Unpickler):
        def __init__(self, data: bytes, main: dict):
            super().__init__(io.BytesIO(data))
            self.main = main

        def find_class(self, module, name):
            return self.main[name] if module == "__main__" and name in self.main else super().find_class(module, name)

    class Channel(queue.SimpleQueue):
        main = {}

        def put(self, item):
            super().put(Unpickler(pickle.dumps(item), self.main).load())

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
        main = None

        def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=()):
            super().__init__(max_workers, "", initializer, initargs)

        def submit(self, *task, **keywords):
            self.main = self.main or forked_main()
            return super().submit(self.run, task, keywords)

        def run(self, task, keywords):
            (function, *arguments), keywords = Unpickler(pickle.dumps((task, keywords)), self.main).load()
            return pickle.loads(pickle.dumps(function(*arguments, **keywords)))

    base, default = multiprocessing.context.BaseContext, multiprocessing.context._default_context
    for name in ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier"):
        setattr(base, name, staticmethod(getattr(threading, name)))  # those of processes need files in /dev/shm
    base.Pool = staticmethod(Pool)
    vars(multiprocessing).update((name, getattr(default, name)) for name in multiprocessing.__all__)
    concurrent.futures.ProcessPoolExecutor = Executor


def forked_main() -> dict:
    """A copy of the globals of __main__, for its functions in a worker. What cannot be copied is shared."""
    import copy

    main, memo, copied = vars(sys.modules["__main__"]), {}, {}
    for name, value in main.items():
        try:
            copied[name] = copy.deepcopy(value, memo)
        except Exception:
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
