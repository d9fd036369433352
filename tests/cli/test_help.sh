#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_help.sh TWINLENS - what the program says of itself: docs/options.md is up to date, the
# manual page and the completions are well formed and name what commands can be told.
set -u
bin=$(realpath "${1:?usage: test_help.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# ---- docs ---------------------------------------------------------------------------
"$bin" help --markdown > "$tmp/options.md" || fail "help --markdown"
diff "$tmp/options.md" docs/options.md ||
    fail "docs/options.md is not what \`twinlens help --markdown\` prints: write it anew"

# ---- help -----------------------------------------------------------------------------
"$bin" help > "$tmp/overview" || fail "help"
commands=$(sed -n 's/^  \([a-z]*\) \{2,\}.*/\1/p' "$tmp/overview")
[ "$(echo "$commands" | wc -w)" -gt 14 ] || fail "help lists too few commands"
for command in $commands; do
    "$bin" help "$command" > "$tmp/help" || fail "help $command"
    "$bin" "$command" --help | cmp - "$tmp/help" || fail "$command --help is not help $command"
    grep -q "^usage: twinlens $command" "$tmp/help" || fail "help $command has no usage"
done
"$bin" task import-published --help | grep -q -- "--model-family" || fail "the import has no help"
"$bin" --version | grep -qx "twinlens [0-9][0-9.]*" || fail "--version"
"$bin" help elephant > "$tmp/out" 2> "$tmp/err"
[ $? -eq 2 ] || fail "help of no command"

# ---- man ------------------------------------------------------------------------------
"$bin" help --man > "$tmp/twinlens.1" || fail "help --man"
for word in NAME SYNOPSIS COMMANDS SETTINGS "EXIT STATUS"; do
    grep -qx "\.SH $word" "$tmp/twinlens.1" || fail "the manual page has no $word"
done
for command in $commands; do
    grep -qx "\.SS $command" "$tmp/twinlens.1" || fail "the manual page has no $command"
done
if command -v groff > /dev/null; then
    groff -man -Tutf8 -ww "$tmp/twinlens.1" > "$tmp/page" 2> "$tmp/err" || fail "groff"
    [ -s "$tmp/err" ] && { fail "groff warns"; head "$tmp/err"; }
    grep -q -- "interpolation steps (5)" "$tmp/page" || fail "the manual page has no --ig-steps"
else
    echo "the manual page is not read: no groff"
fi

# ---- bash -----------------------------------------------------------------------------
"$bin" help --bash > "$tmp/bash" || fail "help --bash"
# complete WORD...: what bash would offer for the last word.
complete_words() {
    bash -c '
        source "$1" || exit 1
        shift
        COMP_WORDS=(twinlens "$@")
        COMP_CWORD=$#
        _twinlens
        printf "%s\n" "${COMPREPLY[@]}"' _ "$tmp/bash" "$@"
}
# offers WORDS -- LINE...: these words, in any order, and no others.
offers() {
    local wanted=$1
    shift
    got=$(complete_words "$@" | sort | xargs)
    [ "$got" = "$wanted" ] || fail "'$*' is completed by '$got', wanted '$wanted'"
}
offers "align attribute" a
offers "--ig-path --ig-rule --ig-steps" attribute --ig
offers "full textonly" attribute --ig-path ""
offers "paper" study --bp-grid p
offers "sentiment" task import-published --task s
offers "mrope sequential" study --rope ""
mkdir -p "$tmp/folder/inner"
touch "$tmp/folder/file"
offers "$tmp/folder/inner" study --dataset "$tmp/folder/"
offers "$tmp/folder/file $tmp/folder/inner" report "$tmp/folder/"
complete_words study --help | grep -qx -- --help || fail "--help is not offered"
[ "$(complete_words study -- | wc -l)" -gt 30 ] || fail "the options of study are not offered"

# ---- zsh ------------------------------------------------------------------------------
"$bin" help --zsh > "$tmp/_twinlens" || fail "help --zsh"
[ "$(head -n 1 "$tmp/_twinlens")" = "#compdef twinlens" ] || fail "zsh does not know whose completion this is"
grep -q "'--ig-path=\[what is interpolated\]:full|textonly:(full textonly)'" "$tmp/_twinlens" ||
    fail "zsh does not complete --ig-path"
if command -v zsh > /dev/null; then
    zsh -n "$tmp/_twinlens" || fail "zsh cannot read its completion"
else
    echo "the completion of zsh is not read: no zsh"
fi
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
