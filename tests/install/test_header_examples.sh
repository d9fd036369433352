#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The examples in the first comments of the public headers compile. An example is what is
# indented by five columns, where some line of it ends with a semicolon; a line in dots,
# "... something ...", stands for statements of the reader's; functions begin with static.
set -uo pipefail
cc=${CC:-cc} n=0 bad=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for header in include/twinlens/*.h; do
    name=$(basename "$header" .h)
    awk -v name="$name" '
    /\*\//                      { exit }
    !/^ \*     / && !/^ \*$/    { end_block(); next }
                                { line = substr($0, 4); block = block line "\n"; code = code || line ~ /;$/ }
    function end_block() {
        if (code)
            all = all block
        block = ""
        code = 0
    }
    END {
        end_block()
        n = split(all, lines, "\n")
        for (i = 1; i <= n; i++) {
            if (lines[i] ~ /^ *\.\.\. .* \.\.\.$/)
                lines[i] = ";"
            if (lines[i] ~ /^ +static /)
                in_function = 1
            if (in_function)
                functions = functions lines[i] "\n"
            else
                body = body lines[i] "\n"
            if (lines[i] ~ /^ +}$/ && index(lines[i], "}") == 5)
                in_function = 0
        }
        if (all != "")
            printf "%s\nvoid example(void);\nvoid example(void)\n{\n%s}\n", functions, body
    }' "$header" > "$tmp/$name.c"
    [ -s "$tmp/$name.c" ] || continue
    n=$((n + 1))
    "$cc" -std=c11 -Iinclude -DEXAMPLE_"$name" -include tests/install/around_examples.h -fsyntax-only \
        -Wall -Werror -Wno-unused "$tmp/$name.c" || {
        echo "the example of $header does not compile"
        bad=1
    }
done
[ $n -ge 15 ] || { echo "only $n examples were found" && bad=1; }
exit $bad
