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

# ---- files that the program writes ----------------------------------------------------------

def sizes_of(out):
    return {line.split("\t")[0]: tuple(map(int, line.split("\t")[1:])) for line in out.splitlines()[1:]}


def members(path):
    with open(path) as file:
        text = json.load(file)
    shape, found = text["shape"], set()
    for e in text["components"]:
        for kind in ("heads", "neurons"):
            all_of = range(shape[kind]) if e.get(kind) == "all" else e.get(kind, [])
            found |= {(kind, e["layer"], e["position"], i) for i in all_of}
    return shape, found


def circuit(*words):
    status, out, error = twinlens("circuit", *words, data=False)
    check(f"circuit {words}: {error}", status == 0)
    return sizes_of(out)


status, _, error = twinlens("study", "--keep", "all", "--fractions", "0.1,0.5,1", "--bp-grid", "none", "--validate", "0", "--pictures", "0",
                            "--circuit-tests", "0", "--threshold", "0.5", "--faith", "mean_ratio", "--out", "run")
check(f"a study: {error}", status == 0)
mine = {(kind, p // n_pos, p % n_pos, i) for p, e in entries.items() for kind, list_of in e.items() for i in list_of}
found = circuit("scores", "--fraction", "0.05", "--out", "cut.json")
shape, cut = members("cut.json")
check("a fraction of a score file is as found by hand", cut == mine and found == {"whole": (sizes["heads"], sizes["neurons"])} and "data" not in shape)
found = circuit("run", "--modality", "text", "--fraction", "0.1", "--out", "a.json")
shape, a = members("a.json")
begin, end = shape["data"]
check("a study knows where the data are", sum(found[s][0] for s in ("before", "data", "query", "generation")) == found["whole"][0] and
      found["data"][1] == sum(kind == "neurons" and begin <= t < end for kind, _, t, _ in a))
circuit("run", "--modality", "text", "--heads", "7", "--neurons", "400", "--out", "b.json")
b = members("b.json")[1]
check("so many heads and neurons", sum(c[0] == "heads" for c in b) == 7 and len(b) == 407)
c = {("heads", 0, t, 1) for t in range(begin, end)}
circuit("a.json", "--and", "b.json", "--out", "d.json")
check("and", members("d.json")[1] == a & b)
circuit("a.json", "--minus", "b.json", "--out", "d.json")
check("minus", members("d.json")[1] == a - b)
circuit("a.json", "--minus", "b.json", "--or", "L0H1@data", "--and", "own.json", "--out", "d.json")
check("and, or, minus, in this order", members("d.json")[1] == ((a & mine) | c) - b)
circuit("L0H1@data", "--or", "a.json", "--segment", "data", "--kind", "heads", "--out", "d.json")
check("of a segment and a kind", members("d.json")[1] == {x for x in a | c if x[0] == "heads" and begin <= x[2] < end})
circuit("run", "--modality", "text", "--out", "minimal.json")
with open("minimal.json") as file:
    check("the smallest faithful circuit says that it is", "the smallest faithful circuit" in json.load(file)["note"])
curves = [tensors("run/scores.text.safetensors")[k] for k in ("heads", "neurons")]
check("and is one of the curve's", [sum(x[0] == k for x in members("minimal.json")[1]) for k in ("heads", "neurons")] in
      [[int(f * len(v[1])) for v in curves] for f in (0.1, 0.5, 1)])

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
refused("no source", twinlens("circuit", data=False), 2, "wanted a study, a score file or a circuit")
refused("a word", twinlens("circuit", "nothing", data=False), 1, "nothing: there is no such study or file")
refused("how many", twinlens("circuit", "scores", data=False), 2, "wanted --fraction P, --heads N or --neurons N")
refused("which modality", twinlens("circuit", "run", data=False), 2, "wanted --modality text|image")
refused("too many heads", twinlens("circuit", "scores", "--heads", "999999", data=False), 2, "--heads is '999999', wanted 0 to")
refused("of a circuit", twinlens("circuit", "a.json", "--fraction", "0.1", data=False), 2, "is a circuit already")
refused("no shape", twinlens("circuit", "own.json", data=False), 1, "wanted a \"shape\"")
refused("no data", twinlens("circuit", "cut.json", "--segment", "data", data=False), 1, "nothing says where the data are")
refused("a name", twinlens("circuit", "a.json", "--out", "a.txt", data=False), 2, "ends in .json")
circuit("run", "--modality", "image", "--fraction", "0.1", "--out", "image.json")
refused("other positions", twinlens("circuit", "a.json", "--and", "image.json", data=False), 1, "image.json: of 4 layers")
twinlens("attribute", "--modality", "text", "--signed", "--out", "signed")
refused("signs", twinlens("circuit", "signed", "--heads", "3", data=False), 1, "scores with signs")
print(f"{checked} checks, {wrong} wrong")
sys.exit(bool(wrong) or checked < 50)
END
