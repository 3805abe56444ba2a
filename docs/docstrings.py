"""Docstrings, which are written with the conventions of Markdown, as reStructuredText."""

import re
from collections.abc import Iterator

CODE = re.compile(r"(?<![`:])`([^`]+)`(?!`)(\w?)")
STAR = re.compile(r"(?<=[(\[, ])\*(?=\w)(?![\w, ]*:)")


def process_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Convert the lines of a docstring, before napoleon reads its sections."""
    lines[:] = converted(lines)


def converted(lines: list[str]) -> list[str]:
    """Code in single backquotes, tables and stars as reStructuredText; doctests as they are.

    >>> converted(["Two `State`s of `(*batch, dim)`.", ">>> f(*x)"])
    ['Two ``State``\\\\ s of ``(*batch, dim)``.', '>>> f(*x)']
    """
    blocks: list[tuple[bool, list[str]]] = []
    in_doctest = False
    for line in lines:
        in_doctest = line.lstrip().startswith(">>>") or (in_doctest and bool(line.strip()))
        if not blocks or blocks[-1][0] != in_doctest:
            blocks.append((in_doctest, []))
        blocks[-1][1].append(line)
    result: list[str] = []
    for is_doctest, block in blocks:
        result += (
            block if is_doctest else inline("\n".join([*tables([*block, ""])][:-1])).split("\n")
        )
    return result


def inline(text: str) -> str:
    """Code between single backquotes becomes a literal; other stars are escaped."""
    parts, end = [], 0
    for match in CODE.finditer(text):
        parts.append(STAR.sub(r"\\*", text[end : match.start()]))
        parts.append(f"``{match[1]}``" + (f"\\ {match[2]}" if match[2] else ""))
        end = match.end()
    return "".join([*parts, STAR.sub(r"\\*", text[end:])])


def tables(lines: list[str]) -> Iterator[str]:
    """Tables of Markdown, of lines that end with an empty one, become list tables."""
    rows: list[list[str]] = []
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("|") and stripped.endswith("|") and len(stripped) > 1:
            rows.append([cell.strip() for cell in stripped.strip("|").split("|")])
            indent = line[: len(line) - len(line.lstrip())]
            continue
        if rows:
            yield from list_table([row for row in rows if set("".join(row)) - set("-: ")], indent)
            rows = []
        yield line


def list_table(rows: list[list[str]], indent: str) -> Iterator[str]:
    yield from ("", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", "")
    for row in rows:
        for number, cell in enumerate(row):
            yield f"{indent}   {'*' if number == 0 else ' '} - {cell}"
    yield ""
