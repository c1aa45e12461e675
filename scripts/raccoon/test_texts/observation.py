"""Whether a test can tell an object of the code from a copy of it: by its text alone, and "yes" where unsure.

Where it cannot, lists and the like cross by value, which is faster. It can if it uses `is`, changes a result or an
argument in place, or reads one after the code has run again: the code may have changed it, or may return one object
twice. A test of the usual form, `assert f([1, 2]) == 3`, can do none of it.
"""

import ast

from raccoon.test_texts.needs import MUTATORS, Results

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
LOOPS = (ast.For, ast.While, ast.AsyncFor)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TABLES = {"zip", "enumerate", "range"}  # functions that only walk over their arguments


def tells_copies(tree: ast.Module, results: Results) -> bool:
    """Whether a test may tell an object of the code from its copy."""
    return _Observer(tree, results).tells()


class _Observer:
    """What a test does with arguments and results of the code, by name and place."""

    def __init__(self, tree: ast.Module, results: Results):
        self.results = results
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        nodes = list(ast.walk(tree))
        self.nodes = nodes
        self.parameters = {a.arg for n in nodes if isinstance(n, (*FUNCTIONS, ast.Lambda)) for a in _arguments(n)}
        self.helpers = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS)}
        self.loads: dict[str, list[ast.Name]] = {}
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.loads.setdefault(node.id, []).append(node)
        self.calls = [node for node in nodes if isinstance(node, ast.Call) and self._calls_the_code(node)]

    def tells(self) -> bool:
        if any(self._compares_identity(node) or self._changes_in_place(node) for node in self.nodes):
            return True
        if any(self._hands_the_code_over(name) for name in self.results.sources):
            return True
        statements = [self._statement(call) for call in self.calls]
        if len(set(map(id, statements))) < len(statements):  # a result is held while the code runs again
            return True
        return any(map(self._is_held, self.calls)) or self._reads_results_later()

    def _calls_the_code(self, node: ast.Call) -> bool:
        if not isinstance(node.func, ast.Name):
            return self.results.has(node.func)
        name = node.func.id
        return name in self.results.sources or name in self.results.names or name in self.parameters

    def _compares_identity(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return not all(isinstance(side, ast.Constant) for side in node.comparators)
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("id", "vars")

    def _changes_in_place(self, node: ast.AST) -> bool:
        """Whether this changes something that may be an argument or a result, or hold one."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            return True
        changing = (ast.Store, ast.Del)
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, changing):
            return True
        return isinstance(node, ast.AugAssign) and not isinstance(node.value, ast.Constant)

    def _hands_the_code_over(self, name: str) -> bool:
        """Whether a function of the code is used other than by calling it, or by `check(name)` of the test's own."""
        for node in self.loads.get(name, []):
            parent = self.parents[node]
            if isinstance(parent, ast.Call) and node is not parent.func:
                if not (isinstance(parent.func, ast.Name) and parent.func.id in self.helpers):
                    return True
            elif not isinstance(parent, ast.Call):
                return True
        return False

    def _statement(self, node: ast.AST) -> ast.stmt:
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def _is_held(self, call: ast.Call) -> bool:
        """Whether an argument or the result of a call may be seen again after the code has run once more."""
        above, node = [], call
        while node in self.parents:
            node = self.parents[node]
            above.append(node)
        if any(isinstance(node, (*COMPREHENSIONS, ast.ClassDef, ast.NamedExpr, ast.While)) for node in above):
            return True
        function = next((node for node in above if isinstance(node, FUNCTIONS)), None)
        if function is not None and not self._runs_once(function):
            return True
        handed = [*call.args, *(keyword.value for keyword in call.keywords)]
        names = [node for given in handed for node in ast.walk(given) if isinstance(node, ast.Name)]
        attributes = any(isinstance(node, ast.Attribute) for given in handed for node in ast.walk(given))
        return attributes or any(self._is_seen_again(node, above) for node in names)

    def _runs_once(self, function: ast.AST) -> bool:
        """Whether a function of the test is only called as a statement of its own, such as `check(f)`."""
        uses = self.loads.get(function.name, [])
        calls = [self.parents[use] for use in uses]
        return all(isinstance(call, ast.Call) and isinstance(self.parents[call], ast.Expr) for call in calls)

    def _is_seen_again(self, name: ast.Name, above: list[ast.AST]) -> bool:
        """Whether the value of a name in an argument may be read after the call, or be an argument twice."""
        bindings = [node for node in self.nodes if isinstance(node, (ast.Assign, ast.For)) and _binds(node, name.id)]
        if name.id not in self.parameters and not bindings:
            return False  # a builtin function or a name of the context
        if all(isinstance(node, ast.Assign) and _is_constant(node.value) for node in bindings) and bindings:
            return name.id in self.parameters
        if len(self.loads[name.id]) > 1 or name.id in self.parameters or len(bindings) != 1:
            return True
        [binding] = bindings
        inner = next((node for node in above if isinstance(node, LOOPS)), None)
        if isinstance(binding, ast.For):
            return binding is not inner or not self._is_table(binding.iter)
        return inner is not None or not _is_fresh(binding.value)

    def _is_table(self, node: ast.AST) -> bool:
        """Whether a loop goes over a literal, or over a variable with a literal that nothing else reads."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TABLES:
            return all(map(self._is_table, node.args))
        if isinstance(node, ast.Name) and len(self.loads[node.id]) == 1:
            values = [n.value for n in self.nodes if isinstance(n, ast.Assign) and _binds(n, node.id)]
            return len(values) == 1 and self._is_table(values[0])
        return _is_fresh(node)

    def _reads_results_later(self) -> bool:
        """Whether a variable with a result is read after the next call of the code, by the order of the text."""
        places = sorted((call.lineno, call.col_offset) for call in self.calls)
        bound: dict[str, list[tuple]] = {}
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in self.results.names:
                statement = self._statement(node)
                bound.setdefault(node.id, []).append((statement.end_lineno, statement.end_col_offset))
                if isinstance(statement, (*LOOPS, ast.With)):
                    return True
        for name, ends in bound.items():
            for load in self.loads.get(name, []):
                before = [end for end in ends if end <= (load.lineno, load.col_offset)]
                if not before or any(max(before) < place < (load.lineno, load.col_offset) for place in places):
                    return True
        return False


def _arguments(function: ast.AST) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


def _binds(node: ast.Assign | ast.For, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(inner, ast.Name) and inner.id == name for target in targets for inner in ast.walk(target))


def _is_constant(node: ast.AST) -> bool:
    """Whether an expression gives a value that cannot be changed."""
    allowed = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
    return all(isinstance(inner, allowed) for inner in ast.walk(node))


def _is_fresh(node: ast.AST) -> bool:
    """Whether an expression gives an object that has no other name."""
    return not any(isinstance(inner, (ast.Name, ast.Attribute)) for inner in ast.walk(node))
