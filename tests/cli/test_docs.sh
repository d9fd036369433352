#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_docs.sh TWINLENS - every command of README.md and docs/ is run as it stands there, and README's tables of what
# a study takes are those that follow from the program's plan and the measured figures.
set -u
bin=$(realpath "${1:?usage: test_docs.sh TWINLENS}")
cd "$(dirname "$0")/../.."
failures=0

if [ "$(TWINLENS_BACKEND='' "$bin" inspect --help | grep -c 'cpu, or ref')" -eq 1 ] && "$bin" inspect --backend cpu > /dev/null 2>&1; then
    python3 bench/what_it_takes.py "$bin" --check ||
        { echo "FAILED: python3 bench/what_it_takes.py TWINLENS writes README's tables anew"; failures=1; }
else
    echo "README's tables are not compared: no backend cpu here"
fi
python3 tests/cli/docs_commands.py "$bin" || failures=1
[ $failures -eq 0 ] && echo "all good"
exit $failures
