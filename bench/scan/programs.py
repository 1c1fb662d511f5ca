"""What an eighth review got past the scanner: programs that torch exported, templates in configurations, pickles in MessagePack."""

from __future__ import annotations

import json
import struct

import pickles
from malicious import zipped

SYMBOL = "Symbol('s77', positive=True, integer=True)"
CALL = "__import__('os').system('echo inert')"
JINJA = "{{ lipsum.__globals__['os'].system('echo inert') }}"
PICKLE = pickles.call("os", "system", "echo inert")
FLAGS = {
    "compiler": "g++", "definitions": [], "include_dirs": ["/usr/include"], "cflags": ["O3", "fPIC"], "ldflags": [],
    "libraries_dirs": [], "libraries": ["torch"], "passthrough_args": ["-Wl,-z"], "compile_only": True,
}  # fmt: skip


def exported(size: str = SYMBOL, guards: list[str] | None = None, **more: bytes) -> bytes:
    """The parts of a `.pt2` that matter here, as torch 2.15 writes them."""
    sizes = [{"as_expr": {"expr_str": size, "hint": {"as_int": 3}}}, {"as_int": 4}]
    graph = {"tensor_values": {"x": {"dtype": 7, "sizes": sizes}}, "sym_int_values": {}}
    model = {"graph_module": {"graph": graph}, "range_constraints": {"s77": {"min_val": 2}}, "guards_code": guards or []}
    members = {"m/models/model.json": json.dumps(model).encode()} | {f"m/{name}": data for name, data in more.items()}
    return zipped(members | {"m/archive_format": b"pt2", "m/archive_version": b"0", "m/.data/version": b"3\n"})


def compiled(**flags: object) -> bytes:
    folder = "m/data/aotinductor/model"
    members = {f"{folder}/x.wrapper.cpp": b"int f() { return 1; }\n"} if not flags else {}
    members[f"{folder}/x.wrapper_compile_flags.json"] = json.dumps(FLAGS | flags).encode()
    return zipped(members | {"m/archive_format": b"pt2", "m/archive_version": b"0", "m/.data/version": b"3\n"})


def packed(value: object) -> bytes:
    """MessagePack, as far as it is needed here."""
    match value:
        case True:
            return b"\xc3"
        case bytes():
            return b"\xc5" + struct.pack(">H", len(value)) + value
        case str():
            return b"\xd9" + bytes([len(value.encode())]) + value.encode()
        case int():
            return bytes([value])
        case list():
            return bytes([0x90 | len(value)]) + b"".join(map(packed, value))
        case dict():
            return bytes([0x80 | len(value)]) + b"".join(packed(k) + packed(v) for k, v in value.items())
    raise TypeError(value)


def array(kind: bytes, data: bytes) -> dict[bytes, object]:
    return {b"nd": True, b"type": "O", b"kind": kind, b"shape": [1], b"data": data}


def programs() -> dict[str, bytes]:
    behind = {"name": "x", "prompts": [{"template_format": "jinja2", "template": JINJA}]}
    return {
        "size.pt2": exported(f"{CALL} or {SYMBOL}"),
        "size-attribute.pt2": exported("Symbol('s0').__class__"),
        "size-text.pt2": exported("Max('exec(1)', 2)"),
        "size/model.json": json.dumps({"expr_str": CALL}).encode(),
        "guard.pt2": exported(guards=["L['x'].size()[0] <= 8", f"{CALL} == 0"]),
        "guard-quote.pt2": exported(guards=["L[\"' + exec('') + '\"] == 1"]),
        "guard-line.pt2": exported(guards=["True, '')\n  exec('')\n  (1"]),
        "compiled.pt2": compiled(),
        "compiler.pt2": compiled(compiler="echo inert; g++"),
        "compiler-brought.pt2": compiled(compiler="./g++"),
        "flag.pt2": compiled(cflags=["O3 $(echo inert)"]),
        "lm-eval/task.yaml": f"task: x\ndataset_path: arc\ndoc_to_text: \"{JINJA}\"\n".encode(),
        "lm-eval/block.yaml": f"task: x\ndoc_to_text: |\n  {{% if a %}}b{{% endif %}}\n  {JINJA}\n".encode(),
        "lm-eval/escaped.yaml": b'doc_to_text: "{{ lipsum.\\x5f\\x5fglobals\\x5f\\x5f }}"\n',
        "lm-eval/broken.yaml": f"doc_to_text: \"{JINJA}\"\nother: \"{{{{ }}}}\"\n".encode(),
        "lm-eval/computed.yaml": b"doc_to_text: \"{{ lipsum[['_'*2,'globals','_'*2]|join] }}\"\n",
        "prompt.json": json.dumps({"_type": "prompt", "template_format": "jinja2", "template": JINJA}).encode(),
        "prompts.json": (json.dumps(behind) + "\n" + json.dumps(behind)).encode(),
        "long.json": json.dumps({"pad": "x" * (5 << 20), "template": JINJA}).encode(),
        "spacy/config.cfg": f'[components.llm.task]\ntemplate = "{JINJA}"\n'.encode(),
        "generation.toml": f'template = "{JINJA}"\n'.encode(),
        "escaped.toml": b'template = "{{ lipsum.\\u005f\\u005fglobals\\u005f\\u005f }}"\n',
        "array.msgpack": packed({"params": array(b"O", PICKLE)}),
        "spacy/model": packed({"params": array(b"O", PICKLE)}),
        "array-text.msgpack": packed({"nd": True, "kind": "O", "data": PICKLE.decode("latin-1")}),
        "modular/modular_model_index.json": json.dumps({"_class_name": "P", "unet": [None, None, {"type_hint": ["../evil", "E"]}]}).encode(),
        "adapter/adapter_config.json": b'{"peft_type": "PROMPT_TUNING", "prompt_tuning_init_state_dict_path": "/etc/passwd"}',
    }


def harmless() -> dict[str, bytes]:
    guards = ["L['x'].size()[0] <= 8", "L['args'][0].size()[1] % 2 == 0", "math.floor(L['x'].size()[0] / 2) != 0", "not (L['y'].stride()[0] == 1)"]
    sizes = f"Add(Mul(Integer(2), {SYMBOL}), Max(Integer(1), FloorDiv({SYMBOL}, Integer(2))), Integer(-1))"
    example = "{{question.strip()}}\nAnswer: {{ choices[label] }} {% for c in choices %}{{ loop.index }}. {{ c }}{% endfor %}"
    return {
        "size.pt2": exported(sizes, guards),
        "relation.pt2": exported(f"StrictLessThan(Integer(2), PythonMod({SYMBOL}, Integer(8)))"),
        "float.pt2": exported("Float('0.5', precision=53)"),
        "lm-eval/task.yaml": f"task: x\ndoc_to_text: {json.dumps(example)}\ndoc_to_target: '{{{{answer|trim}}}}'\n".encode(),
        "prompt.json": json.dumps({"template": example, "other": '{{"a": "{x}"}}', "mustache": "{{#if os}}{{> part}}{{/if}}"}).encode(),
        "setup.cfg": b"[bumpversion]\nserialize = {major}.{minor}\nmessage = {{ version }}\n",
        "workflow.yml": b"on: push\njobs:\n  a:\n    steps:\n    - run: echo ${{ github.event.inputs.x }}\n",
        "vocab/key2row": b"\x80",
        "textcat/model": packed({"nodes": [{"index": 0, "name": "a"}], "params": [array(b"", b"\x80\x03" + b"\0" * 30)]}),
        "plain.msgpack": packed({"params": array(b"", b"\x80\x03" + b"\0" * 30)}),
    }
