"""The files that lint looks at, and C++ text without its comments and strings."""

import dataclasses
import functools
import pathlib
import re
import subprocess

CODE = (".cpp", ".h")
TEXT = CODE + (".py", ".sh", ".md", ".txt", ".cmake", ".toml", ".json", ".yml", ".yaml", ".sql", ".service")


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int  # 0: the file as a whole
    message: str

    def __str__(self):
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"


class SourceTree:
    """Paths are relative to the root, with '/'."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(self._from_git() or self._from_folders())

    def _from_git(self):
        """What is in the repository or could be added to it; nothing outside a repository."""
        if not (self.root / ".git").exists():
            return []
        listing = subprocess.run(
            ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=False)
        names = listing.stdout.decode().split("\0") if listing.returncode == 0 else []
        return [name for name in names if name and (self.root / name).is_file()]

    def _from_folders(self):
        found = []
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if not name.startswith((".git/", "build/", ".cache/")) and "__pycache__" not in name and path.is_file():
                found.append(name)
        return found

    @functools.cache
    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8", errors="replace")

    @functools.cache
    def code(self, name):
        return without_comments_and_strings(self.text(name))

    def with_suffix(self, suffixes):
        return [name for name in self.files if name.endswith(suffixes)]

    def scripts(self):
        """Executable texts without a suffix: tests/run, deploy/demo, …"""
        return [name for name in self.files
                if "." not in name.rsplit("/", 1)[-1] and self.text(name).startswith("#!")]


TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/            # comments
      | R"(?P<mark>[^\s()\\"]*)\(.*?\)(?P=mark)"   # raw strings
      | "(?:\\.|[^"\\\n])*"
      | (?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'        # not the ' of 10'000""",
    re.DOTALL | re.VERBOSE)


def without_comments_and_strings(text):
    """Each is replaced by blanks, so that lines stay where they are; the names in #include lines stay."""

    def blank(match):
        line_start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and text[line_start:match.start()].lstrip().startswith("#include"):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())

    return TOKEN.sub(blank, text)
