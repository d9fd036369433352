# SPDX-License-Identifier: MIT
"""Attribution and activation patching beside TransformerLens 4 (TransformerBridge), on a Qwen2.5-VL checkpoint, in one run.

    PYTHON bench/beside_transformerlens.py --build BUILD --model DIR --dataset DIR [--modality image] [--prompts 2] [--threads 2]

PYTHON has transformer-lens 4 and transformers 5; the checkpoint is made by bench/checkpoint.py bench-2.5. TransformerLens has
no attribution of its own and its patching functions take no image, so that both are written with its hooks, as its users write them:
five steps of integrated gradients over the assembled embeddings, a way back for each, scores of every head (`hook_z`) and neuron
(`mlp.out.hook_in`) at every position; and one run for each component that is patched. Both sides get the same prompts in f32, and
models are loaded and prompts encoded before the clock starts. Seconds are those of a processor, of all threads together.
Agreement: of all heads' scores, and of the exact effects of the patched components.
"""
import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import figures

PEER = "TransformerLens"
STEPS, FEW = 5, 2


def chat(processor, row, dataset):
    from PIL import Image
    image = "image" in row
    content = ([{"type": "image"}] if image else []) + [
        {"type": "text", "text": row.get("before", "") + row.get("data", "") + row["query"]}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    images = [Image.open(dataset / row["image"]).convert("RGB")] if image else None
    return dict(processor(text=[text], images=images, return_tensors="pt"))


class Lens:
    """What a user of TransformerLens writes."""

    def __init__(self, folder, threads):
        import torch
        import transformers
        from transformer_lens.model_bridge import TransformerBridge
        transformers.logging.set_verbosity_error()
        torch.set_num_threads(threads)
        self.torch = torch
        self.bridge = TransformerBridge.boot_transformers(str(folder), dtype=torch.float32, device="cpu")
        self.bridge.original_model.requires_grad_(False)
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        layers = range(self.bridge.cfg.n_layers)
        self.heads = [f"blocks.{i}.attn.hook_z" for i in layers]
        self.neurons = [f"blocks.{i}.mlp.out.hook_in" for i in layers]

    def difference(self, logits, pair):
        return logits[0, -1, pair["answer"]] - logits[0, -1, pair["other"]]

    def activations(self, inputs):
        kept = {}
        names = {*self.heads, *self.neurons, "blocks.0.hook_resid_pre"}
        keep = [(n, lambda x, hook, n=n: kept.__setitem__(n, x.detach())) for n in names]
        with self.torch.no_grad():
            logits = self.run(inputs, keep)
        return kept, logits

    def run(self, inputs, hooks):
        rest = {k: v for k, v in inputs.items() if k != "input_ids"}
        return self.bridge.run_with_hooks(inputs["input_ids"], fwd_hooks=hooks, **rest)

    def attribute(self, pair):
        """Heads [layers, positions, heads] and neurons, as `twinlens attribute` has them of one prompt."""
        clean, _ = self.activations(pair["clean"])
        other, _ = self.activations(pair["counterfactual"])
        start, end = (x["blocks.0.hook_resid_pre"] for x in (other, clean))
        sums = {}
        for k in range(1, STEPS + 1):
            at, sites = (start + k / STEPS * (end - start)).requires_grad_(True), {}

            def keep(x, hook, name):
                x.retain_grad()
                sites[name] = x
                return x  # a bridge splits heads into a view, which is in the graph only if it is handed back
            hooks = [("blocks.0.hook_resid_pre", lambda x, hook: at)]
            hooks += [(n, lambda x, hook, n=n: keep(x, hook, n)) for n in self.heads + self.neurons]
            self.difference(self.run(pair["clean"], hooks), pair).backward()
            for n, x in sites.items():
                sums[n] = sums.get(n, 0) + (other[n] - clean[n]) * x.grad
        stack = lambda names: self.torch.stack([sums[n][0] for n in names]) / STEPS
        return stack(self.heads).abs().sum(-1), stack(self.neurons).abs()

    def patch(self, pair, components):
        """LD of the clean run with one component of the other, minus LD of the clean run."""
        _, logits = self.activations(pair["clean"])
        other, _ = self.activations(pair["counterfactual"])
        whole = self.difference(logits, pair).item()
        effects = []
        for c in components:
            name = (self.heads if c["kind"] == "heads" else self.neurons)[c["layer"]]

            def put(x, hook):
                x = x.clone()
                x[0, c["position"], c["index"]] = other[name][0, c["position"], c["index"]]
                return x
            with self.torch.no_grad():
                effects.append(self.difference(self.run(pair["clean"], [(name, put)]), pair).item() - whole)
        return effects


def correlation(x, y):
    import numpy
    return float(numpy.corrcoef(numpy.asarray(x, float).ravel(), numpy.asarray(y, float).ravel())[0, 1])


def processor_seconds(command, threads):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out, _ = figures.call(command, threads)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def validate(a, ids, sample):
    command = [a.build / "twinlens", "validate", "--model", a.model, "--dataset", a.dataset, "--modality", a.modality, "--ids",
               ",".join(ids), "--prompts", len(ids), "--sample", sample, "--method", "ig", "--ig-rule", "right", "--ig-steps",
               "1", "--threads", a.threads, "--json"]
    out, seconds = processor_seconds(command, a.threads)
    return json.loads(out)["components"], seconds


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("build", "model", "dataset"):
        ap.add_argument("--" + flag, required=True, type=Path)
    ap.add_argument("--modality", default="image")
    ap.add_argument("--prompts", type=int, default=2)
    ap.add_argument("--sample", type=int, default=8, help="heads, and as many neurons, patched in a prompt")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    if a.sample <= FEW:
        sys.exit(f"beside_transformerlens: --sample {a.sample}: wanted more than {FEW}, of which the cost of all else is known")
    try:
        from importlib.metadata import version
        peer = f"{PEER} {version('transformer-lens')}"
    except ImportError:
        sys.exit("beside_transformerlens: this Python has no transformer-lens: pip install 'transformer-lens>=4'")
    rows = {r["id"]: r for r in map(json.loads, (a.dataset / "dataset.jsonl").read_text().splitlines())}
    mine = [r for r in rows.values() if r["modality"] == a.modality and "cf" in r][:a.prompts]
    ids = [r["id"] for r in mine]

    lens = Lens(a.model, a.threads)
    import numpy
    token = lambda row: lens.processor.tokenizer(row["answer"], add_special_tokens=False)["input_ids"][0]
    pairs = [{"clean": chat(lens.processor, r, a.dataset), "counterfactual": chat(lens.processor, rows[r["cf"]], a.dataset),
              "answer": token(r), "other": token(rows[r["cf"]])} for r in mine]
    lens.activations(pairs[0]["clean"])  # what only the first run takes
    start, scores = time.process_time(), None
    for pair in pairs:
        found = [x.numpy() / len(pairs) for x in lens.attribute(pair)]
        scores = found if scores is None else [x + y for x, y in zip(scores, found)]
    their_seconds = (time.process_time() - start) / len(pairs)
    their_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "scores.safetensors"
        attribute = [a.build / "twinlens", "attribute", "--model", a.model, "--dataset", a.dataset, "--modality", a.modality, "--ids",
                     ",".join(ids), "--threads", a.threads, "--out", out]
        figures.call(attribute, a.threads)
        from safetensors.numpy import load_file
        ours = load_file(out)
    engine = figures.read(figures.call([a.build / "bench_engine", a.model, a.dataset, a.threads, a.modality, a.prompts], a.threads)[0])
    engine = {r["figure"]: r["value"] for r in engine}

    few, base = validate(a, ids, FEW)
    components, full = validate(a, ids, a.sample)
    start, exact, theirs = time.process_time(), [], []
    for i, pair in enumerate(pairs):
        of = [c for c in components if c["prompt"] == i]
        exact += [c["exact"] for c in of]
        theirs += lens.patch(pair, of)
    patch_seconds = (time.process_time() - start) / len(theirs)

    case = f"{a.modality}, {pairs[0]['clean']['input_ids'].shape[1]} positions, {len(pairs)} prompts, {a.threads} threads"
    figures.head()
    figures.show("attribution, 5 steps of IG", case, engine["attribution, 5 steps of IG, CPU"], "CPU s/prompt", "measured", peer, their_seconds)
    figures.show("memory of attribution", case, engine["peak memory"], "MiB", "measured", peer, their_memory)
    figures.show("activation patching", case, (full - base) / (len(components) - len(few)), "CPU s/component", "measured", peer,
                 patch_seconds)
    for name, x, y in (("heads", scores[0], ours["heads"]), ("neurons", scores[1], ours["neurons"])):
        figures.show(f"agreement of scores of {name}", case, correlation(x, y), "Pearson correlation", "measured")
        figures.show(f"agreement of scores of {name}", case, float(numpy.abs(x - y).max() / numpy.abs(x).max()),
                     "largest difference / largest score", "measured")
    far = max(abs(x - y) for x, y in zip(exact, theirs))
    figures.show("agreement of exact effects", f"{case}, {len(exact)} components", far / max(map(abs, theirs)),
                 "largest difference / largest effect", "measured")


if __name__ == "__main__":
    main()
