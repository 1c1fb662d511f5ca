"""Compares this engine with llama.cpp on the same GGUF files.

    pip install xllamacpp==2026.10.11549 numpy gguf
    cargo build --release -p ostrom-models --example probe
    python bench/llama/check.py model.gguf [another.gguf ...] [--library libllama-native.so] [--exact FOLDER]

Three comparisons: the tokens of `text.txt`, line by line and as a whole; greedy continuations of fifty prompts;
and, over a fixed text, the logits at every position. `--exact` names a folder where the script may keep copies of the
models with the same weights written as 32-bit floats (four bytes a weight). No activation is quantised with those, so
that both engines must agree on them almost exactly, and they give the yardstick for the quantised files.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy

import llama

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

# Texts of special tokens, alone and inside other text: servers parse them, and so do we.
SPECIAL = [
    "{0}",
    "{0}{1}",
    "before{0}after",
    "before {0} after",
    " {0}",
    "{0} ",
    "{0}\n{1}\n",
    "{1}user\nHello{0}\n{1}assistant\n",
    "a{0}{0}b{1}",
    "<{0}>",
]

PROMPTS = [
    "The capital of France is",
    "Once upon a time",
    "A commons is a resource that",
    "The farmers met by the river to decide",
    "In 1968 a well-known essay argued that",
    "Water boils at",
    "The three rules of the fishing village were: 1.",
    "def fibonacci(n):\n",
    "fn main() {\n    let mut total = 0;\n",
    "import numpy as np\n\ndef softmax(x):\n",
    "SELECT name, age FROM users WHERE",
    "<html>\n<head>\n<title>",
    "{\"name\": \"Ada\", \"year\":",
    "#!/bin/sh\nset -eu\n",
    "Q: What is the largest planet?\nA:",
    "Translate to French: good morning ->",
    "Le conseil du village a décidé que",
    "Der Wald gehört allen, aber",
    "El agua del río se reparte",
    "Il pascolo comune era",
    "Община решила, что",
    "村里的水井",
    "村の井戸は",
    "마을의 우물은",
    "गाँव का कुआँ",
    "البئر في وسط القرية",
    "Το πηγάδι του χωριού",
    "Làng giữ chung một",
    "Köyün ormanı",
    "1, 1, 2, 3, 5, 8, 13,",
    "2 + 2 = 4\n3 + 5 = 8\n7 + 6 =",
    "The chemical formula of water is H",
    "Dear Sir or Madam,\n\n",
    "Shopping list:\n- bread\n- milk\n-",
    "Monday, Tuesday, Wednesday,",
    "Roses are red, violets are",
    "To be or not to be, that is",
    "The password must contain at least",
    "WARNING: do not",
    "Breaking news: scientists have discovered",
    "She opened the letter, and her hands",
    "My grandmother used to say that",
    "The recipe needs two eggs,",
    "In mathematics, a prime number is",
    "The mitochondrion is",
    "According to the law,",
    "🐑🐑🐑",
    "    indented text",
    "THE OLD MAN AND",
    "The end of the story is that the",
]


class Probe:
    """A process that answers JSON lines: our side."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def ask(self, op, **arguments):
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise SystemExit(f"{op}: {answer['error']}")
        return answer

    def logits(self, ids):
        with tempfile.NamedTemporaryFile() as file:
            self.ask("logits", ids=ids, file=file.name)
            return numpy.fromfile(file.name, "<f4").reshape(len(ids), -1)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def check_tokens(ours, theirs):
    text = (HERE / "text.txt").read_bytes().decode()
    lines = text.removesuffix("\n").split("\n")
    specials = [theirs.piece(id) for id in ours.about["stops"][:2]]
    cases = [("line %d" % (i + 1), line) for i, line in enumerate(lines)]
    cases += [("the whole text", text), ("the empty text", ""), ("a newline", "\n"), ("newlines", "a\n\n\nb\n \n")]
    cases += [("special %d" % (i + 1), case.format(*specials)) for i, case in enumerate(SPECIAL)]
    wrong = count = 0
    for name, case in cases:
        answer = ours.ask("tokenize", text=case)
        expect = theirs.tokenize(case)
        count += len(expect)
        if answer["ids"] != expect:
            wrong += 1
            at = next((i for i, (a, b) in enumerate(zip(answer["ids"], expect)) if a != b), min(len(answer["ids"]), len(expect)))
            window = slice(max(at - 1, 0), at + 6)
            pieces = [[theirs.piece(id) for id in ids[window]] for ids in (answer["ids"], expect)]
            print(f"    {name}: from token {at} on ours {answer['ids'][window]} {pieces[0]}, llama.cpp {expect[window]} {pieces[1]}")
    print(f"- tokens: {len(cases) - wrong} of {len(cases)} texts the same ({count} tokens, {len(lines)} lines)")


def check_greedy(ours, theirs, tokens):
    answers = ours.ask("greedy", prompts=PROMPTS, tokens=tokens)["continuations"]
    differences = []
    agreed = total = 0
    for text, answer in zip(PROMPTS, answers):
        ids, gaps = theirs.greedy(answer["prompt"], tokens)
        at = next((i for i, (a, b) in enumerate(zip(answer["ids"], ids)) if a != b), None)
        agreed += tokens if at is None else at
        total += tokens if at is None else at + 1
        if at is not None:
            differences.append((text, at, answer["gaps"][at], gaps[at]))
    same = len(PROMPTS) - len(differences)
    print(f"- greedy: {same} of {len(PROMPTS)} continuations of {tokens} tokens the same; alone and in the batch: the same bits")
    print(f"  given the same beginning, {agreed} of {total} choices agree ({agreed / total:.2%})")
    for text, at, our_gap, their_gap in differences:
        print(f"    {text!r}: token {at}; gap of the two largest logits {our_gap:.3f}, llama.cpp {their_gap:.3f}")
    return differences


def compare(name, a, b):
    """Prints how two [position, vocabulary] arrays of logits differ."""
    first, second = a.argmax(1), b.argmax(1)
    positions = numpy.arange(len(a))
    regret = numpy.maximum(a.max(1) - a[positions, second], b.max(1) - b[positions, first])
    difference = numpy.abs(a - b)
    logs = [x - x.max(1, keepdims=True) for x in (a.astype(float), b.astype(float))]
    logs = [x - numpy.log(numpy.exp(x).sum(1, keepdims=True)) for x in logs]
    divergence = (numpy.exp(logs[0]) * (logs[0] - logs[1])).sum(1).mean()
    print(
        f"    {name}: same largest logit at {(first == second).sum()} of {len(a)} positions"
        f" (where not, at most {regret.max():.3f} apart); logits differ by {difference.mean():.5f} on average,"
        f" {difference.max():.4f} at most; mean divergence {divergence:.2e} nats"
    )


def dequantised(source, folder):
    """A copy of a GGUF file with every matrix in 32-bit floats."""
    import gguf

    target = pathlib.Path(folder) / (pathlib.Path(source).stem + ".f32.gguf")
    if target.exists():
        return target
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        value = 0 if field.name == "general.file_type" else field.contents()
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, kind, sub_type=inner)
    for tensor in reader.tensors:
        numbers = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        writer.add_tensor(tensor.name, numbers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def text_ids(theirs, positions):
    return theirs.tokenize((HERE / "text.txt").read_bytes().decode())[:positions]


def check_file(lib, path, options):
    """The file as it is. Gives the tokens of the fixed text and both engines' logits there."""
    ours = Probe([options.probe, path, options.threads])
    theirs = llama.Llama(lib, path, options.threads)
    check_tokens(ours, theirs)
    check_greedy(ours, theirs, options.tokens)
    chats = ours.ask("chat", users=PROMPTS[:16], tokens=32)
    print(f"- engine: {len(chats['texts'])} chats, one by one and at once, give the texts of the plain forward pass")
    ids = text_ids(theirs, options.positions)
    logits = {"ours": ours.logits(ids), "llama.cpp": numpy.concatenate(list(theirs.all_logits(ids)))}
    ours.close()
    theirs.close()
    print("- logits, teacher-forced:")
    compare("ours, llama.cpp", logits["ours"], logits["llama.cpp"])
    theirs = llama.Llama(lib, path, options.threads, cache=llama.F16)
    half = numpy.concatenate(list(theirs.all_logits(ids)))
    theirs.close()
    compare("llama.cpp with its cache in 32 bits, in 16 bits", logits["llama.cpp"], half)
    theirs = llama.Llama(lib, path, options.threads, extra=False)
    plain = numpy.concatenate(list(theirs.all_logits(ids)))
    theirs.close()
    compare("llama.cpp with repacked weights, without", logits["llama.cpp"], plain)
    return ids, logits


def check_exact(lib, path, options, ids, logits):
    """The same weights as 32-bit floats, and, where the file as it is was tried, how far either engine was from them."""
    exact = dequantised(path, options.exact)
    ours = Probe([options.probe, exact, options.threads])
    theirs = llama.Llama(lib, exact, options.threads)
    print("- the same weights as 32-bit floats:")
    check_greedy(ours, theirs, options.tokens)
    ids = ids or text_ids(theirs, options.positions)
    floats = {"ours": ours.logits(ids), "llama.cpp": numpy.concatenate(list(theirs.all_logits(ids)))}
    ours.close()
    theirs.close()
    compare("ours, llama.cpp", floats["ours"], floats["llama.cpp"])
    if logits:
        print("- what quantised activations cost:")
        compare("ours, exact", logits["ours"], floats["ours"])
        compare("llama.cpp, exact", logits["llama.cpp"], floats["llama.cpp"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--library", help="llama.cpp as a shared library; the one in xllamacpp if not given")
    parser.add_argument("--probe", default=ROOT / "target/release/examples/probe")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--positions", type=int, default=600)
    parser.add_argument("--exact", help="a folder for copies of the models in 32-bit floats")
    parser.add_argument("--only-exact", action="store_true", help="leave out the files as they are")
    options = parser.parse_args()
    lib = llama.library(options.library)
    sys.stdout.reconfigure(line_buffering=True)
    print("llama.cpp:", lib.llama_print_system_info().decode().strip())
    if options.only_exact and not options.exact:
        parser.error("--only-exact needs --exact FOLDER")
    for path in options.models:
        print(f"\n## {pathlib.Path(path).name}\n")
        ids, logits = (None, None) if options.only_exact else check_file(lib, path, options)
        if options.exact:
            check_exact(lib, path, options, ids, logits)


if __name__ == "__main__":
    main()
