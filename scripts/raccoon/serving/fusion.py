"""The /run_code of SandboxFusion (github.com/bytedance/SandboxFusion), as verl and its own client call it.

It runs a Python program on an input and gives back what it prints; the caller compares. Only `language` "python", no
files. `run_timeout` counts CPU seconds, and a program that sleeps gets more. A larger `memory_limit_MB` than the
server's is refused, a smaller one has no effect. stderr ends with the exception's class and message, without a
traceback.
"""

import json
import re
from typing import Any

from raccoon.constants import InputError
from raccoon.records import Program, Verdict

MAX_STDOUT = 1 << 20  # characters; a program that prints more has no result here, because a cut one would look wrong
EXIT = re.compile(r"(?:SystemExit: |exit code )(\d{1,3})\b")


def requested_program(body: bytes, memory_mb: int, longest: float) -> Program:
    """The program of a request's body. Raises InputError that names a field which is wrong or not served."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InputError("the body is not a JSON object")
    code, stdin, timeout = fields.get("code"), fields.get("stdin"), fields.get("run_timeout", 10)
    if not isinstance(code, str) or not isinstance(stdin, str | None):
        raise InputError(f"{'stdin' if isinstance(code, str) else 'code'} is missing or not a text")
    if (language := fields.get("language", "python")) != "python":
        raise InputError(f"language is {language!r:.40}; this server runs python alone")
    if type(timeout) not in (int, float) or not 0 < timeout <= longest:
        raise InputError(f"run_timeout is {timeout!r:.40}; give seconds above 0, up to {longest:g}")
    for name in ("files", "fetch_files"):
        if fields.get(name):
            raise InputError(f"{name} is given; this server hands no files to programs")
    memory = fields.get("memory_limit_MB") or 0
    if type(memory) not in (int, float) or memory > memory_mb:
        raise InputError(f"memory_limit_MB is {memory!r:.40}; programs have {memory_mb} here (--memory-mb)")
    test = json.dumps({"inputs": [stdin or ""], "outputs": [""]})
    return Program(code, test, kind="program", timeout=timeout, max_output=MAX_STDOUT + 1)


def response(verdict: Verdict) -> dict[str, Any]:
    """SandboxFusion's answer. The verdict's comparison with an empty output does not matter."""
    stdout, stderr = json.loads(verdict.output) if verdict.output else ("", "")
    if verdict.status == "INFRA" or len(stdout) > MAX_STDOUT:
        told = verdict.reason if verdict.status == "INFRA" else f"it printed more than {MAX_STDOUT:,} characters"
        return {"status": "SandboxError", "message": told, "compile_result": None, "run_result": None, "files": {}}
    ended, late = verdict.kind in ("pass", "wrong"), verdict.kind == "timeout"
    reason = verdict.reason.removesuffix(" (case 1)")
    code = EXIT.search(reason)
    run = {
        "status": "TimeLimitExceeded" if late else "Finished",
        "execution_time": verdict.seconds,
        "return_code": None if late else 0 if ended else int(code[1]) if code else 1,
        "stdout": stdout,
        "stderr": stderr if ended else f"{stderr}{reason.partition(': ')[2] or reason}\n",
    }
    status = "Success" if ended else "Failed"
    return {"status": status, "message": "", "compile_result": None, "run_result": run, "files": {}}
