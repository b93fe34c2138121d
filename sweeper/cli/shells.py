"""What `--install-completion` writes for bash, zsh and fish, in the place of Typer's own scripts.

With Typer's, bash completes nothing after `path=`, zsh puts a blank there, and fish runs the program twice for each
completion. All three ask in the form that gives a line for each value, with its help after a tab: the one for fish.
"""

from __future__ import annotations

from typer import _completion_shared

__all__ = ["use_our_scripts"]

_ASK = (
    "env %(autocomplete_var)s=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args "
    '_TYPER_COMPLETE_ARGS="$line" %(prog_name)s 2>/dev/null'
)

_BASH = rf"""
%(complete_func)s() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" word prefix breaks="${{COMP_WORDBREAKS//[^=:]/}}"
    mapfile -t COMPREPLY < <({_ASK})
    [[ -n ${{COMPREPLY[*]}} ]] || COMPREPLY=()
    COMPREPLY=("${{COMPREPLY[@]%%%%$'\t'*}}")
    [[ ${{COMPREPLY[0]}} == *[=/] ]] && compopt -o nospace
    # Bash takes what follows the last = or : for the word that is completed.
    word="${{line##*[[:space:]]}}"
    if [[ -n $breaks ]]; then
        prefix="${{word%%"${{word##*[$breaks]}}"}}"
        COMPREPLY=("${{COMPREPLY[@]#"$prefix"}}")
    fi
}}

complete -o default -F %(complete_func)s %(prog_name)s
"""

_ZSH = rf"""
#compdef %(prog_name)s

%(complete_func)s() {{
    local line="${{words[1,$CURRENT]}}" found value entry
    local -a whole begun
    for found in "${{(@f)$({_ASK})}}"; do
        [[ -n $found ]] || continue
        value="${{found%%%%$'\t'*}}"
        entry="${{value//:/\\:}}"
        [[ $found == *$'\t'* ]] && entry+=":${{found#*$'\t'}}"
        if [[ $value == *[=/] ]]; then begun+=("$entry"); else whole+=("$entry"); fi
    done
    if (( ! $#whole && ! $#begun )); then
        _files
        return
    fi
    (( $#begun )) && _describe value begun -S ''
    (( $#whole )) && _describe value whole
}}

compdef %(complete_func)s %(prog_name)s
"""

_FISH = f"""
function _%(complete_func)s
    set -l line (commandline -cp)
    set -l found ({_ASK})
    if test -n "$found"
        string join \\n $found
    else
        __fish_complete_path (commandline -ct)
    end
end

complete --command %(prog_name)s --no-files --arguments "(_%(complete_func)s)"
"""


def use_our_scripts() -> None:
    """Have Typer install these scripts."""
    _completion_shared._completion_scripts |= {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
