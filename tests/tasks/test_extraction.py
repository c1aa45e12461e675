"""Code in completions: what is taken, what is not, and that hostile text neither raises nor takes long."""

import ast
import textwrap
import time
from dataclasses import replace

import pytest

from raccoon.published.benchmarks import load_benchmark
from raccoon.records import Program
from raccoon.sandbox.pool import Sandbox
from raccoon.tasks.extraction import extract_code, whole_program
from raccoon.tasks.syntax import bound_names, compiles, parse_code, text_above
from raccoon.tasks.task import Task

ADD = Task("t/1", "Add two numbers.", "assert add(1, 2) == 3", "add")
HEADER = "def add(a: int, b: int) -> int:\n"
STUB = Task(
    "t/2",
    f'Complete it.\n\n```python\nimport math\n\n{HEADER}    """Adds.\n\n    ```\n'
    '    add(1, 2)\n    ```\n    """\n```\n',
    "assert add(1, 2) == 3",
    "add",
)
PREDICT = Task(
    "t/3",
    "What?\n\n```python\ndef f(x):\n    return x\n```\n\n```python\ndef predict():\n    return ...\n```\n",
    "assert 1 == predict()",
    "predict",
)
FREE = Task("t/4", "Anything.", "assert x == 1")
DEF = "def add(a, b):\n    return a + b"


def fenced(code: str) -> str:
    return f"```python\n{code}\n```\n"


def quoted(code: str) -> str:
    return textwrap.indent(code, "> ", lambda line: True).rstrip()


def completing(stub: str) -> Task:
    return Task("t/5", f"Complete it.\n\n```python\n{stub}\n```\n", "assert add(1, 2) == 3", "add")


IMPORTING = completing('def add(a, b):\n    import math\n    """\n    Adds.\n    """')
STARTED = completing('def add(a, b):\n    """Adds."""\n    total = a\n    pass')
BUGGY = completing("def add(a, b):\n    c = a - b\n    return c")
DECORATED = completing("from functools import cache\n\n@cache\ndef add(a, b):")
DOCUMENTED = 'def add(a, b):\n    """\n    ```\n    x\n    ```\n    """\n    return a + b'
PLUS = "def plus(a, b):\n    return a + b"
ADD_BY_PLUS = "def add(a, b):\n    return plus(a, b)"
BODY = "    return a + b"
LONG_BODY = "    def plus(x):\n        return x + b\n    return plus(a)"
IN_TRY = "try:\n    def add(a, b): return a + b\nexcept NameError: pass"
EXTRACTIONS = {
    "bare function": (ADD, DEF, DEF),
    "fenced": (ADD, f"Sure!\n{fenced(DEF)}Done.", DEF),
    "py fence": (ADD, f"```py\n{DEF}\n```", DEF),
    "nameless fence": (ADD, f"```\n{DEF}\n```", DEF),
    "tilde fence": (ADD, f"~~~python\n{DEF}\n~~~", DEF),
    "unclosed fence": (ADD, f"Here:\n```python\n{DEF}\n", DEF + "\n"),
    "fence closed on the last line of code": (ADD, f"```python\n{DEF}```\nIt adds.", DEF),
    "opened by the prompt": (ADD, f"{DEF}\n```\nThis adds.", DEF),
    "windows line ends": (ADD, fenced(DEF).replace("\n", "\r\n"), DEF.replace("\n", "\r\n") + "\r"),
    "fence in a list": (ADD, "1. So:\n" + textwrap.indent(fenced(DEF), "   "), DEF),
    "fence inside a docstring": (ADD, fenced(DOCUMENTED), DOCUMENTED),
    "last block that defines it": (ADD, fenced("def add(a, b): return 0") + "Or:\n" + fenced(DEF), DEF),
    "usage after it": (ADD, fenced(DEF) + "Use:\n" + fenced("print(add(1, 2))"), DEF),
    "broken block after it": (ADD, fenced(DEF) + fenced("def add(a, b:\n    return"), DEF),
    "named fence without an end": (ADD, f"```python\nx = 1\n{fenced(DEF)}", DEF),
    "helper in another block": (ADD, fenced(PLUS) + "Then:\n" + fenced(ADD_BY_PLUS), f"{PLUS}\n\n{ADD_BY_PLUS}"),
    "import in another block": (
        ADD,
        fenced("from m import plus") + fenced(ADD_BY_PLUS),
        f"from m import plus\n\n{ADD_BY_PLUS}",
    ),
    "usage is no helper": (
        ADD,
        fenced("c = add(1, 2)") + fenced("def add(a, b):\n    return c"),
        "def add(a, b):\n    return c",
    ),
    "future import stays first": (
        ADD,
        fenced(f"from __future__ import annotations\n{ADD_BY_PLUS}") + fenced(PLUS),
        f"from __future__ import annotations\n{ADD_BY_PLUS}\n\n{PLUS}",
    ),
    "prose around": (ADD, f"Here is the code:\n\n{DEF}\n\nIt's simple, isn't it?", DEF + "\n"),
    "prose announces": (ADD, f"I'd do this:\n{DEF}", DEF),
    "broken code above is no prose": (ADD, f'""import math\n{DEF}\n""', f'""import math\n{DEF}\n""'),
    "trailing asserts are kept": (ADD, f"{DEF}\n\nassert add(1, 1) == 2\n", f"{DEF}\n\nassert add(1, 1) == 2\n"),
    "truncated example is cut": (ADD, f"```python\n{DEF}\n\nprint(add(1,", DEF + "\n"),
    "truncated function is not repaired": (
        ADD,
        "```python\ndef add(a, b):\n    c = a\n    return (c +",
        "def add(a, b):\n    c = a\n    return (c +",
    ),
    "interpreter session": (
        ADD,
        ">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n",
        DEF + "\n\nadd(1, 2)",
    ),
    "all indented": (ADD, textwrap.indent(DEF, "    "), DEF),
    "byte order mark": (ADD, "\ufeff" + DEF, DEF),
    "assigned lambda": (ADD, fenced("add = lambda a, b: a + b"), "add = lambda a, b: a + b"),
    "in a try": (ADD, IN_TRY, IN_TRY),
    "other name only": (ADD, fenced(PLUS), PLUS),
    "name in a string is no definition": (ADD, fenced(DEF) + fenced('x = "def add(a, b):"'), DEF),
    "syntax error is handed on": (ADD, fenced(DEF.replace(":", "")), DEF.replace(":", "")),
    "whole function beside a stub": (STUB, DEF, DEF),
    "indented body": (STUB, BODY, HEADER + BODY),
    "body without indentation": (STUB, "c = a\nreturn c + b", HEADER + "    c = a\n    return c + b"),
    "body whose first line lost its blanks": (STUB, "c = a\n    return c + b", HEADER + "    c = a\n    return c + b"),
    "fenced body": (STUB, fenced(BODY), HEADER + BODY),
    "body that defines a helper": (STUB, LONG_BODY, HEADER + LONG_BODY),
    "body, then prose": (STUB, BODY + "\n\nThis works since it adds.", HEADER + BODY + "\n"),
    "other function is no body": (STUB, PLUS, PLUS),
    "usage is no body": (STUB, fenced("print(add(1, 2))"), "print(add(1, 2))"),
    "no code in prose": (STUB, "I am sorry, but I cannot do that.", ""),
    "nothing": (ADD, "", ""),
    "blank": (STUB, "  \n\n ", ""),
    "empty fence": (ADD, "```python\n```", ""),
    "thinking removed": (ADD, f"<think>\n{fenced('def add(a, b): return 0')}</think>\n{fenced(DEF)}", DEF),
    "thinking opened by the template": (ADD, f"def add(a, b): return 0\n</think>\n{fenced(DEF)}", DEF),
    "thinking never ends": (ADD, f"<think>\n{fenced(DEF)}", ""),
    "local of the function's name": (
        STUB,
        "    add = a + b\n    return add\n",
        HEADER + "    add = a + b\n    return add\n",
    ),
    "such a local in a fence": (STUB, fenced("add = a + b\nreturn add"), HEADER + "    add = a + b\n    return add"),
    "body of several statements at the margin": (
        STUB,
        "if a == 0: return b\nreturn a + b",
        HEADER + "    if a == 0: return b\n    return a + b",
    ),
    "import in the prompt's function": (
        IMPORTING,
        "    return math.hypot(a, b)",
        "def add(a, b):\n    import math\n    return math.hypot(a, b)",
    ),
    "statement in the prompt's function": (
        STARTED,
        "    return total + b",
        "def add(a, b):\n    total = a\n    return total + b",
    ),
    "text at the margin is no body": (IMPORTING, "print(add(1, 2))", "print(add(1, 2))"),
    "a whole function in the prompt is replaced": (BUGGY, "    return a + b", "def add(a, b):\n    return a + b"),
    "decorated stub": (DECORATED, "    return a + b", "@cache\ndef add(a, b):\n    return a + b"),
    "end token": (ADD, f"{DEF}<|endoftext|>", DEF),
    "end token after a body": (STUB, f"{BODY}</s>", HEADER + BODY),
    "end token, then another turn": (ADD, f"{DEF}\n<|im_end|>\n<|im_start|>user\n\n{PLUS}", f"{DEF}\n"),
    "end token in a string": (
        ADD,
        fenced("def add(a, b): return '<|endoftext|>'"),
        "def add(a, b): return '<|endoftext|>'",
    ),
    "end token behind a fence": (ADD, f"{fenced(DEF)[:-1]}<|im_end|>", DEF),
    "quoted": (ADD, f"You asked for:\n\n{quoted(DEF)}\n\nIt adds.", DEF),
    "quoted fence": (ADD, f"So:\n{quoted(fenced(DEF))}", DEF),
    "quoted body": (STUB, quoted(BODY), HEADER + BODY),
    "indented after prose": (ADD, f"Here it is:\n\n{textwrap.indent(DEF, '    ')}\n\nIt adds (1 + 2 = 3).", DEF),
    "indented right below prose": (ADD, f"Here it is:\n{textwrap.indent(DEF, '    ')}", DEF),
    "indented body after prose": (STUB, f"The body is:\n\n{BODY}\n", HEADER + BODY),
    "inline code": (ADD, "It is `def add(a, b): return a + b`.", "def add(a, b): return a + b"),
    "inline body": (STUB, "Use `return a + b`, and `add(1, 2)` is 3.", HEADER + BODY),
    "inline name is no body": (STUB, "The function `add` adds.", ""),
    "broken header above a body": (STUB, f"def add(a, b:\n{BODY}", f"def add(a, b:\n{BODY}"),
    "capital header above a body": (STUB, f"Def add(a, b):\n{BODY}", f"Def add(a, b):\n{BODY}"),
    "body of another language": (STUB, f"function add(a, b) {{\n{BODY}\n}}", f"function add(a, b) {{\n{BODY}\n}}"),
    "inline code beside broken code": (
        STUB,
        f"def add(a, b:\n{BODY}\n\nIt uses `return a + b`.",
        f"def add(a, b:\n{BODY}\n\nIt uses `return a + b`.",
    ),
    "truncated body at the margin": (STUB, "if a == 0: return b\nreturn (a +", "if a == 0: return b\nreturn (a +"),
    "broken body at the margin": (STUB, "if a: return b\nelse\n    return a", "if a: return b\nelse\n    return a"),
    "misspelt word above a body": (STUB, "lse:\n    return a + b", "lse:\n    return a + b"),
    "truncated body, indented": (
        STUB,
        "    if a == 0: return b\n    return (a +",
        "    if a == 0: return b\n    return (a +",
    ),
    "body without its first line": (
        STUB,
        "        return a + b\n    else:\n        return 0",
        "        return a + b\n    else:\n        return 0",
    ),
    "quoted and truncated body": (
        STUB,
        quoted("    if a == 0: return b\n    return (a +"),
        "    if a == 0: return b\n    return (a +",
    ),
    "body at the margin, then prose": (STUB, "return a + b\n\nIt adds.", HEADER + "    return a + b\n"),
    "return outside is not cut away": (ADD, f"{DEF}\n\nreturn add(1, 2)", f"{DEF}\n\nreturn add(1, 2)"),
    "break outside a loop": (ADD, fenced("def add(a, b):\n    break"), "def add(a, b):\n    break"),
    "no entry point": (FREE, f"It is:\n{fenced('x = 1')}or\n```\nsome text\n```", "x = 1"),
    "literal in the stub": (
        PREDICT,
        fenced("def predict():\n    return [1, 2]"),
        "def predict():\n    return ([1, 2])\n",
    ),
    "literal alone": (PREDICT, "'abc'", "def predict():\n    return ('abc')\n"),
    "literal on the last line": (PREDICT, "So:\n\n`'abc'`", "def predict():\n    return ('abc')\n"),
    "tuple without brackets": (PREDICT, "def predict():\n    return 1, -2", "def predict():\n    return (1, -2)\n"),
    "literal over two lines": (
        PREDICT,
        "def predict():\n    return ('a'\n            'b')",
        "def predict():\n    return ('a'\n            'b')\n",
    ),
    "a program is no prediction": (PREDICT, fenced("def f(x): return x\ndef predict():\n    return f(1)"), ""),
    "the dots are no prediction": (PREDICT, "def predict():\n    return ...", ""),
}


@pytest.mark.parametrize("task, completion, code", EXTRACTIONS.values(), ids=EXTRACTIONS)
def test_extraction(task, completion, code):
    assert extract_code(completion, task) == code


# Text in the fence, above the function: the code part alone is the answer.
BESIDE = {
    "prose": "Here is the function.",
    "announcement": "Here is:",
    "one word": "Solution:",
    "exclamation": "Sure!",
    "long prose": "The function below adds its two arguments and returns the sum.",
    "prose with a call": "The function add(a, b) returns the sum.",
    "prose with code": "It uses `a + b` to add.",
    "bold": "**Solution:**",
    "list": "1. First we define it.",
    "bullet": "- It adds two numbers.",
    "question": "What does it do?",
    "keyword in prose": "For example, this works:",
    "quotes": 'It "adds" the numbers.',
    "another language": "\u4e0b\u9762\u662f\u4ee3\u7801\uff1a",
    "french": "Voici la fonction demand\u00e9e :",
    "language": "python",
    "capital language": "Python",
    "version": "python3",
    "short language": "py",
    "colon": "Python:",
    "file": "solution.py",
    "path": "src/my-app/solution.py",
    "file, bold": "**solution.py**",
    "file, code": "`main.py`",
    "file, named": "File: main.py",
    "file, colon": "main.py:",
    "command": "$ python solution.py",
    "no capital": "to add two numbers",
    "no full stop": "sure, here you go",
    "two words": "Here is",
    "emoji": "\u2705 Solution 1:",
    "other language": "bash",
    "word": "solution",
    "word, colon": "answer:",
    "rule": "-----",
    "tag": "[PYTHON]",
    "cell": "In [1]:",
    "installation": "pip install numpy",
    "call of a file": "python3 solution.py",
    "complexity": "Time complexity: O(1)",
    "dash": "Explanation -",
    "two lines": "python\nHere is the function:",
    "blank line": "python\n\n",
    "blank line above": "\npython",
}


@pytest.mark.parametrize("text", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("task", [ADD, STUB], ids=["words", "stub"])
def test_text_in_the_fence_above_the_function(task, text):
    for below in ("", "\n\nThis adds the two numbers.", "\n\nThis adds the two numbers.\n\nprint(add(1, 2))\n"):
        code = extract_code(f"Sure.\n```python\n{text}\n{DEF}{below}\n```\n", task)
        space = {}
        exec(code, space)  # as one would paste it
        assert space["add"](1, 2) == 3


INSIDE = {
    "prose between helper and function": f"{PLUS}\n\nNow the function itself.\n\n{ADD_BY_PLUS}",
    "helper below": f"{ADD_BY_PLUS}\n\nThe helper is:\n\n{PLUS}",
    "import above": "Imports first.\nimport operator\n\nThen this:\ndef add(a, b):\n    return operator.add(a, b)",
    "two versions": "def add(a, b):\n    return 0\n\nThat is wrong. Better:\n\n" + DEF,
    "broken first version": "def add(a, b) return a\n\nThat does not run. Fixed:\n\n" + DEF,
    "output": f"{DEF}\n\nprint(add(1, 2))\n\nThe output is as follows:\n\n3 (three)",
    "text in a docstring": 'def add(a, b):\n    """\nAdds the two numbers.\n    """\n    return a + b\n\nprint(add(1,',
    "truncated after prose": f"Here it is.\n{DEF}\n\nprint(add(1,",
}


@pytest.mark.parametrize("block", INSIDE.values(), ids=INSIDE)
def test_prose_in_the_middle_of_a_block(block):
    space = {}
    exec(extract_code(fenced(block), ADD), space)
    assert space["add"](1, 2) == 3


@pytest.mark.parametrize(
    "broken",
    [
        "form math import sqrt",
        "From math import sqrt",
        "imprt math",
        "Import math",
        "X = = 1",
        "print 'this is it'",
        "Print 'This is it.'",
        "raise ValueError, 'This is bad.'",
        "Class Adder:",
        "class adder",
        "LIMIT := 5",
        "x + 'a",
        "a = b c",
        "retrun a",
        "for x in y:",
        "try:",
        "pass\n  x",
        "lambda x y",
        "please import the module",
        "else:",
        "Else:",
        "elif a:",
        "add(a, b) {",
        "int add(int a, int b);",
        "var x = 1;",
        "(",
        "'''This begins a text.",
        "def helper(a, b) return a",
        "for x in y",
        "if this is that:",
        "Try:\n    x = 1",
        "If a is b:\n    x = 1",
        "Adder is here:\n    x = 1",
        "def f(x):\n    for y in x:\nFalse   return\n    return True",
        "def f(items):\nitems: in for item\n    return 1",
    ],
)
def test_broken_code_above_the_function_is_no_text(broken):
    """Plain Python refuses the block, and so does the sandbox: the line is not cut away."""
    assert not compiles(extract_code(fenced(f"{broken}\n{DEF}"), ADD))


def test_text_of_a_block_that_parses_stays():
    block = f'NOTE = """\nThis is a text.\n"""\n{DEF}'
    assert extract_code(fenced(block), ADD) == block


def test_a_program_with_prose_in_its_block_is_whole():
    task = Task("t/6", "Read.", "{}", kind="program")
    block = "First the function.\ndef solve():\n    print(int(input()) + 1)\n\nThen we call it.\nsolve()"
    assert extract_code(fenced(block), task) == "def solve():\n    print(int(input()) + 1)\n\nsolve()"


def test_a_label_without_a_fence():
    assert extract_code(f"python\n{DEF}", ADD) == DEF
    assert extract_code(f"solution.py\n\n{DEF}\n", ADD) == f"{DEF}\n"


def nested_finally(depth: int) -> str:
    """A program whose bytecode doubles with every level."""
    lines = ["def add(a, b):"]
    for level in range(1, depth + 1):
        lines += [" " * level + "try:", " " * level + " a", " " * level + "finally:"]
    return "\n".join(lines + [" " * (depth + 1) + "a"] * 100) + "\n"


@pytest.mark.parametrize("task", [ADD, STUB, PREDICT], ids=lambda task: task.task_id)
@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "[{(",
        "```\n",
        "```python\n",
        "```python\nx = 1\n```\n",
        "~",
        "`",
        " ",
        "\n",
        "\0",
        "\ud800",
        "<think>",
        "</think>",
        "def f(:\n",
        DEF + "\n",
        "import x\n!\n\n",
        ">>> a = 1\n",
        "return (\n",
        "a.",
        "python\n",
        "A b c.\n",
        "A b c:\n\n\n",
        "```\nA b.\n(\n",
        "'",
        "a.py",
        "-",
        "x = '\\d'\n",
        "> ",
        ">\n",
        "    return a\nA b\n",
        "`return a` ",
        "`a``",
        "<|end|>\n",
        "<|end",
        "lambda: ",
        "[x for x in y]\n",
        nested_finally(17),
    ],
)
def test_hostile_completions_neither_raise_nor_take_long(task, unit):
    started = time.process_time()
    for size in (90_000, 1_000_000):
        assert isinstance(extract_code(unit * (size // len(unit)), task), str)
    assert time.process_time() - started < 20  # quadratic time would be hours


def test_extraction_is_silent_about_warnings(recwarn):
    assert extract_code("def add(a, b):\n    return '\\d' is a", ADD)
    assert not recwarn.list


@pytest.mark.parametrize(
    "program, whether",
    [
        ("x = 1", True),
        ("return 1", False),
        ("def f():\n    break", False),
        ("def f(a, a): pass", False),
        ("x = 1\nfrom __future__ import annotations", False),
        ("nonlocal x", False),
        ("(" * 300, False),
        ("def f():\n    try:\n        return 1\n    finally:\n        x = 1\nx = f()", True),
        ("try:\n    pass\nfinally:\n    return 1", False),
        ("-" * 50_000 + "1", False),
    ],
)
def test_what_compiles_is_what_python_runs(program, whether):
    assert compiles(program) is whether


def test_a_decorator_of_the_stub_belongs_to_the_function():
    assert text_above("import x\n\n@x.y\ndef add(a, b):", "add") == "import x\n"


@pytest.fixture(scope="module")
def humaneval(data_dir):
    return {task.task_id: task for task in load_benchmark("humaneval", data_dir)}


def verdicts(pairs):
    """The verdict's status on each (task, code)."""
    programs = [Program.of(task, code) for task, code in pairs]
    distinct = list(dict.fromkeys(programs))
    with Sandbox(workers=2) as sandbox:
        found = dict(zip(distinct, sandbox.run(distinct), strict=True))
    return [found[program].status for program in programs]


# What other people's files hold; each passes behind its prompt.
REPORTED = {
    "an import in the prompt's function": (115, "    return sum([math.ceil(sum(arr)/capacity) for arr in grid])\n"),
    "a local of the function's name": (53, "    add = x + y\n    return add\n"),
    "in a fence": (53, "```python\n    add = x + y\n    return add\n```"),
    "another one": (
        47,
        "    median = sorted(l)\n    n = len(median)\n    if n % 2:\n        return median[n // 2]\n"
        "    return (median[n // 2 - 1] + median[n // 2]) / 2\n",
    ),
    "in a loop": (
        113,
        "    res = []\n    for arr in lst:\n        odd_count = str(sum(int(d) % 2 for d in arr))\n"
        "        res.append('the number of odd elements in the string i of the input.'"
        ".replace('i', odd_count))\n    return res\n",
    ),
    "several statements at the margin": (
        66,
        'if s == "": return 0\nreturn sum(ord(char) if char.isupper() else 0 for char in s)',
    ),
    "an indented block after prose": (53, "Here is the function:\n\n    def add(x, y):\n        return x + y\n"),
    "an end token": (53, "    return x + y<|endoftext|>"),
    "a quotation": (53, "> def add(x, y):\n>     return x + y\n"),
    "backticks": (53, "`return x + y`"),
}


def test_completions_that_others_published_pass(humaneval):
    pairs = [(humaneval[f"HumanEval/{number}"], text) for number, text in REPORTED.values()]
    found = verdicts([(task, extract_code(text, task)) for task, text in pairs])
    assert dict(zip(REPORTED, found, strict=True)) == dict.fromkeys(REPORTED, "PASS")


def test_every_published_body_passes_behind_its_stub(humaneval):
    """As it is, at the margin, and strictly behind the whole prompt."""
    ways = []
    for task in humaneval.values():
        body = task.solution.partition(task.prompt.partition("```python\n")[2].rpartition("\n```")[0])[2]
        assert body.strip()
        ways += [
            (task, extract_code(body.removeprefix("\n"), task)),
            (task, extract_code(textwrap.dedent(body), task)),
            (replace(task, context=""), whole_program(body.removeprefix("\n"), task)),
        ]
    assert verdicts(ways) == ["PASS"] * (3 * 164)


def test_a_strict_program_is_the_prompt_and_the_completion(humaneval):
    task = humaneval["HumanEval/53"]
    program = whole_program("    return x + y\n\nThis adds.", task)
    assert program.startswith('def add(x: int, y: int):\n    """Add') and program.endswith("This adds.")
    assert verdicts([(replace(task, context=""), program)]) == ["FAIL"]
    assert whole_program("x", ADD) == "x"


def test_bare_bodies_of_bigcodebench_are_completed(data_dir):
    for task in load_benchmark("bigcodebench_instruct", data_dir)[:100]:
        function = [node for node in parse_code(task.solution).body if getattr(node, "name", "") == task.entry_point][
            -1
        ]
        start = function.body[1 if ast.get_docstring(function) is not None else 0].lineno - 1
        body = "\n".join(task.solution.split("\n")[start:])
        code = extract_code(body, task)
        assert code.endswith(body) and task.entry_point in bound_names(parse_code(code)), task.task_id
