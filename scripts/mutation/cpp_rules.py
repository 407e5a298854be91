"""The mutants of a C++ file. clang-format's spaces tell operators from brackets and pointers."""

import re

from mutation.mutant import Mutant

OPERATORS = {
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    **{"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "&&": "||", "||": "&&"},
    **{"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "&": "|", "|": "&", "|=": "&=", "&=": "|="},
}
OPERATOR = re.compile(r"(?<= )(<=|>=|==|!=|&&|\|\||\+=|-=|\*=|/=|\|=|&=|[<>+\-*/%&|])(?= )")
WORDS = {
    **{"true": "false", "false": "true", "std::min": "std::max", "std::max": "std::min"},
    **{"Min": "Max", "Max": "Min", "Exp": "Log", "Log": "Exp", "Log1p": "Log"},
    **{"IsNaN": "IsInf", "Floor": "Ceil"},
}
WORD = re.compile(r"\b(?:" + "|".join(map(re.escape, WORDS)) + r")\b")
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
NEGATION = re.compile(r"(?<=[(\s])!(?=[A-Za-z_(])")
CONDITION = re.compile(r"\b(?:if|while) \(")
STATEMENT = re.compile(
    r"^[ \t]+(?!return\b|using\b|else\b)[\w.:\->\[\]*]+(?:\(.*\)| [+\-*/|&]?= .*);$", re.M
)
SELECT = re.compile(r"\bSelect\(")
HIDDEN = re.compile(
    r"R\"(\w*)\(.*?\)\1\""  # a raw string, such as the documentation of a function
    r"|//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"
    r"|^[^\n]*\b(?:static_assert|template|using|namespace)\b[^\n]*",
    re.M | re.S,
)


def mutants(file: str, text: str) -> list[Mutant]:
    code = HIDDEN.sub(lambda match: re.sub(r"[^\n]", "~", match[0]), text)
    found = []

    def add(start: int, end: int, replacement: str, rule: str) -> None:
        found.append(Mutant(file, start, end, replacement, rule))

    for match in OPERATOR.finditer(code):
        rule = "comparison" if match[0] in ("<", "<=", ">", ">=", "==", "!=") else "arithmetic"
        add(*match.span(), OPERATORS[match[0]], "logic" if match[0] in ("&&", "||") else rule)
    for match in WORD.finditer(code):
        add(*match.span(), WORDS[match[0]], "word")
    for match in NUMBER.finditer(code):
        number = float(match[0])
        changed = str(int(match[0]) + 1) if match[0].isdigit() else repr(number * 2 + (number == 0))
        add(*match.span(), changed, "number")
    for match in NEGATION.finditer(code):
        add(*match.span(), "", "negation")
    for match in CONDITION.finditer(code):
        end = _closing(code, match.end() - 1)
        condition = text[match.end() : end]
        if ";" not in condition and "=" not in re.sub(r"[<>=!]=", "", condition):
            add(match.end(), end, f"!({condition})", "condition")
    for match in STATEMENT.finditer(code):
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        add(start, match.end(), ";", "statement")
    for match in SELECT.finditer(code):
        parts = _arguments(code, match.end() - 1)
        if len(parts) == 3:
            (a, b), (c, d) = parts[1:]
            add(a, d, text[c:d] + text[b:c] + text[a:b], "arms")
    return sorted(set(found))


def _closing(code: str, opening: int) -> int:
    """Where the bracket closes that opens there."""
    return _arguments(code, opening)[-1][1]


def _arguments(code: str, opening: int) -> list[tuple[int, int]]:
    """Where the arguments of a call stand, whose bracket opens there."""
    depth, parts, start = 0, [], opening + 1
    for i in range(opening, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        if (code[i] == "," and depth == 1) or depth == 0:
            lead = len(code[start:i]) - len(code[start:i].lstrip())
            parts.append((start + lead, i))
            start = i + 1
        if depth == 0:
            return parts
    raise AssertionError("no closing bracket")
