"""Code blocks of a page of documentation, and how each is run.

```python     run in order, all of a page in one namespace; a block that begins with `# name.py` is
              also that file.  An HTML comment that begins with `<!-- python` is run like one, unseen.
```console    `$ command`, with the output it must have below, or none where it does not matter;
              "..." stands for any text.  Lines that end in a backslash go on.
```mlir       read and verified, in the dialects that are installed.
```c          compiled, with the headers of the page's folder.
```toml       read.
```text       not code.
"""

import builtins
import contextlib
import doctest
import io
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs
from markdown_it import MarkdownIt

from vertebra.core import cli, compile, select, toolchain

ROOT = Path(__file__).parents[2]
OURS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNSEEN = "<!-- python\n"
_SAME = doctest.OutputChecker()
_LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@attrs.frozen
class Block:
    """A code block.  kind: its first word, "" without one.  line: of its text, counted from 1."""

    kind: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The code blocks of a page in order, those in lists and quotations too."""
    for token in MarkdownIt("commonmark").parse(page):
        first = token.map[0] if token.map else 0
        if token.type == "fence":
            yield Block((token.info.split() or [""])[0], token.content, first + 2)
        elif token.type == "code_block":
            yield Block("", token.content, first + 1)
        elif token.type == "html_block" and token.content.startswith(UNSEEN):
            yield Block("python", token.content.removeprefix(UNSEEN).rsplit("-->", 1)[0], first + 2)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, expected output) of a console block."""
    lines = text.splitlines()
    assert lines[0].startswith("$ "), f"a console block begins with '$ ', not {lines[0]!r}"
    while lines:
        command = lines.pop(0).removeprefix("$ ")
        while command.endswith("\\"):
            command = command[:-1] + lines.pop(0).strip()
        output = []
        while lines and not lines[0].startswith("$ "):
            output.append(lines.pop(0) + "\n")
        yield command, "".join(output)


class Reader:
    """Somebody who does what a page says, in `folder`, which has the checkout's examples.

    Packages that the page installs go to a folder of their own; from then on programs are processes.
    """

    def __init__(self, page: Path, folder: Path):
        self.page, self.folder = page, folder
        self.module = ModuleType(f"page_{page.stem}")
        self.site = folder / ".site"
        folder.mkdir(exist_ok=True)
        (folder / "examples").symlink_to(ROOT / "examples")

    def read(self) -> None:
        """Runs all blocks; an error names the block's line."""
        before, path = Path.cwd(), list(sys.path)
        sys.modules[self.module.__name__] = self.module
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            for block in blocks(self.page.read_text()):
                run = getattr(self, f"run_{block.kind}", None)
                assert run, f"{self.page.name}:{block.line}: a code block says what it is: {__doc__}"
                try:
                    run(block)
                except Exception as error:
                    error.add_note(f"{self.page.name}:{block.line}")
                    raise
        finally:
            os.chdir(before)
            sys.path[:] = path
            del sys.modules[self.module.__name__]

    def run_python(self, block: Block) -> None:
        """Triton reads a kernel's source from its file, so there is one, with the page's line numbers."""
        first = block.text.splitlines()[0]
        if first.startswith("# ") and first.endswith(".py"):
            Path(first[2:]).write_text(block.text)
        file = Path(f"{self.page.stem}_{block.line}.py")
        file.write_text("\n" * (block.line - 1) + block.text)
        exec(compile_python(file), vars(self.module))

    def run_console(self, block: Block) -> None:
        for command, expected in commands(block.text):
            words = shlex.split(command, comments=True)
            settings = {}
            while "=" in words[0]:
                name, _, value = words.pop(0).partition("=")
                settings[name] = value
            if not words:
                os.environ.update(settings)  # the tests restore it
                continue
            run = getattr(self, f"command_{words[0]}", None)
            assert run, f"no page can say {words[0]}: add what it means to {Path(__file__).name}"
            with _environment(settings):
                output = run(words[1:])
            if expected and not _SAME.check_output(expected, output, _LOOSELY):
                raise AssertionError(f"$ {command}\n{output}\ninstead of\n{expected}")

    def run_mlir(self, block: Block) -> None:
        compile.render(block.text, "ttir", select.current_core(), filename=self.page.name)

    def run_c(self, block: Block) -> None:
        (self.folder / "block.c").write_text(block.text)
        toolchain.run_compiler(["-c", "-Wall", "-Werror", "-I.", "block.c", "-o", "block.o"])

    def run_toml(self, block: Block) -> None:
        tomllib.loads(block.text)

    def run_text(self, block: Block) -> None:
        pass

    def command_vertebra(self, words: list[str]) -> str:
        if self.site.exists():
            return self._process(["-m", "vertebra.core.cli", *words])
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = cli.main(words)
        assert code == 0, output.getvalue()
        return output.getvalue()

    def command_python(self, words: list[str]) -> str:
        if words[0] == "-m" or self.site.exists():
            return self._process(words)
        output, before = io.StringIO(), sys.argv
        sys.argv = words
        try:
            with contextlib.redirect_stdout(output):
                runpy.run_path(words[0], run_name="__main__")
        finally:
            sys.argv = before
        return output.getvalue()

    def command_pytest(self, words: list[str]) -> str:
        """The suite is run elsewhere: here the core has to be there.  Tests of a folder are run."""
        if "--vertebra-core" in words:
            return self.command_vertebra(["tiles", "--core", words[words.index("--vertebra-core") + 1]])
        return self._process(["-m", "pytest", "-q", "-p", "no:cacheprovider", *words])

    def command_bash(self, words: list[str]) -> str:
        """Scripts that set up environments are not run by tests, which are run by them."""
        subprocess.run(["bash", "-n", ROOT / words[0]], check=True)
        return ""

    def command_cd(self, words: list[str]) -> str:
        os.chdir(*words)
        return ""

    def command_pip(self, words: list[str]) -> str:
        """What is in a folder is installed beside the tests; of what is on an index the name is looked at."""
        assert words[0] in ("install", "uninstall")
        for wanted in (word for word in words[1:] if not word.startswith("-")):
            source = Path(wanted.partition("[")[0]).resolve()
            if (source / "pyproject.toml").exists():
                copy = self.folder / f".{source.name}"  # a build leaves files beside its source
                shutil.copytree(source, copy)
                place = ["--no-deps", "--no-build-isolation", "--target", str(self.site)]
                self._process(["-m", "pip", "install", "--quiet", *place, str(copy)])
            else:
                assert wanted.startswith(("vertebra", ".")), f"{wanted} is neither ours nor a folder"
                extras = set(filter(None, wanted.partition("[")[2].rstrip("]").split(",")))
                assert extras <= set(OURS["optional-dependencies"]), wanted
        return ""

    def _process(self, words: list[str]) -> str:
        path = os.pathsep.join([str(self.site), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def compile_python(file: Path):
    """The code of `file`, under its own name."""
    return builtins.compile(file.read_text(), str(file.resolve()), "exec")


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    select.set_core(None)  # which reads the environment again
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        select.set_core(None)
