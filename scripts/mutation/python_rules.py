"""The mutants of a Python file: each is one operator, number, condition or statement changed."""

import ast
import re

from mutation.mutant import Mutant

OPERATORS = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    **{"is not": "is", "is": "is not", "not in": "in", "in": "not in"},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "**": "*"},
    **{"<<": ">>", ">>": "<<", "@": "*"},
    **{"and": "or", "or": "and", "&": "|", "|": "&"},
}
OPERATOR = re.compile(
    r"is\s+not|not\s+in|\bis\b|\bin\b|\band\b|\bor\b|<<|>>|<=|>=|==|!=|//|\*\*|[<>+\-*/%&|]"
)
CALLS = {
    **{"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum"},
    **{"maximum": "minimum", "reduce_sum": "reduce_max", "logical_and": "logical_or"},
    **{"logical_or": "logical_and", "reduce_any": "reduce_all", "reduce_all": "reduce_any"},
    **{"isnan": "isinf", "floor": "ceil", "ceil": "floor", "exp": "expm1", "log": "log1p"},
}


def mutants(file: str, text: str) -> list[Mutant]:
    walk = _Walk(file, text)
    walk.visit(ast.parse(text))
    return sorted(set(walk.found))


class _Walk(ast.NodeVisitor):
    def __init__(self, file: str, text: str):
        self.file, self.text = file, text
        lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line))
        self.bytes = [line.encode() for line in lines]
        self.found: list[Mutant] = []

    def at(self, line: int, column: int) -> int:
        """An offset into the text, of ast's columns, which count bytes."""
        return self.starts[line - 1] + len(self.bytes[line - 1][:column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def add(self, start: int, end: int, replacement: str, rule: str) -> None:
        if self.text[start:end] != replacement:
            self.found.append(Mutant(self.file, start, end, replacement, rule))

    def replace(self, node: ast.expr | ast.stmt, replacement: str, rule: str) -> None:
        self.add(*self.span(node), replacement, rule)

    def operator_between(self, left: ast.expr, right: ast.expr, rule: str) -> None:
        start, end = self.span(left)[1], self.span(right)[0]
        match = OPERATOR.search(self.text, start, end)
        if match:
            other = OPERATORS.get(re.sub(r"\s+", " ", match[0]))
            if other:
                self.add(match.start(), match.end(), other, rule)

    def negate(self, test: ast.expr) -> None:
        start, end = self.span(test)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.replace(test, f"({self.text[slice(*self.span(test.operand))]})", "condition")
        else:
            self.add(start, end, f"(not ({self.text[start:end]}))", "condition")

    # What is not looked into: types, texts, and what only a type checker reads.

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        pass

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if any("overload" in ast.unparse(each) for each in node.decorator_list):
            return
        for child in (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(child)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in (
            "list",
            "dict",
            "tuple",
            "Callable",
        ):
            return  # a type
        self.generic_visit(node)

    # The rules.

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
            self.operator_between(left, right, "comparison")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = (ast.Constant, ast.JoinedStr)
        parts = [each for each in (node.left, node.right) if isinstance(each, texts)]
        if not any(isinstance(getattr(each, "value", ""), str) for each in parts):
            self.operator_between(node.left, node.right, "arithmetic")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.operator_between(left, right, "logic")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        operand = self.text[slice(*self.span(node.operand))]
        if isinstance(node.op, ast.Not):
            self.replace(node, f"bool({operand})", "negation")
        elif isinstance(node.op, ast.USub | ast.Invert):
            self.replace(node, operand, "negation")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value), "constant")
        elif isinstance(node.value, int):
            self.replace(node, str(node.value + 1), "number")
        elif isinstance(node.value, float):
            self.replace(node, repr(node.value * 2 + (node.value == 0)), "number")

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            return
        self.negate(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.operator_between(node.target, node.value, "arithmetic")
        self.replace(node, "pass", "statement")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.replace(node, "pass", "statement")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass", "statement")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and ast.unparse(node.value) != "None":
            self.replace(node, "return None", "return")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        if name in CALLS:
            end = self.span(function)[1]
            self.add(end - len(name), end, CALLS[name], "call")
        if name == "where" and len(node.args) == 3:
            (a, b), (c, d) = map(self.span, node.args[1:])
            swapped = self.text[c:d] + self.text[b:c] + self.text[a:b]
            self.add(a, d, swapped, "arms")
        self.generic_visit(node)
