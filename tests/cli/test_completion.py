"""Completion scripts: they are valid, and bash completes with them what there is."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from handinger_async import cli
from handinger_async.cli.completion import SERVE_OPTIONS, script
from handinger_async.cli.verbs import VERBS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_have_every_verb_and_pass_the_shell(shell: str, capsys: Any) -> None:
    assert cli.main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert text == script(shell)
    for name in VERBS:
        for word in name.split():
            assert re.search(rf"\b{word}\b", text)
    assert "--budget" in text or "-l budget" in text
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=text, text=True, timeout=60, check=True)


def test_texts_of_the_table_can_be_quoted() -> None:
    for shell in ("zsh", "fish"):
        for line in script(shell).splitlines():
            assert line.count("'") % 2 == 0
    texts = [each.settings["help"] for verb in VERBS.values() for each in verb.arguments]
    assert not any("'" in text for text in (*texts, *(verb.summary for verb in VERBS.values())))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ru"], "run"),
        (["wo"], "workers"),
        (["files", ""], "list get"),
        (["files", "get", "--o"], "--out"),
        (["schedules", "add", "--budget", ""], "low standard high unlimited"),
        (["run", "--fi"], "--file"),
        (["run", "--quiet", "--budget", "h"], "high"),
        (["run", ""], ""),
        (["serve", "--le"], "--lenient"),
    ],
)
def test_bash_completes(words: list[str], found: str) -> None:
    call = 'COMP_WORDS=(handinger-async "$@")\nCOMP_CWORD=$#\n_handinger_async\necho "${COMPREPLY[*]}"'
    source = f"{script('bash')}\n{call}"
    done = subprocess.run(
        ["bash", "-c", source, "bash", *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{found}\n"
    assert done.stderr == ""


def test_options_of_serve_are_those_of_its_help(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    found = re.findall(r"^  (--[\w-]+)", capsys.readouterr().out, re.MULTILINE)
    assert sorted(found) == sorted(SERVE_OPTIONS)


def test_another_shell_is_a_usage_error(capsys: Any) -> None:
    assert cli.main(["completion", "tcsh"]) == 2
    assert cli.main(["completion"]) == 2
    with pytest.raises(SystemExit):
        cli.main(["completion", "--help"])
    assert "eval" in capsys.readouterr().out
