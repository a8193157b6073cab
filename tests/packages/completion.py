"""Completion in bash, zsh and fish: each shell reads its script and offers what the program offers.

completion.py PGKEEL CONFIGURATION"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

BASH = """
source "$SCRIPT"
compopt() { :; }
COMP_WORDS=("$PGKEEL" {words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_pgkeel
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# The function that the shell would call, with what it would find; compdef and _describe belong to zsh's own system.
ZSH = """
compdef() {{ : }}
compset() {{ : }}
_describe() {{ print -l -- "${{candidates[@]%%:*}}" }}
_files() {{ print -l -- files "$@" }}
words=("$PGKEEL" {words})
CURRENT=${{#words}}
source "$SCRIPT"
_pgkeel
"""
FISH = 'source $SCRIPT; complete -C "pgkeel {line}"'

# (words of the command line; what is offered of it, among other things or nothing else)
CASES = [
    (["sw"], {"switchover"}),
    (["switchover", ""], {"orders"}),
    (["switchover", "--config", "CONFIG", ""], {"orders"}),
    (["switchover", "--config", "CONFIG", "orders", "--to", ""], {"a", "b"}),
    (["rejoin", "--config", "CONFIG", "orders", ""], {"a", "b"}),
    (["completion", ""], {"bash", "zsh", "fish"}),
    (["switchover", "orders", "--y"], {"--yes"}),
]


def quoted(words):
    return " ".join("'" + word + "'" for word in words)


def offered(shell, words, environment):
    if shell == "bash":
        command = ["bash", "--norc", "-c", BASH.replace("{words}", quoted(words)).replace("{{", "{").replace("}}", "}")]
    elif shell == "zsh":
        command = ["zsh", "-f", "-c", ZSH.replace("{words}", quoted(words)).replace("{{", "{").replace("}}", "}")]
    else:
        command = ["fish", "--no-config", "-c", FISH.replace("{line}", " ".join(words))]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return {line.split("\t")[0] for line in run.stdout.splitlines() if line}, run.stderr


def main():
    pgkeel, config = pathlib.Path(sys.argv[1]), sys.argv[2]
    shells = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for shell in shells:
            script = pathlib.Path(folder) / f"completion.{shell}"
            script.write_text(subprocess.run([pgkeel, "completion", shell], capture_output=True, text=True, check=True).stdout)
            # fish looks for the program by its name.
            environment = {"SCRIPT": str(script), "PGKEEL": str(pgkeel), "HOME": folder, "TERM": "dumb",
                           "PATH": f"{pgkeel.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
            for case, expected in CASES:
                words = [word.replace("CONFIG", config) for word in case]
                if "CONFIG" not in " ".join(case) and "orders" in expected:
                    expected = set()  # there is no configuration at the default place
                got, complaint = offered(shell, words, environment)
                if got != expected:
                    problems.append(f"{shell}: {case}: {sorted(got)} instead of {sorted(expected)} {complaint}")
        words_of_file = [str(pathlib.Path(folder) / "comp")]
        got, _ = offered("bash", ["check", "--config", *words_of_file],
                         {"SCRIPT": folder + "/completion.bash", "PGKEEL": str(pgkeel), "PATH": "/usr/bin:/bin"})
        if f"{folder}/completion.bash" not in got:
            problems.append(f"bash: files are not offered for --config: {sorted(got)}")
    print("\n".join(problems) or f"{len(CASES)} cases in {', '.join(shells)}")
    return 1 if problems else 0


sys.exit(main())
