#!/usr/bin/env bash
# test_bad_input.sh BIN - what goes wrong is told in one line that says what was found,
# where, and what was wanted; with the right exit status; and an output file that was
# there before is as it was.
set -u
bin=$(realpath "${1:?usage: test_bad_input.sh BIN}")
golden=$PWD/tests/data/qwen2vl-tiny
published=$PWD/tests/data/published
families=$PWD/tests/data/families
work=$(mktemp -d)
mounted=
trap '[ -n "$mounted" ] && umount "$mounted"; rm -rf "$work"' EXIT
cd "$work" || exit 1
export TWINLENS_BACKEND=ref

checked=0
wrong=0

complain()
{
    wrong=$((wrong + 1))
    echo "FAILED: twinlens $what"
    echo "  $1"
    sed 's/^/  stderr: /' stderr
}

# fails STATUS PATTERN.. -- ARGUMENTS: the patterns are fixed strings, all wanted.
# kept/out is the file that must stay; nothing may be left beside it.
fails()
{
    local wanted=$1 patterns=()
    shift
    while [ "$1" != -- ]; do
        patterns+=("$1")
        shift
    done
    shift
    what="$*"
    checked=$((checked + 1))
    rm -rf kept
    mkdir kept
    echo "an earlier result" > kept/out
    timeout 60 "$bin" "$@" > "${stdout:-stdout}" 2> stderr
    local status=$?
    [ $status -eq "$wanted" ] || complain "exit status $status (124: it waits), wanted $wanted"
    [ "$(wc -l < stderr)" -eq 1 ] || complain "$(wc -l < stderr) lines, wanted one"
    case "$(cat stderr)" in
    "twinlens $1: "* | "twinlens: "*) ;;
    *) complain "does not begin with the command's name" ;;
    esac
    local pattern
    for pattern in "${patterns[@]}"; do
        grep -qF -- "$pattern" stderr || complain "does not say '$pattern'"
    done
    [ "$(cat kept/*)" = "an earlier result" ] || complain "the earlier result is gone"
    [ "$(ls -A kept)" = out ] || complain "leaves $(ls -A kept)"
}

# model NAME: a copy of the checkpoint by links; its files may be replaced.
model()
{
    mkdir "$1"
    ln -s "$golden"/checkpoint/* "$1"/
}

# family NAME FAMILY FILE: a copy of another architecture's checkpoint, FILE left out.
family()
{
    mkdir "$1"
    ln -s "$families/$2"/* "$1"/
    rm "$1/$3"
}

# data NAME [SED-EXPRESSION..]: a changed copy of the dataset.
data()
{
    mkdir "$1"
    ln -s "$golden/goldens/images" "$golden/goldens/task.json" "$1"/
    local name=$1
    shift
    sed "${@/#/-e}" "$golden/goldens/dataset.jsonl" > "$name/dataset.jsonl"
}

M=(--model "$golden/checkpoint")
D=(--dataset "$golden/goldens")
TEXT=(--modality text --out kept/out)
IMAGE=(--modality image --out kept/out)

# infinite NAME OFFSET: a checkpoint whose number of bf16 at that byte is infinite.
infinite()
{
    model "$1"
    rm "$1/model.safetensors"
    cp "$golden/checkpoint/model.safetensors" "$1"/
    printf '\200\177' | dd of="$1/model.safetensors" bs=1 seek="$2" conv=notrunc 2> dd.err
}

# ---- misuse ------------------------------------------------------------------------
fails 2 "unknown command 'preditc'; did you mean 'predict'?" -- preditc
fails 2 "unknown command 'nothing'" -- help nothing
fails 2 "--dataset DIR is missing" -- predict
fails 2 "unknown task 'count'" "counting, arithmetic" -- task count --out made
fails 2 "wanted the name of a task" -- task --out made
fails 2 "--out or --sheet" -- task counting
fails 2 "--size is '252'" "252x252" -- task counting --out made --size 252
fails 2 "--size is '0x9'" -- task counting --out made --size 0x9
fails 2 "--content is 'test'" "held-out" -- task counting --out made --content test
fails 2 "64x64 is too small for counting" "84x84" -- task counting --out made --size 64x64
fails 2 "1025x252 is too large" "1024x1024" -- task counting --out made --size 1025x252
fails 1 "factual_recall: there are only" -- task factual_recall --out made --n 9999
fails 2 "kept: is not empty" "--force" -- task counting --out kept
import=(task import-published --csv-text "$published/textual.csv"
        --csv-image "$published/visual.csv")
fails 2 "unknown" -- "${import[@]}" --family qwen2_vl
fails 2 "'sums'" "arithmetic, color_ordering" -- "${import[@]}" --task sums --out made
import+=(--task arithmetic)
fails 2 "--out" -- "${import[@]}" --model-family qwen2_vl
fails 2 "'qwen3'" "qwen2_vl, llava, gemma3" -- "${import[@]}" --model-family qwen3 --out made
fails 1 "textual.csv:2: " "chat format of qwen2_vl, wanted that of llava" -- \
    "${import[@]}" --model-family llava --out made
fails 1 "visual.csv:2: " "kept/images/" "no such file" -- \
    "${import[@]}" --model-family qwen2_vl --images kept --out made
fails 2 "kept: is not empty" -- "${import[@]}" --model-family qwen2_vl --out kept
echo '<fontconfig><cachedir>cache</cachedir></fontconfig>' > fonts.conf
export FONTCONFIG_FILE=$PWD/fonts.conf
fails 1 "font 'Noto Color Emoji'" "fonts-noto-color-emoji" -- task counting --out made
unset FONTCONFIG_FILE
fails 1 "nowhere/made" -- task counting --out nowhere/made
fails 1 "nowhere: there is no such model folder" -- task counting --out made --model nowhere
fails 2 "--dataset DIR is missing" -- predict "${M[@]}"
fails 2 "--out FILE is missing" -- attribute "${M[@]}" "${D[@]}" --modality text
fails 2 "--modality text|image is missing" -- attribute "${M[@]}" "${D[@]}" --out kept/out
fails 2 "unknown option '--modle'" "did you mean '--model'?" -- inspect --modle x
fails 2 "unknown command 'stduy'; did you mean 'study'?" -- stduy
fails 2 "unknown command 'xyzzy'; see 'twinlens help'" -- xyzzy
fails 2 "'x' is no option" -- inspect "${M[@]}" x
for words in -h "study -h" "study --out x -h"; do
    what=$words
    checked=$((checked + 1))
    "$bin" $words > out 2> stderr || complain "status $?"
    grep -q '^usage: twinlens' out || complain "no help"
done
fails 2 "--model is given twice" -- inspect "${M[@]}" "${M[@]}"
fails 2 "--modality is 'sound'" "text, image" -- predict "${M[@]}" "${D[@]}" --modality sound
fails 2 "--threads is '0'" "integer" -- predict "${M[@]}" "${D[@]}" --threads 0
fails 2 "--threads is '99999'" "4096" -- predict "${M[@]}" "${D[@]}" --threads 99999
fails 2 "--memory is '1Q'" "500M or 8G" -- predict "${M[@]}" "${D[@]}" --memory 1Q
fails 2 "no backend 'gpu'" "'cpu'" -- predict "${M[@]}" "${D[@]}" --backend gpu
fails 2 "--compat is 'paper'" "published" -- predict "${M[@]}" "${D[@]}" --compat paper
fails 2 "--ig-steps is '-1'" -- attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --ig-steps -1
fails 2 "'text-0,,text-1' has an empty word" -- predict "${M[@]}" "${D[@]}" --ids text-0,,text-1
fails 2 "--sites" "'zz'" "mlp_post" -- trace "${M[@]}" "${D[@]}" --id text-0 --sites z,zz --out kept/out
fails 2 "--prompt-tokens" "1000000000" -- inspect "${M[@]}" --prompt-tokens 99999999999
for fraction in 1.5 -0.1 nan 0.1x 1e-99999; do
    fails 2 "fractions" "$fraction" -- \
        evaluate "${M[@]}" "${D[@]}" --modality text --scores kept/out --fractions "0.1,$fraction"
done
fails 2 "--grid changes nothing beside --fractions" -- evaluate "${M[@]}" "${D[@]}" --modality text \
    --scores kept/out --fractions 0.1 --grid ref

# ---- models --------------------------------------------------------------------------
fails 1 nowhere "no such model folder" -- inspect --model nowhere
mkdir empty
fails 1 empty config.json -- inspect --model empty
fails 1 empty config.json -- predict --model empty "${D[@]}"

model family
rm family/config.json
sed 's/"model_type": "qwen2_vl"/"model_type": "mamba"/' "$golden/checkpoint/config.json" > family/config.json
fails 1 family/config.json "'mamba'" qwen2_vl -- inspect --model family
fails 1 family/config.json "'mamba'" qwen2_vl -- predict --model family "${D[@]}"
fails 1 family/config.json "'mamba'" qwen2_vl -- attribute --model family "${D[@]}" "${TEXT[@]}"

model broken
rm broken/config.json
head -c 100 "$golden/checkpoint/config.json" > broken/config.json
fails 1 broken/config.json line -- predict --model broken "${D[@]}"

model truncated
rm truncated/model.safetensors
head -c 200000 "$golden/checkpoint/model.safetensors" > truncated/model.safetensors
fails 1 truncated/model.safetensors "'model.layers." "the data, which has 191" -- predict --model truncated "${D[@]}"
fails 1 truncated/model.safetensors "'model.layers." "the data, which has 191" -- attribute --model truncated "${D[@]}" "${TEXT[@]}"
fails 1 truncated/model.safetensors "'model.layers." "the data, which has 191" -- inspect --model truncated

model headless
rm headless/model.safetensors
head -c 5 "$golden/checkpoint/model.safetensors" > headless/model.safetensors
fails 1 headless/model.safetensors "5 bytes" -- predict --model headless "${D[@]}"

# Two shards, of which the second is not there, or ends early.
names=$(head -c 100000 "$golden/checkpoint/model.safetensors" |
        grep -ao '"[^"]*":{"dtype"' | cut -d'"' -f2)
model missing
mv missing/model.safetensors missing/model-00001-of-00002.safetensors
{
    echo '{"metadata": {}, "weight_map": {'
    for name in $names; do
        echo "\"$name\": \"model-00001-of-00002.safetensors\","
    done
    echo '"extra": "model-00002-of-00002.safetensors"}}'
} > missing/model.safetensors.index.json
fails 1 model-00002-of-00002.safetensors -- predict --model missing "${D[@]}"
fails 1 model-00002-of-00002.safetensors -- attribute --model missing "${D[@]}" "${TEXT[@]}"
head -c 1000 "$golden/checkpoint/model.safetensors" > missing/model-00002-of-00002.safetensors
fails 1 missing/model-00002-of-00002.safetensors 1000 -- predict --model missing "${D[@]}"

# ---- other architectures --------------------------------------------------------------
family yarn qwen2_5_vl config.json
sed 's/"rope_type": "default"/"rope_type": "yarn"/; s/"type": "default"/"type": "yarn"/' \
    "$families/qwen2_5_vl/config.json" > yarn/config.json
fails 1 yarn/config.json "rope_scaling" "'yarn'" -- inspect --model yarn
family relu gemma3 config.json
sed 's/"hidden_activation": "gelu_pytorch_tanh"/"hidden_activation": "relu"/' \
    "$families/gemma3/config.json" > relu/config.json
fails 1 "'hidden_activation' is 'relu'" -- inspect --model relu
family quantised pixtral config.json
sed '1s/{/{"quantization_config": {"quant_method": "bitsandbytes"},/' \
    "$families/pixtral/config.json" > quantised/config.json
fails 1 quantised/config.json "'quantization_config' is" bitsandbytes -- inspect --model quantised
family stranger pixtral tokenizer.json
ln -s "$families/gemma3/tokenizer.json" stranger/tokenizer.json
fails 1 stranger/tokenizer.json "no token <s>" "llava" -- predict --model stranger --dataset stranger
family crops gemma3 preprocessor_config.json
sed 's/"do_pan_and_scan": false/"do_pan_and_scan": true/' \
    "$families/gemma3/preprocessor_config.json" > crops/preprocessor_config.json
fails 1 crops/preprocessor_config.json "'do_pan_and_scan' is true" -- \
    predict --model crops --dataset crops
family blind llava preprocessor_config.json
fails 1 blind/preprocessor_config.json "images need it" -- inspect --model blind --image-size 9x9
fails 1 "'image-0'" blind/preprocessor_config.json -- \
    predict --model blind --dataset blind --modality image
fails 1 "9000x28" "29250 pixels long" -- inspect --model "$families/llava" --image-size 9000x28
fails 1 "9000x28" "200" -- inspect --model "$families/qwen2_5_vl" --image-size 9000x28
fails 1 "9000x3" "no pixel left" -- inspect --model "$families/pixtral" --image-size 9000x3
fails 2 "--image-size is '9'" "252x252" -- inspect "${M[@]}" --image-size 9
fails 2 "--image-size 99999x99999" "268435456 pixels" -- inspect "${M[@]}" --image-size 99999x99999
model ghost
mv ghost/model.safetensors ghost/1.safetensors
{
    echo '{"metadata": {}, "weight_map": {'
    for name in $names; do
        echo "\"$name\": \"1.safetensors\","
    done
    echo '"ghost": "1.safetensors"}}'
} > ghost/model.safetensors.index.json
what="inspect --model ghost"
"$bin" inspect --model ghost > /dev/null 2> stderr || complain "nobody needs the ghost"
LC_ALL=C sed -i 's/"model\.norm\.weight"/"model.norm.ghosts"/' ghost/1.safetensors
fails 1 "'model.norm.weight' is named by the index, in 1.safetensors, but no shard holds it" -- inspect --model ghost

model tokens
rm tokens/tokenizer.json
fails 1 tokens/tokenizer.json -- predict --model tokens "${D[@]}"

# A label, and a word of the prompts, that the tokenizer has and the model has not.
for token in 1 sequence; do
    model "high-$token"
    rm "high-$token/tokenizer.json"
    sed -E "s/^( *\"(Ġ)?$token\": )[0-9]+/\\11000000/" "$golden/checkpoint/tokenizer.json" \
        > "high-$token/tokenizer.json"
    for command in predict "attribute --modality text --out kept/out" "study --out $token.study"; do
        # shellcheck disable=SC2086
        fails 1 "row 'text-0'" "$token' is token 1000000 of the tokenizer" "the model has only 640" -- \
            $command --model "high-$token" "${D[@]}"
    done
done

fails 1 "budget" "MiB" -- predict "${M[@]}" "${D[@]}" --memory 1K
fails 1 "budget" "MiB" -- attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --memory 1K

# ---- datasets ------------------------------------------------------------------------
fails 1 nowhere -- predict "${M[@]}" --dataset nowhere
mkdir nothing
: > nothing/dataset.jsonl
fails 1 nothing/dataset.jsonl "no rows" -- predict "${M[@]}" --dataset nothing

data nobody 's/"cf": "text-1"/"cf": "nobody"/'
fails 1 nobody/dataset.jsonl:1 "'nobody'" -- predict "${M[@]}" --dataset nobody
fails 1 nobody/dataset.jsonl:1 "'nobody'" -- attribute "${M[@]}" --dataset nobody "${TEXT[@]}"

data noimage 's/images\/0.png/images\/none.png/'
fails 1 noimage/images/none.png "'image-0'" -- predict "${M[@]}" --dataset noimage
fails 1 noimage/images/none.png "'image-0'" -- attribute "${M[@]}" --dataset noimage "${IMAGE[@]}"

data badimage 's/images\/0.png/half.png/' 's/images\/1.png/words.png/'
head -c 300 "$golden/goldens/images/0.png" > badimage/half.png
echo "no image at all" > badimage/words.png
fails 1 badimage/half.png "'image-0'" -- predict "${M[@]}" --dataset badimage --ids image-0
fails 1 badimage/words.png "'image-1'" -- predict "${M[@]}" --dataset badimage --ids image-1

data unequal 's/ dog apple car apple/ dog dog dog dog apple car apple/'
for command in attribute "evaluate --scores kept/out"; do
    output=(--out kept/out)
    [ "$command" = attribute ] || output=()
    # shellcheck disable=SC2086
    fails 1 "'text-0'" "48 tokens" "45 tokens" -- \
        $command "${M[@]}" --dataset unequal --modality text "${output[@]}"
done

data noanswer 's/"answer": "4"/"answer": ""/'
fails 1 noanswer/dataset.jsonl "'answer' is empty" -- predict "${M[@]}" --dataset noanswer

data same '/"text-1"/s/"answer": "4"/"answer": "12"/'
fails 1 same/dataset.jsonl "'text-0'" "'text-1'" "'1'" "'12'" "first token" -- \
    predict "${M[@]}" --dataset same --ids text-0
fails 1 same/dataset.jsonl "'text-0'" "'text-1'" "first token" -- \
    attribute "${M[@]}" --dataset same "${TEXT[@]}"
fails 1 same/dataset.jsonl "'text-0'" "'text-1'" "first token" -- \
    trace "${M[@]}" --dataset same --id text-0 --grad --out kept/out

data label 's/"answer": "4"/"answer": "dog"/'
fails 1 label/dataset.jsonl "'dog'" "none of its 4 labels" -- predict "${M[@]}" --dataset label

data lonely 's/, "cf": "[^"]*"//'
fails 1 "'text-0' has no 'cf'" "twinlens pair" pairs -- \
    attribute "${M[@]}" --dataset lonely "${TEXT[@]}"
fails 1 "'text-0' has no 'cf'" -- \
    evaluate "${M[@]}" --dataset lonely --modality text --scores kept/out
fails 1 "--grad needs a counterfactual" "'text-0' has no 'cf'" -- \
    trace "${M[@]}" --dataset lonely --id text-0 --grad --out kept/out

data twice 's/"id": "text-1"/"id": "text-0"/'
fails 1 twice/dataset.jsonl:3 "'text-0'" -- predict "${M[@]}" --dataset twice
data cut '5s/....$//'
fails 1 cut/dataset.jsonl:5 -- predict "${M[@]}" --dataset cut

fails 1 "no row with id 'text-99'" -- predict "${M[@]}" "${D[@]}" --ids text-99
fails 1 "no row with id 'text-99'" -- predict "${M[@]}" "${D[@]}" --show text-99
fails 2 "--ids" "--show" -- predict "${M[@]}" "${D[@]}" --show text-0 --ids text-0
fails 1 "no row with id 'text-99'" -- trace "${M[@]}" "${D[@]}" --id text-99 --out kept/out
fails 1 "'image-0' is image" "text" -- attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --ids image-0
fails 1 "no text prompt of the discovery split" -- \
    attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --split discovery
data words '/"image"/d'
fails 1 "no image prompt" -- predict "${M[@]}" --dataset words --modality image
fails 1 "no image prompt" -- attribute "${M[@]}" --dataset words "${IMAGE[@]}"

# A study of the rows alone that the model gets wrong.
data hard '/^$/d'
"$bin" predict "${M[@]}" "${D[@]}" 2> /dev/null | awk -F '\t' '$8 == "wrong" {print $1}' > wrong.ids
{
    while read -r id; do
        grep -F "\"id\": \"$id\"" "$golden/goldens/dataset.jsonl"
    done < wrong.ids
} | sed 's/, "cf": "[^"]*"//' > hard/dataset.jsonl
"$bin" study "${M[@]}" --dataset hard --out hard.study > stdout 2> stderr
status=$?
what="study of prompts that the model gets wrong"
checked=$((checked + 1))
[ $status -eq 0 ] || complain "exit status $status, wanted 0"
for m in text image; do
    grep -q "^twinlens: warning: hard/dataset.jsonl: $m: 0 of [56] right, too few for two parts with two answers: no circuits of it" stderr ||
        complain "does not tell of $m"
done

# ---- labels that begin alike -----------------------------------------------------------
data alike 's/"answer": "2"/"answer": "12"/'
rm -f alike/task.json
echo '{"labels": ["1", "10", "11", "12"]}' > alike/task.json
sed -i 's/"answer": "[34]"/"answer": "10"/' alike/dataset.jsonl
for command in predict study "attribute --modality text" "backpatch --modality text --src 1 --dst 0"; do
    # shellcheck disable=SC2086
    fails 1 "alike/dataset.jsonl:1: row 'text-0': the model cannot tell its answer '1' from other labels" \
        "'1', '10', '11', '12' begin with one token, '1'" -- $command "${M[@]}" --dataset alike \
        $([ "$command" = predict ] || [ "${command#backpatch}" != "$command" ] || echo --out "new-${command%% *}")
done

# ---- score files -----------------------------------------------------------------------
scores()
{
    fails 1 "$@" -- evaluate "${M[@]}" "${D[@]}" --modality text --fractions 0.1 --scores "$file"
}
"$bin" attribute "${M[@]}" "${D[@]}" --modality image --out image.scores || exit 1
file=image.scores
scores image.scores "scores of another modality: image, wanted text"
fails 1 "'heads' is [4,44,6]" "want [4,45,6]" -- evaluate "${M[@]}" "${D[@]}" --modality text --fractions 0.1 \
    --scores image.scores --any-scores
file=$golden/goldens/forward.safetensors
scores forward.safetensors "'heads'" "score file"
file=nowhere.scores
scores nowhere.scores
head -c 500 image.scores > half.scores
file=half.scores
scores half.scores
cp "$golden/goldens/dataset.jsonl" words.scores
file=words.scores
scores words.scores
# Scores of the right shape: bits all ones, which is not a number.
header='{"heads":{"dtype":"F32","shape":[4,45,6],"data_offsets":[0,4320]},"neurons":{"dtype":"F32","shape":[4,45,80],"data_offsets":[4320,61920]}}'
length=$(printf '%02x' ${#header})
{
    printf "\\x$length\\0\\0\\0\\0\\0\\0\\0%s" "$header"
    head -c 61920 /dev/zero | tr '\0' '\377'
} > nan.scores
file=nan.scores
scores nan.scores "head 0 at layer 0, position 0 is" nan

# ---- two circuits --------------------------------------------------------------------
"$bin" attribute "${M[@]}" "${D[@]}" --modality text --out text.scores || exit 1
data other-data 's/"pair": "1"/"pair": "1" /'
"$bin" attribute "${M[@]}" --dataset other-data --modality image --out other-data.scores || exit 1
# Another model of the same shape: one byte of its last weight.
cp -r "$golden/checkpoint" other-model
chmod -R u+w other-model
python3 - other-model/model.safetensors << 'END' || exit 1
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(-2, 2)
    last = file.read(1)
    file.seek(-2, 2)
    file.write(bytes([last[0] ^ 1]))
END
"$bin" attribute --model other-model "${D[@]}" --modality image --out other-model.scores || exit 1
both() # TEXT-FRACTION IMAGE-FRACTION [TEXT-SCORES [IMAGE-SCORES]]: the options, in the array B
{
    B=(--text-scores "${3:-text.scores}" --image-scores "${4:-image.scores}"
       --text-fraction "$1" --image-fraction "$2")
}
for command in overlap interchange; do
    both 1.5 0.1
    fails 2 "--text-fraction: fraction 1.5 is outside 0..1" -- $command "${M[@]}" "${D[@]}" "${B[@]}"
    both 0.1 some
    fails 2 "--image-fraction: 'some'" -- $command "${M[@]}" "${D[@]}" "${B[@]}"
    both 0.1 0.1 image.scores
    fails 1 "image.scores: scores of another modality: image, wanted text" -- $command "${M[@]}" "${D[@]}" "${B[@]}"
    fails 1 "image.scores: 'heads' is [4,44,6]" "want [4,45,6]" -- $command "${M[@]}" "${D[@]}" "${B[@]}" --any-scores
    both 0.1 0.1 text.scores other-data.scores
    fails 1 "other-data.scores: scores of another dataset: " -- $command "${M[@]}" "${D[@]}" "${B[@]}"
    both 0.1 0.1 text.scores other-model.scores
    fails 1 "other-model.scores: scores of another model: " -- $command "${M[@]}" "${D[@]}" "${B[@]}"
    both 0.1 0.1 nan.scores
    fails 1 "nan.scores: the score of head 0" -- $command "${M[@]}" "${D[@]}" "${B[@]}"
done
both 0.1 0.1
fails 2 "--rand-match is 'any'" "segment" -- overlap "${M[@]}" "${D[@]}" "${B[@]}" --rand-match any
fails 2 "--inter-rand is 'any'" "valid" -- interchange "${M[@]}" "${D[@]}" "${B[@]}" --inter-rand any
data one-modality '/"modality": "image"/d'
fails 1 "no image prompt among its 6 rows" -- overlap "${M[@]}" --dataset one-modality "${B[@]}"

# ---- inputs that are no regular files --------------------------------------------------
# fifo FOLDER FILE: a FIFO in place of what is there; its only writer never comes.
fifo()
{
    rm -f "$1/$2"
    mkfifo "$1/$2"
}
what_it_is="is a FIFO, wanted a regular file"
for name in config.json model.safetensors tokenizer.json preprocessor_config.json; do
    model "fifo-$name"
    fifo "fifo-$name" "$name"
    for command in predict "attribute --modality text --out kept/out" "study --out made"; do
        # shellcheck disable=SC2086
        fails 1 "fifo-$name/$name: $what_it_is" -- $command --model "fifo-$name" "${D[@]}"
    done
    [ "$name" = preprocessor_config.json ] ||
        fails 1 "fifo-$name/$name: $what_it_is" -- inspect --model "fifo-$name"
done
model fifo-index
mv fifo-index/model.safetensors fifo-index/1.safetensors
fifo fifo-index model.safetensors.index.json
fails 1 "fifo-index/model.safetensors.index.json: $what_it_is" -- predict --model fifo-index "${D[@]}"
for name in dataset.jsonl task.json; do
    data "fifo-$name" '/^$/d'
    fifo "fifo-$name" "$name"
    fails 1 "fifo-$name/$name: $what_it_is" -- predict "${M[@]}" --dataset "fifo-$name"
done
fails 1 "fifo-dataset.jsonl/dataset.jsonl: $what_it_is" -- \
    predict "${M[@]}" --dataset fifo-dataset.jsonl/dataset.jsonl
data fifo-image 's/images\/1.png/picture/'
fifo fifo-image picture
fails 1 "fifo-image/picture: $what_it_is" "'image-1'" -- predict "${M[@]}" --dataset fifo-image
fails 1 "fifo-image/picture: $what_it_is" "'image-1'" -- study "${M[@]}" --dataset fifo-image --out made
fifo . fifo.scores
file=fifo.scores
scores "fifo.scores: $what_it_is"
both 0.1 0.1 fifo.scores
fails 1 "fifo.scores: $what_it_is" -- overlap "${M[@]}" "${D[@]}" "${B[@]}"
fifo . fifo.csv
fails 1 "fifo.csv: $what_it_is" -- task import-published --csv-text fifo.csv --csv-image fifo.csv \
    --model-family qwen2_vl --task arithmetic --out made
mkdir fifo-study
for name in study.db study.db-wal; do
    rm -f fifo-study/*
    [ $name = study.db ] || sqlite3 fifo-study/study.db "pragma user_version = 0; vacuum"
    fifo fifo-study $name
    fails 1 "fifo-study/$name: $what_it_is" -- summary fifo-study
    fails 1 "fifo-study/$name: $what_it_is" -- study "${M[@]}" "${D[@]}" --out fifo-study
done
fails 1 "/dev/zero: is a device, wanted a regular file" -- predict "${M[@]}" --dataset /dev/zero
model folder
rm folder/config.json
mkdir folder/config.json
fails 1 "folder/config.json: is a folder, wanted a regular file" -- predict --model folder "${D[@]}"

# ---- export --------------------------------------------------------------------------
fails 2 "wanted the folder of a study" -- export --out made
fails 2 "--out DIR is missing" -- export nowhere
fails 1 "nowhere: no study.db there" -- export nowhere --out made

# A head of which one row, of a token that is no label, is not a number; it is the file's first tensor.
model nan-row
rm nan-row/model.safetensors
cp "$golden/checkpoint/model.safetensors" nan-row/
chmod u+w nan-row/model.safetensors
begin=$((8 + $(od -An -tu8 -N8 nan-row/model.safetensors)))
printf '\300\177' | dd of=nan-row/model.safetensors bs=1 seek=$((begin + 2 * 48 * 500)) conv=notrunc status=none
fails 1 "twinlens predict: prompt 'text-0': the logit of token 500 is nan; wanted a finite number" \
    -- predict --model nan-row "${D[@]}"

# ---- probes --------------------------------------------------------------------------
fails 1 "no image prompt has a text prompt of the same 'pair'" -- align "${M[@]}" --dataset one-modality
B=(--modality image)
fails 2 "--src has '4', wanted whole numbers below 4" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --src 4
fails 2 "--dst has 'a'" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --dst a
fails 2 "a window of 2 layers, wanted an odd one" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --window 2
fails 2 "--src and --dst leave no cell" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --src 0
fails 2 "--times is '0'" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --times 0
fails 2 "--bp-filter is 'most', wanted one of none, modal" -- align "${M[@]}" "${D[@]}" --bp-filter most
fails 2 "--align is 'words', wanted one of act, unembed" -- align "${M[@]}" "${D[@]}" --align words
fails 2 "--bp-repeat is 'no', wanted one of on, off" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --bp-repeat no
fails 2 "--iter-labels is 'all', wanted one of question, union" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --iter-labels all
fails 2 "--bp-search is 'half', wanted one of full, halving" -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --bp-search half
mkdir bare
ln -s "$golden/goldens/images" "$golden/goldens/dataset.jsonl" bare/
fails 1 "prompt 'image-0' has no labels, wanted some for --bp-search halving" \
    -- backpatch "${M[@]}" --dataset bare "${B[@]}" --bp-search halving
fails 0 "--bp-search halving changes nothing: 1 cell and 6 prompts are too few to search" \
    -- backpatch "${M[@]}" "${D[@]}" "${B[@]}" --bp-search halving --src 2 --dst 0
data longer '/"id": "text-0"/s/"data": "/& dog dog/'
fails 1 "--bp-filter modal leaves no prompt: none is in a pair whose text has 45 tokens" \
    -- backpatch "${M[@]}" --dataset longer "${B[@]}" --ids image-0 --src 2 --dst 0 --bp-filter modal
fails 2 "--ig-steps has '0'" -- validate "${M[@]}" "${D[@]}" "${B[@]}" --ig-steps 5,0
fails 2 "--method has 'lrp', wanted some of ig|relp" -- validate "${M[@]}" "${D[@]}" "${B[@]}" --method ig,lrp
fails 2 "--ig-rule names 'right' twice" -- validate "${M[@]}" "${D[@]}" "${B[@]}" --ig-rule right,right
fails 2 "--method is 'lrp', wanted one of ig, relp" -- attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --method lrp
fails 2 "--ig-rule is 'left', wanted one of right, midpoint" -- attribute "${M[@]}" "${D[@]}" "${TEXT[@]}" --ig-rule left
fails 2 "--ig-steps names 9 numbers" -- validate "${M[@]}" "${D[@]}" "${B[@]}" --ig-steps 1,2,3,4,5,6,7,8,9

# ---- output ------------------------------------------------------------------------------
for command in "attribute --modality text" "trace --id text-0"; do
    # shellcheck disable=SC2206
    run=($command "${M[@]}" "${D[@]}")
    fails 1 kept/out/x -- "${run[@]}" --out kept/out/x
    fails 1 nowhere/x "no folder nowhere" -- "${run[@]}" --out nowhere/x
    fails 1 kept "is a folder" -- "${run[@]}" --out kept
    fails 1 /proc/twinlens.out -- "${run[@]}" --out /proc/twinlens.out

    # A limit on the size of files stands for a full disk: writing fails half-way.
    trap '' XFSZ
    ulimit -S -f 4
    fails 1 kept/out "cannot write" -- "${run[@]}" --out kept/out
    ulimit -S -f unlimited
    trap - XFSZ

    if [ "$(id -u)" -ne 0 ]; then
        mkdir -p locked
        chmod 555 locked
        fails 1 locked/x "cannot write" -- "${run[@]}" --out locked/x
    fi
done
# ---- activations that are no numbers -------------------------------------------------
infinite layer 202478 # 8128 bytes of header; model.layers.2.mlp.down_proj.weight + 14
where="prompt 'text-0': layer 2, mlp_out: element 0 at position 0 is"
L=(--model layer "${D[@]}")
fails 1 "$where" -- predict "${L[@]}"
fails 1 "$where" -- align "${L[@]}" --json
fails 1 "$where" -- backpatch "${L[@]}" --modality text --src 2 --dst 1 --json
fails 1 "${where/text-0/text-1}" -- attribute "${L[@]}" "${TEXT[@]}" # the counterfactual
fails 1 "${where/text-0/text-1}" -- validate "${L[@]}" --modality text --json
fails 1 "$where" -- trace "${L[@]}" --id text-0 --sites embed --out kept/out
fails 1 "prompt 'text-0': layer 2, mlp_out" -- study "${L[@]}" --keep all --out run-of-layer
infinite tower 428798 # the last number: visual.patch_embed.proj.weight
fails 1 "prompt 'image-0': layer 0, resid_pre: " -- predict --model tower "${D[@]}" --ids image-0

# ---- folders of models that cannot be run --------------------------------------------
# no_weights NAME: a folder with everything but weights
no_weights()
{
    mkdir "$1" && cp "$golden"/checkpoint/*.json "$1"
}
no_weights w-bare
fails 1 "w-bare: neither model.safetensors nor model.safetensors.index.json is there" -- predict --model w-bare "${D[@]}"
"$bin" inspect --model w-bare | grep -q "^weights	w-bare: neither model.safetensors" || complain "inspect says nothing of weights"
no_weights w-pickled && touch w-pickled/pytorch_model-00001-of-00002.bin w-pickled/pytorch_model-00002-of-00002.bin
fails 1 "w-pickled: no model.safetensors is there, but pytorch_model-00001-of-00002.bin" "save_pretrained()" -- predict --model w-pickled "${D[@]}"
no_weights w-training && touch w-training/training_args.bin w-training/optimizer.pth
fails 1 "w-training: neither model.safetensors nor" -- predict --model w-training "${D[@]}"
no_weights w-quantised && touch w-quantised/model-q4.gguf
fails 1 "model-q4.gguf: weights as llama.cpp has them" -- predict --model w-quantised "${D[@]}"
fails 2 "w-quantised/model-q4.gguf: a file, wanted the folder of a model" -- predict --model w-quantised/model-q4.gguf "${D[@]}"
no_weights w-dangling && ln -s ../../blobs/4711 w-dangling/model.safetensors
fails 1 "w-dangling/model.safetensors: a link to ../../blobs/4711, which is not there" "download" -- predict --model w-dangling "${D[@]}"
mkdir -p hub/models--o--n/snapshots hub/models--o--n/blobs && no_weights hub/models--o--n/snapshots/1
touch hub/models--o--n/blobs/4711.incomplete
HF_HUB_CACHE=$PWD/hub fails 1 "4711.incomplete: half a download" -- predict --model o/n "${D[@]}"
HF_HUB_CACHE=$PWD/hub fails 1 "hub's cache $PWD/hub; \`hf download o/m\` fetches it" -- predict --model o/m "${D[@]}"
cp -r "$golden/checkpoint" w-cut && truncate -s -1000 w-cut/model.safetensors
fails 1 "w-cut/model.safetensors: truncated: '" -- predict --model w-cut "${D[@]}"
cp -r "$golden/checkpoint" w-pointers
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:4711\nsize 99\n' > w-pointers/tokenizer.json
fails 1 "w-pointers/tokenizer.json: is a git-lfs pointer" -- predict --model w-pointers "${D[@]}"

# ---- pictures of other kinds ----------------------------------------------------------
mkdir others
for kind in GIF:GIF89a BMP:BMxxxx 'TIFF:II*\0xx' 'TIFF:MM\0*xx' AVIF:xxxxftypavif HEIC:xxxxftypheic SVG:'<svg xmlns='; do
    printf "${kind#*:}" > others/picture
    echo '{"id": "a", "modality": "image", "image": "picture", "query": "?", "answer": "1"}' > others/dataset.jsonl
    fails 1 "row 'a': others/picture: is a ${kind%%:*} image, a PNG, JPEG or WebP image was wanted" "magick" -- predict "${M[@]}" --dataset others
done

[ "$(id -u)" -ne 0 ] || echo "not tested as root: a folder without permission to write"

mkdir small
if mount -t tmpfs -o size=16k tmpfs small 2> /dev/null; then
    mounted=$work/small
    echo "an earlier result" > small/out
    fails 1 small/out "No space left" -- attribute "${M[@]}" "${D[@]}" --modality text --out small/out
    [ "$(cat small/out)" = "an earlier result" ] || complain "the earlier result is gone"
    [ "$(ls -A small)" = out ] || complain "leaves $(ls -A small)"
    umount small && mounted=
else
    echo "not tested without the right to mount: a full file system"
fi

if [ -w /dev/full ]; then
    stdout=/dev/full
    fails 1 "standard output" -- --version
    fails 1 "standard output" -- help
    fails 1 "standard output" -- predict --help
    fails 1 "standard output" -- inspect "${M[@]}"
    fails 1 "standard output" -- inspect "${M[@]}" --json
    fails 1 "standard output" -- predict "${M[@]}" --dataset words --ids text-0 --json
    "$bin" attribute "${M[@]}" "${D[@]}" --modality text --out text.scores || exit 1
    fails 1 "standard output" -- evaluate "${M[@]}" "${D[@]}" --modality text \
        --scores text.scores --fractions 0,0.5
    unset stdout
fi

echo "$checked cases, $wrong complaints"
[ $wrong -eq 0 ]
