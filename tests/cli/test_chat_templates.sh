#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# test_chat_templates.sh TWINLENS - what the chats are held to is what the transformers of this machine make of the
# templates. Skipped (77) where no Python has transformers; $TWINLENS_PYTHON may name one that does.
set -u
cd "$(dirname "$0")/../.."
for python in "${TWINLENS_PYTHON:-none}" python3 none; do
    "$python" -c 'import transformers, jinja2' 2> /dev/null && break
done
[ "$python" != none ] || { echo "skipped: no Python with transformers"; exit 77; }
"$python" tests/parity/chat_templates.py --check && echo "all good"
