"""The verb completion: scripts for bash, zsh and fish, made from the table of verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .arguments import Parser, program
from .output import Output
from .verbs import COMMON, GROUPS, VERBS, Argument

__all__ = ["SERVE_OPTIONS", "completion_command", "script"]

#: The name of the program that the scripts complete.
_NAME = "handinger-async"
#: Arguments whose values are paths.
_PATHS = frozenset({"PATH", "FILE", "DIR"})
#: The options of serve, which parses its own arguments.
SERVE_OPTIONS = (
    "--host",
    "--port",
    "--seed",
    "--api-key",
    "--lenient",
    "--json-streams",
    "--api",
    "--quiet",
    "--faults",
)


def completion_command(arguments: Sequence[str]) -> int:
    """Print the completion script for a shell.

    Args:
        arguments: The arguments after ``completion``.

    Returns:
        The exit status.
    """
    parser = Parser(
        prog=f"{program()} completion",
        description="Print a script that completes verbs and options in a shell.",
        epilog=f'examples:\n  eval "$({_NAME} completion bash)"      in ~/.bashrc\n'
        f'  eval "$({_NAME} completion zsh)"       in ~/.zshrc, after compinit\n'
        f"  {_NAME} completion fish | source       in ~/.config/fish/config.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    Output().part(script(parser.parse_args(arguments).shell))
    return 0


def script(shell: str) -> str:
    """Return the completion script for a shell."""
    return "\n".join({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()) + "\n"


def _top() -> dict[str, str]:
    """Return the words that may come first, with their summaries."""
    words = {name: verb.summary for name, verb in VERBS.items() if " " not in name}
    return {**words, **GROUPS, "help": "show the help of a verb"}


def _members(group: str) -> dict[str, str]:
    return {name.partition(" ")[2]: verb.summary for name, verb in VERBS.items() if name.startswith(f"{group} ")}


def _options(name: str) -> list[Argument]:
    """Return the options of a verb."""
    if name == "serve":
        return [Argument((option,), {"help": ""}) for option in SERVE_OPTIONS]
    return [each for each in (*VERBS[name].arguments, *COMMON) if each.names[0].startswith("--")]


def _bash() -> Iterator[str]:
    yield "_handinger_async() {"
    yield '    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words=""'
    yield "    case $COMP_CWORD-$verb in"
    yield f'        1-*) verb="" words="{" ".join(_top())}" ;;'
    for group in GROUPS:
        yield f'        2-{group}) words="{" ".join(_members(group))}" ;;'
        yield f'        *-{group}) verb+=" ${{COMP_WORDS[2]}}" ;;'
    yield "    esac"
    yield "    case $verb in"
    for name in VERBS:
        yield f'        "{name}") words="{" ".join(each.names[0] for each in _options(name))}" ;;'
    yield "    esac"
    yield "    case $before in"
    options = (option for name in VERBS for option in _options(name))
    choices = {option.names[0]: option.settings.get("choices") for option in options}
    for option, values in choices.items():
        if values:
            yield f'        {option}) words="{" ".join(values)}" ;;'
    yield "    esac"
    yield '    [[ $word == -* || $words != -* ]] || words=""'
    yield '    COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"
    yield f"complete -o default -F _handinger_async {_NAME}"


def _zsh() -> Iterator[str]:
    yield f"#compdef {_NAME}"
    yield "_handinger_async() {"
    yield "    local verb=$words[2]"
    yield "    local -a found"
    yield "    if (( CURRENT == 2 )); then"
    yield f"        found=({_described(_top())})"
    yield "        _describe verb found"
    yield "        return"
    yield "    fi"
    yield "    case $verb in"
    for group in GROUPS:
        yield f"        {group})"
        yield f"            found=({_described(_members(group))})"
        yield "            if (( CURRENT == 3 )); then _describe verb found; return; fi"
        yield '            verb="$verb $words[3]"; shift words; (( CURRENT-- )) ;;'
    yield "    esac"
    yield "    shift words; (( CURRENT-- ))"
    yield "    case $verb in"
    for name in VERBS:
        yield f"        {_quote(name)}) _arguments {' '.join(map(_zsh_option, _options(name)))} '*: :_files' ;;"
    yield "    esac"
    yield "}"
    yield f"compdef _handinger_async {_NAME}"


def _described(words: dict[str, str]) -> str:
    return " ".join(_quote(f"{word}:{summary.replace(':', chr(92) + ':')}") for word, summary in words.items())


def _zsh_option(option: Argument) -> str:
    summary = option.settings["help"].replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
    again = "*" if option.settings.get("action") == "append" else ""
    values = ""
    if metavar := option.settings.get("metavar"):
        action = f"({' '.join(option.settings['choices'])})" if "choices" in option.settings else ""
        values = f":{metavar}:{'_files' if metavar in _PATHS else action}"
    return _quote(f"{again}{option.names[0]}[{summary}]{values}")


def _fish() -> Iterator[str]:
    yield f"complete -c {_NAME} -f"
    for word, summary in _top().items():
        yield f"complete -c {_NAME} -n __fish_use_subcommand -a {word} -d {_quote(summary)}"
    for group in GROUPS:
        members = _members(group)
        condition = f"__fish_seen_subcommand_from {group}; and not __fish_seen_subcommand_from {' '.join(members)}"
        for word, summary in members.items():
            yield f"complete -c {_NAME} -n {_quote(condition)} -a {word} -d {_quote(summary)}"
    for name in VERBS:
        condition = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split())
        for option in _options(name):
            metavar = option.settings.get("metavar")
            values = "" if metavar is None else " -r -F" if metavar in _PATHS else " -x"
            if "choices" in option.settings:
                values += f" -a {_quote(' '.join(option.settings['choices']))}"
            summary = _quote(option.settings["help"])
            yield f"complete -c {_NAME} -n {_quote(condition)} -l {option.names[0][2:]}{values} -d {summary}"


def _quote(text: str) -> str:
    """Return a text in single quotes; no text of the table has one."""
    return f"'{text}'"
