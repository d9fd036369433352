#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# test_top.sh TWINLENS - the leading heads and neurons of a study, each number counted again from
# score files and study.db by other means; and what `top` says of score files and of nothing.
set -u
bin=$(realpath "${1:?usage: test_top.sh TWINLENS}")
cd "$(dirname "$0")/../.."
tiny=$PWD/tests/data/qwen2vl-tiny
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
export TWINLENS_BACKEND=ref
# The untrained model has a circuit that is not all of it where less is enough.
"$bin" study --model "$tiny/checkpoint" --dataset "$tiny/goldens" --keep all --fractions 0.05,0.2,0.5,1 --threshold 0.05 \
    --validate 2 --out "$tmp/run" > "$tmp/summary" 2> "$tmp/err" || fail "a study: $(cat "$tmp/err")"
"$bin" top "$tmp/run" > "$tmp/top" || fail "top"
"$bin" top "$tmp/run" --json > "$tmp/top.json" || fail "top --json"
"$bin" top "$tmp/run" --json --n 3 --modality image --kind neurons > "$tmp/few.json" || fail "top --n"
"$bin" summary "$tmp/run" --json > "$tmp/summary.json" || fail "summary --json"
"$bin" report "$tmp/run" --out "$tmp/page.html" > /dev/null || fail report
"$bin" export "$tmp/run" --out "$tmp/csv" || fail export
for file in top summary page.html; do
    for title in "Leading heads, text" "Leading neurons, text" "Leading heads, image" "Leading neurons, image"; do
        grep -q "$title" "$tmp/$file" || fail "$file has no '$title'"
    done
done
"$bin" attribute --model "$tiny/checkpoint" --dataset "$tiny/goldens" --modality image --signed --out "$tmp/signed" \
    2> /dev/null || fail attribute
"$bin" top "$tmp/signed" --n 4 --json > "$tmp/signed.json" || fail "top of a score file"
"$bin" top "$tmp/signed" --n 4 > "$tmp/signed.txt" || fail "top of a score file"
grep -q "^Leading neurons, image" "$tmp/signed.txt" || fail "a score file's own tables"
python3 - "$tmp" << 'END' || fail "the lists are not those of the study"
import csv, json, math, sqlite3, struct, sys

tmp = sys.argv[1]
db = sqlite3.connect(tmp + "/run/study.db")
db.row_factory = sqlite3.Row
top, whole = json.load(open(tmp + "/top.json")), json.load(open(tmp + "/summary.json"))
assert top["model"] == whole["model"] and top["dataset-name"] == "goldens"
# What `summary --json` lists, which test_numbers counts again; `top` and top.csv have the same.
rows = list(csv.DictReader(open(tmp + "/csv/top.csv", newline="")))
assert len(rows) == 80
shared = 0
for m in ("text", "image"):
    assert whole["modalities"][m]["leading"] == top["modalities"][m]
    assert whole["modalities"][m]["minimal"], "no circuit is compared"
    for k in ("heads", "neurons"):
        for rank, x in enumerate(top["modalities"][m][k], 1):
            row = rows.pop(0)
            assert [row["modality"], row["kind"], row["rank"]] == [m, k, str(rank)], row
            assert [int(row[n]) for n in ("layer", "position", "idx")] == [x["layer"], x["position"], x[k[:-1]]]
            assert row["token"] == (x["token"] if x["token"] is not None else "{%s}" % (x["segment"] or "before"))
            assert row["segment"] == (x["segment"] or "") and row["pairs"] == "2" == str(x["exact_effect"]["n"])
            for name, value in (("score", x["score"]), ("signed_score", x["signed_score"]["value"]),
                                ("exact_effect", x["exact_effect"]["value"])):
                assert math.isclose(float(row[name]), value, rel_tol=1e-6, abs_tol=1e-12), (row, x)
            assert row["in_circuit"] == str(int(x["in_circuit"]))
            assert [int(row["other_positions"]), int(row["other_shared"])] == [
                x["in_other_circuit"][n] for n in ("positions", "shared")]
            shared += x["in_other_circuit"]["shared"] > 0
assert shared > 0 and rows == []
# What the sample of eq. 16 has of these components on the same prompts is the same number.
both = db.execute("select l.exact a, e.exact b, l.attributed c, e.attributed d from leading l join effect e using "
                  "(modality, pair, kind, layer, pos, idx, ig_steps)").fetchall()
assert both and all(r["a"] == r["b"] and r["c"] == r["d"] for r in both)
few = json.load(open(tmp + "/few.json"))["modalities"]
assert list(few) == ["image"] and "heads" not in few["image"]
assert few["image"]["neurons"] == top["modalities"]["image"]["neurons"][:3]
# A score file with signs: by size.
data = open(tmp + "/signed", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
header, found = json.loads(data[8 : 8 + n]), json.load(open(tmp + "/signed.json"))
assert found["model"] == top["model"] and found["dataset"] == top["dataset"]
found = found["modalities"]["image"]
assert any(x["score"] < 0 for x in found["heads"] + found["neurons"])
for k in found:
    a, b = header[k]["data_offsets"]
    values = struct.unpack(f"<{(b - a) // 4}f", data[8 + n + a : 8 + n + b])
    first = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))[:4]
    assert [x["score"] for x in found[k]] == [values[i] for i in first]
    _, n_pos, width = header[k]["shape"]
    assert [(x["layer"] * n_pos + x["position"]) * width + x[k[:-1]] for x in found[k]] == first
    assert all(x["token"] is None and x["exact_effect"] is None for x in found[k])
# importance.csv says what stands where.
tokens = {(r["modality"], r["pos"]): r for r in db.execute("select * from token")}
assert {r["n_texts"] > 1 for r in tokens.values()} == {False, True}
for row in csv.DictReader(open(tmp + "/csv/importance.csv", newline="")):
    t = tokens[row["modality"], int(row["position"])]
    assert row["token"] == (t["text"] if t["n_texts"] == 1 else "{%s}" % (row["segment"] or "before")), row
END

# A model and a dataset are the same in score files, manifest and summary; also in a study whose manifest is older, which
# the same command goes on with and another model does not.
identities() { # RUN: by score files, and by what summary says
    "$bin" summary "$1" --json > "$tmp/said.json"
    python3 - "$1" "$tmp/said.json" << 'END'
import json, struct, sys

run, said = sys.argv[1], json.load(open(sys.argv[2]))
for m in ("text", "image"):
    data = open(f"{run}/scores.{m}.safetensors", "rb").read()
    about = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]
    assert about["model_fingerprint"] == said["model"] and about["dataset_fingerprint"] == said["dataset"]
assert said["model-files"] not in ("", said["model"]) and said["dataset-files"] not in ("", said["dataset"])
END
}
identities "$tmp/run" || fail "there are several hashes of one model"
cp -r "$tmp/run" "$tmp/older"
sqlite3 "$tmp/older/study.db" "delete from manifest where key in ('model', 'dataset');
    update manifest set key = 'model' where key = 'model-files'; update manifest set key = 'dataset' where key = 'dataset-files'"
identities "$tmp/older" || fail "an older study's model has another hash"
"$bin" summary "$tmp/run" | sed "s|$tmp/run|$tmp/older|" > "$tmp/one"
"$bin" summary "$tmp/older" | cmp -s - "$tmp/one" || fail "an older study has another summary"
again=(--dataset "$tiny/goldens" --keep all --fractions 0.05,0.2,0.5,1 --threshold 0.05 --validate 2 --out "$tmp/older")
"$bin" study --model "$tiny/checkpoint" "${again[@]}" > "$tmp/out" 2> "$tmp/err" || fail "an older study is not known again"
cp -r "$tiny/checkpoint" "$tmp/other"
sed -i 's/{/{ /' "$tmp/other/tokenizer.json"
"$bin" study --model "$tmp/other" "${again[@]}" > "$tmp/out" 2> "$tmp/err" && fail "an older study takes another tokenizer"
grep -q "model-files '" "$tmp/err" || fail "it does not say what differs: $(cat "$tmp/err")"

# Studies that nothing else tells apart are told apart by their folders.
"$bin" summary "$tmp/run" "$tmp/older" > "$tmp/both"
grep -q "^counting, $tmp/run " "$tmp/both" && grep -q "^counting, $tmp/older " "$tmp/both" || fail "two rows are alike"

# A study of an earlier version has patched a sample alone; one without --validate nothing.
sqlite3 "$tmp/run/study.db" "drop table leading; pragma user_version = 9"
"$bin" top "$tmp/run" --n 2 > "$tmp/old" 2>&1 || fail "top of an older study"
sqlite3 "$tmp/run/study.db" "delete from effect; delete from completeness; delete from ranked"
"$bin" top "$tmp/run" --n 2 --kind heads > "$tmp/old" 2>&1 || fail "top of a study that patched nothing"
[ "$(grep -c 'not measured *not measured' "$tmp/old")" -eq 4 ] || fail "it does not say 'not measured'"

# expect_refusal CODE TEXT ARGUMENTS...: one line with the text in it, and nothing on stdout.
expect_refusal() {
    local code=$1 text=$2
    shift 2
    "$bin" top "$@" > "$tmp/out" 2> "$tmp/err"
    [ $? -eq "$code" ] || fail "top $*: wanted exit $code"
    [ "$(wc -l < "$tmp/err")" -eq 1 ] && grep -qF -- "$text" "$tmp/err" || fail "top $*: wanted '$text': $(cat "$tmp/err")"
    [ -s "$tmp/out" ] && fail "top $*: wanted nothing on stdout"
}
expect_refusal 2 "wanted the folder of a study, or a score file"
expect_refusal 2 "--kind is 'head'" "$tmp/run" --kind head
expect_refusal 2 "--n is '0'" "$tmp/run" --n 0
expect_refusal 1 "csv: no study.db there" "$tmp/csv"
expect_refusal 1 "nowhere" "$tmp/nowhere"
expect_refusal 1 "there is no tensor 'heads': not a score file" "$tiny/checkpoint/model.safetensors"
expect_refusal 1 "signed: scores of image prompts" "$tmp/signed" --modality text
rm "$tmp/run/scores.text.safetensors"
expect_refusal 1 "scores.text.safetensors is not there" "$tmp/run" --modality text
[ $failures -eq 0 ] && echo "all good"
exit $((failures > 0))
