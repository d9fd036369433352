# SPDX-License-Identifier: MIT
"""The one form in which benchmarks print: a head and a line for each figure, with tabs between the columns. bench/figure.h
prints the same from C. The ratio is above 1 where twinlens is better."""
import os
import subprocess
import sys

COLUMNS = ("figure", "case", "value", "unit", "how", "peer", "peer value", "ratio")


def head(file=sys.stdout):
    print("\t".join(COLUMNS), file=file, flush=True)


def show(figure, case, value, unit, how, peer=None, peer_value=None, more_is_better=False, file=sys.stdout):
    """how: measured (depends on the machine and on what else it does) or counted (the same everywhere)."""
    end = ("-", "-", "-")
    if peer is not None:
        end = (peer, f"{peer_value:.6g}", f"{value / peer_value if more_is_better else peer_value / value:.3f}")
    print("\t".join((figure, case, f"{value:.6g}", unit, how, *end)), file=file, flush=True)


def read(text):
    """The figures of a bench's standard output, or of several one after the other: dicts by COLUMNS, numbers as numbers."""
    rows = []
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or fields[0] == COLUMNS[0]:
            continue
        row = dict(zip(COLUMNS, fields))
        for key in ("value", "peer value", "ratio"):
            row[key] = None if row[key] == "-" else float(row[key])
        rows.append(row)
    return rows


def on_threads(n):
    """The environment of a program that computes with so many threads, and does not spin while it waits."""
    return dict(os.environ, OMP_NUM_THREADS=str(n), MKL_NUM_THREADS=str(n), OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="0")


def call(command, threads=None):
    """Standard output, and the most MiB that the process had resident. Ends the program when the command fails."""
    process = subprocess.Popen([str(x) for x in command], stdout=subprocess.PIPE, text=True,
                               env=on_threads(threads) if threads else None)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))[:200]}: failed")
    return out, usage.ru_maxrss / 1024
