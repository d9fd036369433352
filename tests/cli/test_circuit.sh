#!/usr/bin/env bash
# test_circuit.sh BIN - circuits of one's own on the command line: a file is evaluated as the
# circuit of the same components is that a score file has, its parts are told apart, and what
# is wrong with it is one line.
set -u
bin=$(realpath "${1:?usage: test_circuit.sh BIN}")
golden=$PWD/tests/data/qwen2vl-tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export TWINLENS_BACKEND=ref
python3 - "$bin" "$golden" << 'END'
import json
import math
import struct
import subprocess
import sys
from array import array

bin, golden = sys.argv[1:]
inputs = ["--model", f"{golden}/checkpoint", "--dataset", f"{golden}/goldens"]
checked = wrong = 0


def check(what, passed):
    global checked, wrong
    checked += 1
    if not passed:
        wrong += 1
        print("FAILED:", what)


def twinlens(command, *words, data=True):
    p = subprocess.run([bin, command, *(inputs if data else []), *map(str, words)], capture_output=True, text=True)
    return p.returncode, p.stdout, p.stderr


def evaluate(*words):
    status, out, error = twinlens("evaluate", "--modality", "text", "--json", *words)
    check(f"evaluate {words}: {error}", status == 0)
    return json.loads(out)["fractions"][0] if status == 0 else {}


def refused(what, result, status, *words):
    check(f"{what}: {result}", result[0] == status and result[2].count("\n") == 1 and all(w in result[2] for w in words))


def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        rest = file.read()
    found = {}
    for name, of in header.items():
        if name != "__metadata__":
            found[name] = (of["shape"], array("f", rest[of["data_offsets"][0]:of["data_offsets"][1]]))
    return found


def close(a, b):
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-6) for x, y in zip(sum(a, []), sum(b, [])))


# ---- the circuit of a score file, written by hand, is that circuit ---------------------------
twinlens("attribute", "--modality", "text", "--out", "scores")
scores = tensors("scores")
entries = {}
sizes = {}
for kind, (shape, values) in scores.items():
    n = int(0.05 * len(values))
    sizes[kind] = n
    for i in sorted(range(len(values)), key=lambda i: (-values[i], i))[:n]:
        place, index = divmod(i, shape[2])
        entries.setdefault(place, {}).setdefault(kind, []).append(index)
n_pos = scores["heads"][0][1]
with open("own.json", "w") as file:
    json.dump({"components": [{"layer": p // n_pos, "position": p % n_pos, **e} for p, e in entries.items()]}, file)
by_rank, own = evaluate("--scores", "scores", "--fractions", "0.05"), evaluate("--circuit", "own.json")
check("the same logit differences", close(own["ld"], by_rank["ld"]))
check("the same faithfulness and interval", all(math.isclose(own[k], by_rank[k], rel_tol=1e-5) for k in ("faithfulness", "low", "high")))
check("the same numbers of heads and neurons", all(own[k] == by_rank[k] == sizes[k] for k in sizes))

# ---- what is taken out, and what stands in its place ------------------------------------------
layers, heads = scores["heads"][0][0], scores["heads"][0][2]
whole, nothing = evaluate("--without", "L3H0,L3H1"), evaluate("--circuit", "L3H0,L3H1")
check("without is all but these", whole["heads"] == n_pos * (layers * heads - 2) and nothing["heads"] == 2 * n_pos)
less = evaluate("--circuit", "own.json", "--without", "own.json")
check("without itself a circuit is nothing", less["heads"] == less["neurons"] == 0 and all(ld[1] == ld[2] for ld in less["ld"]))
values = [evaluate("--without", "L2H1,L3H2", "--ablate", a)["ld"] for a in ("counterfactual", "mean", "zero")]
check("three ablations, of one clean run", len({str(v) for v in values}) == 3 and
      all(math.isclose(v[i][0], values[0][i][0], rel_tol=1e-5) for v in values for i in range(len(v))))
status, out, error = twinlens("evaluate", "--modality", "text", "--circuit", "L0H0@0", "--without", "L0H1")
check(f"what was not in is warned of: {error}", status == 0 and f"{n_pos} heads and 0 neurons of L0H1 are not in the circuit" in error)
check("sizes are shares of heads and of neurons", out.split("\n")[1].startswith(f"{1 / (layers * heads * n_pos):.6g}:0\t1\t0\t"))

# ---- what is refused ------------------------------------------------------------------------
refused("no circuit at all", twinlens("evaluate", "--modality", "text"), 2, "wanted --scores FILE, --circuit FILE or --without LIST")
refused("two circuits", twinlens("evaluate", "--modality", "text", "--scores", "scores", "--circuit", "L0H0"), 2, "--scores changes nothing beside --circuit")
refused("sizes of none", twinlens("evaluate", "--modality", "text", "--circuit", "L0H0", "--grid", "short"), 2, "--grid")
refused("a head too many", twinlens("evaluate", "--modality", "text", "--without", "L0H99"), 1, "'L0H99'", "wanted 0 to")
with open("bad.json", "w") as file:
    file.write('{"components": [{"layer": 0, "position": 99, "heads": [0]}]}')
refused("no such position", twinlens("evaluate", "--modality", "text", "--circuit", "bad.json"), 1, "bad.json: components[0]: position 99")
refused("no such file", twinlens("evaluate", "--modality", "text", "--circuit", "none.json"), 1, "none.json")
print(f"{checked} checks, {wrong} wrong")
sys.exit(bool(wrong) or checked < 19)
END
