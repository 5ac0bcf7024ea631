"""Copy the docstrings of the extension module into its stub, where editors look for them.

The Rust source has the text and the stub has the types. `python stubs.py` writes `_callsheet.pyi` anew, `--check`
fails when that would change it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from callsheet import _callsheet

STUB = Path(__file__).parent / "python/callsheet/_callsheet.pyi"

Documented = ast.ClassDef | ast.FunctionDef


def document(node: Documented, thing: object) -> None:
    """Put the docstring of `thing` into `node`, and so on for what is in it."""
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                document(inner, getattr(thing, inner.name))
    without = [inner for inner in node.body if not is_text(inner)]
    text = getattr(thing, "__doc__", None)
    if text:
        indent = " " * (node.col_offset + 4)
        lines = (indent + line if line and at else line for at, line in enumerate(text.splitlines()))
        body = "\n".join(lines) + (f"\n{indent}" if "\n" in text else "")
        without.insert(0, ast.Expr(ast.Constant(body)))
    node.body = without


def is_text(node: ast.stmt) -> bool:
    """Whether it is a docstring, or the dots that stand for nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def written() -> str:
    """The stub as it is to be."""
    module = ast.parse(STUB.read_text())
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            document(node, getattr(_callsheet, node.name))
            if not node.body:
                node.body = [ast.Expr(ast.Constant(...))]
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.body:
                    inner.body = [ast.Expr(ast.Constant(...))]
    text = ast.unparse(ast.fix_missing_locations(module))
    for command in ["check", "--fix", "--quiet", "--select", "I"], ["format"]:
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(ruff, input=text, text=True, stdout=subprocess.PIPE, check=True).stdout
    return text


if __name__ == "__main__":
    if "--check" not in sys.argv:
        STUB.write_text(written())
    elif STUB.read_text() != written():
        sys.exit(f"{STUB} is out of date: run `python stubs.py`")
