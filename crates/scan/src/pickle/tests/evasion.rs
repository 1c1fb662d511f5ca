//! Ways to hide a call, and ways to wear out a scanner.

use ostrom_core::Severity;

use super::{check, clean, critical, findings, named};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

fn system() -> Asm {
    Asm::new().global("os", "system").call1("id")
}

#[test]
fn names_through_memo_and_stack_juggling() {
    let put = |asm: Asm, text: &str, at: u8| asm.short(text).op(op::BINPUT).raw(&[at]).op(op::POP);
    let get = |asm: Asm, at: u8| asm.op(op::BINGET).raw(&[at]);
    // Overwritten entries: the last one counts.
    let asm = put(put(put(Asm::proto(4), "collections", 1), "os", 1), "system", 2);
    critical(get(get(asm, 1), 2).op(op::STACK_GLOBAL).call1("id").stop(), &["os.system"]);
    // The other way round it is harmless.
    let asm = put(put(put(Asm::proto(4), "os", 1), "collections", 1), "OrderedDict", 2);
    clean(get(get(asm, 1), 2).op(op::STACK_GLOBAL).new_object().stop());
    let asm = Asm::proto(4).short("os").op(op::DUP).op(op::POP).op(op::MARK).short("x").op(op::POP_MARK);
    critical(asm.short("system").op(op::STACK_GLOBAL).call1("id").stop(), &["os.system"]);
    // Strings of old protocols.
    let asm = Asm::proto(4).line(op::UNICODE, r"\u006fs").line(op::STRING, r"'sys\x74em'");
    critical(asm.op(op::STACK_GLOBAL).call1("id").stop(), &["os.system"]);
    let asm =
        Asm::proto(4).op(op::SHORT_BINSTRING).raw(b"\x02os").op(op::BINUNICODE8).raw(&6_u64.to_le_bytes());
    critical(asm.raw(b"system").op(op::STACK_GLOBAL).call1("id").stop(), &["os.system"]);
    // Two lists in between, one of them thrown away.
    let asm = Asm::proto(4).short("os").short("system").op(op::STACK_GLOBAL).op(op::MEMOIZE).op(op::POP);
    critical(get(asm.op(op::EMPTY_LIST), 0).call1("id").op(op::APPEND).stop(), &["os.system"]);
}

#[test]
fn names_that_are_made_while_loading_are_undecided() {
    let made = Asm::new().global("_codecs", "encode").text("os").text("latin1").op(op::TUPLE2).op(op::REDUCE);
    let bytes = Asm::proto(4).raw(&made.unfinished()).short("system").op(op::STACK_GLOBAL).call1("id").stop();
    check(bytes, &["pickle-undecided"]);
    let joined = Asm::new().global("builtins", "str").text("os").op(op::TUPLE1).op(op::NEWOBJ);
    let bytes = Asm::proto(4).raw(&joined.unfinished()).short("system").op(op::STACK_GLOBAL).stop();
    check(bytes, &["pickle-undecided"]);
}

#[test]
fn dotted_names_and_odd_modules() {
    for (module, name) in [
        ("collections", "OrderedDict.__init__.__globals__"),
        ("numpy", "core.os.system"),
        ("sklearn.utils", "os.system"),
        ("os.path", "os.system"),
        ("collections", "abc.sys.modules"),
    ] {
        let found = findings(Asm::proto(4).stack_global(module, name).call1("id").stop());
        assert!(!found.is_empty(), "{module} {name}");
    }
    critical(Asm::proto(4).stack_global("sklearn.utils", "a.os.system").call1("id").stop(), &["os.system"]);
    // A Cyrillic o, shown for what it is.
    let found = findings(Asm::proto(4).stack_global("c\u{43e}llections", "OrderedDict").new_object().stop());
    assert!(found[0].message.contains("c\\u{43e}llections"), "{found:#?}");
    check(
        Asm::proto(2).global("collections ", "OrderedDict").new_object().stop(),
        &["pickle-unlisted-callable"],
    );
    check(
        Asm::proto(2).global("collections\r", "OrderedDict").new_object().stop(),
        &["pickle-unlisted-callable"],
    );
    check(Asm::proto(2).global("", "x").new_object().stop(), &["pickle-unlisted-callable"]);
    let long = "a".repeat(100_000);
    check(Asm::proto(2).global(&long, "x").new_object().stop(), &["pickle-unlisted-callable"]);
}

#[test]
fn whatever_ran_before_an_error_counts() {
    critical(system().unfinished(), &["os.system"]);
    critical(system().raw(&[0xff]).stop(), &["os.system"]);
    critical(
        Asm::proto(2).raw(&system().unfinished()).op(op::POP).op(op::POP).op(op::POP).stop(),
        &["os.system"],
    );
    check(
        Asm::proto(2).raw(&system().unfinished()).raw(&[0xff]).stop(),
        &["malformed", "pickle-dangerous-call"],
    );
    // The name's last byte is lost at the end of the file, as loaders lose it.
    let found = findings(Asm::proto(2).raw(b"cos\nsystemX").unfinished());
    assert!(found.iter().any(|finding| finding.message.contains("os.system,")), "{found:#?}");
}

#[test]
fn more_pickles_may_follow() {
    let honest = Asm::proto(4).int(1).stop();
    let bad = Asm::proto(2).raw(&system().unfinished()).stop();
    clean([honest.clone(), honest.clone()].concat());
    critical([honest.clone(), bad.clone()].concat(), &["os.system"]);
    critical([honest.clone(), system().stop()].concat(), &["os.system"]);
    critical([honest.clone(), honest.clone(), honest.clone(), bad].concat(), &["os.system"]);
    check([honest.clone(), vec![0; 100]].concat(), &["pickle-trailing"]);
    check([honest, b"N\xffhidden".to_vec()].concat(), &["pickle-trailing"]);
}

#[test]
fn protocols_are_mixed() {
    let asm = Asm::proto(0).raw(&system().unfinished());
    critical(asm.clone().stop(), &["os.system"]);
    check(asm.raw(&[op::PROTO, 5]).stop(), &["pickle-dangerous-call", "pickle-unusual"]);
    let late = Asm::new().int(1).op(op::POP).raw(&[op::PROTO, 4]).stack_global("os", "system").call1("id");
    critical(late.stop(), &["os.system"]);
}

#[test]
fn frames_that_lie_are_found() {
    clean(Asm::proto(4).frame(6).int(1).stop());
    clean(Asm::proto(4).frame(1).op(op::NONE).int(1).stop());
    check(Asm::proto(4).frame(100).int(1).stop(), &["pickle-frame"]);
    check(Asm::proto(4).frame(u64::MAX).int(1).stop(), &["pickle-frame"]);
    check(Asm::proto(4).frame(3).int(1).stop(), &["pickle-frame"]);
    check(Asm::proto(4).frame(15).frame(6).int(1).stop(), &["pickle-frame"]);
    let hidden = Asm::proto(4).frame(3).int(1).op(op::POP).raw(&system().unfinished());
    critical(hidden.stop(), &["os.system"]);
    let rest = Asm::proto(4).int(1).stop();
    let within = Asm::proto(4).frame(6 + rest.len() as u64).int(1).stop();
    check([within, rest].concat(), &["pickle-frame"]);
}

#[test]
fn registered_extensions_are_undecided_unless_the_pickle_registers_them() {
    check(
        Asm::proto(2).op(op::EXT2).raw(&[7, 1]).call1("id").stop(),
        &["pickle-extension", "pickle-undecided"],
    );
    let register =
        Asm::proto(2).global("copyreg", "add_extension").text("os").text("system").int(7).op(op::TUPLE3);
    let bytes = register.op(op::REDUCE).op(op::POP).op(op::EXT1).raw(&[7]).call1("id").stop();
    critical(bytes, &["os.system(\"id\")"]);
}

#[test]
fn what_is_not_in_the_file_is_undecided() {
    check(Asm::proto(2).line(op::PERSID, "os.system").stop(), &["pickle-persistent-id"]);
    check(Asm::proto(2).text("x").op(op::BINPERSID).stop(), &["pickle-persistent-id"]);
    check(
        Asm::proto(2).text("x").op(op::BINPERSID).call1("x").stop(),
        &["pickle-persistent-id", "pickle-undecided"],
    );
    check(Asm::proto(5).op(op::NEXT_BUFFER).op(op::READONLY_BUFFER).stop(), &["pickle-buffer"]);
}

#[test]
fn bombs_are_found_and_do_no_harm() {
    check(Asm::proto(2).int(1).op(op::LONG_BINPUT).raw(&[0xff; 4]).stop(), &["pickle-bomb"]);
    // A tuple of two of the one before, and so on, as a key.
    let mut laughs = Asm::proto(4).op(op::EMPTY_TUPLE);
    for _ in 0..200 {
        laughs = laughs.op(op::DUP).op(op::TUPLE2);
    }
    clean(laughs.clone().stop());
    let key = Asm::proto(4).op(op::EMPTY_DICT).raw(&laughs.unfinished()[2..]).int(1).op(op::SETITEM);
    check(key.stop(), &["pickle-bomb"]);
    let deep = |opcode: u8, count: usize| Asm::proto(2).op(op::NONE).raw(&vec![opcode; count]).stop();
    clean(deep(op::TUPLE1, 100_000));
    critical(
        Asm::proto(2)
            .op(op::NONE)
            .raw(&vec![op::TUPLE1; 400_000])
            .op(op::POP)
            .raw(&system().unfinished())
            .stop(),
        &["os.system"],
    );
    check(deep(op::MARK, 1_000_000), &["limit"]);
    check(deep(op::DUP, 2_000_000), &["limit"]);
    let long = Asm::proto(2).op(op::LONG4).raw(&2_000_000_i32.to_le_bytes()).raw(&vec![1; 2_000_000]);
    clean(long.stop());
}

#[test]
fn what_does_not_fit_in_memory_is_still_followed() {
    // A row of items longer than the stack, then a call by names from before it.
    let row =
        Asm::proto(4).short("os").op(op::MEMOIZE).op(op::POP).op(op::MARK).raw(&vec![op::NONE; 3_000_000]);
    let row = row.op(op::TUPLE).op(op::POP).op(op::BINGET).raw(&[0]).short("system").op(op::STACK_GLOBAL);
    critical(row.call1("id").stop(), &["os.system"]);
    // A memo with more entries than are kept.
    let memo = Asm::proto(4)
        .op(op::NONE)
        .raw(&vec![op::MEMOIZE; 2_000_000])
        .stack_global("os", "system")
        .op(op::MEMOIZE);
    let memo = memo.op(op::POP).op(op::LONG_BINGET).raw(&2_000_000_u32.to_le_bytes());
    critical(memo.call1("id").stop(), &["os.system"]);
    // More containers than are kept, all in the memo.
    let heap = [op::EMPTY_LIST, op::MEMOIZE].repeat(400_000);
    let heap =
        Asm::proto(4).raw(&[op::MARK]).raw(&heap).op(op::LIST).op(op::POP).stack_global("os", "system");
    critical(heap.call1("id").stop(), &["os.system"]);
    let heap = [op::EMPTY_LIST, op::MEMOIZE, op::POP].repeat(400_000);
    clean(
        Asm::proto(4)
            .raw(&heap)
            .stack_global("collections", "OrderedDict")
            .op(op::EMPTY_LIST)
            .op(op::TUPLE1)
            .op(op::REDUCE)
            .stop(),
    );
}

#[test]
fn what_is_too_large_to_follow_hides_no_pickle_without_a_mark() {
    // So many marks that nobody follows them all, then a call; loaders get there.
    let bytes = [vec![b'('; 300_000], b"cos\nsystem\n(S'x'\ntR.".to_vec()].concat();
    for name in ["weights", "weights.p", "weights.sav", "weights.txt", "weights.pkl"] {
        let found = named(name, bytes.clone());
        assert!(found.iter().any(|finding| finding.rule.as_str() == "limit"), "{name}: {found:#?}");
    }
}

#[test]
fn a_pickle_that_does_nothing_hides_none_behind_it() {
    for first in ["N.", "I1\n.I2\n.", "(lp0\n."] {
        let bytes = [first.as_bytes(), b"cos\nsystem\n(S'x'\ntR."].concat();
        for name in ["weights", "weights.txt", "weights.bin", "weights.p"] {
            let found = named(name, bytes.clone());
            assert!(found.iter().any(|finding| finding.severity == Severity::Critical), "{name}: {found:#?}");
        }
    }
    // A mark, an import, and nonsense where a sixth opcode would be.
    let found = named("weights", b"\x80\x04cevil\nx\n\xff".to_vec());
    assert!(found.iter().any(|finding| finding.rule.as_str() == "pickle-import"), "{found:#?}");
}

#[test]
fn text_that_acts_is_a_pickle_whatever_its_name() {
    let bytes = b"cos\nsystem\n(S'id'\ntR.".to_vec();
    for name in ["notes.txt", "README", "config.json", "x.png", "model.pkl"] {
        let found = named(name, bytes.clone());
        assert!(found.iter().any(|finding| finding.message.contains("os.system(\"id\")")), "{name}");
    }
    let found = named("notes.txt", b"(S'id'\nios\nsystem\nnonsense".to_vec());
    assert!(found.iter().any(|finding| finding.message.contains("os.system(\"id\")")), "{found:#?}");
    let found = named("notes.txt", b"cos\nsystem\nnonsense".to_vec());
    assert!(found.iter().any(|finding| finding.rule.as_str() == "pickle-import"), "{found:#?}");
}

/// Findings of the rules about pickles; other formats have their own to say.
fn pickled(name: &str, bytes: Vec<u8>) -> Vec<ostrom_core::Finding> {
    named(name, bytes).into_iter().filter(|finding| finding.rule.as_str().starts_with("pickle-")).collect()
}

#[test]
fn prose_and_pictures_are_no_pickles() {
    for text in [
        "cat\ndog\nmouse\n",
        "import os\nimport sys\nprint(1)\n",
        "class Net:\n    pass\n",
        "from x import y\n",
        "# Title\n\ntext\n",
        "{\"a\": 1}",
        "[1, 2]",
        "License\n\nSome text.\n",
        "Installation\n============\n",
        "(c) 2024 somebody\nall rights\n",
        "N.\n",
        ".\n",
        "I am\nyou are\n",
        "0\n1\n2\n",
        "0.5 0.7\n0.8\n",
        "2024-01-01\n",
        "lines(\n)",
        "]]>\n",
        "}\n",
        "\u{89}PNG\r\n\u{1a}\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
        "a b c\nd e f\n",
        "i\nj\nk\n",
        "Vocabulary\nof words\n.",
    ] {
        assert!(pickled("notes.txt", text.as_bytes().to_vec()).is_empty(), "{text}");
    }
    // Archives begin with the opcode of persistent ids, and this one holds an uncompressed pickle after a line's end.
    let inner = Asm::proto(2).global("os", "system").call1("id").stop();
    assert!(pickled("x.txt", [b"PK\x03\x04\n".to_vec(), inner].concat()).is_empty());
    assert!(pickled("image.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()).is_empty());
    assert!(
        pickled("random.raw", [&[0x80, 0x02][..], &[0x13, 0x99, 0xfe, 0x01].repeat(50)].concat()).is_empty()
    );
}

/// The findings that fail a scan, in files of all these names.
#[track_caller]
fn caught(names: &[&str], bytes: &[u8]) {
    for name in names {
        let found = named(name, bytes.to_vec());
        let fails = found.iter().any(|finding| {
            let undecided = crate::rules::rule(finding.rule.as_str()).is_some_and(|rule| rule.undecided);
            undecided || (finding.severity >= Severity::High && finding.rule.as_str().starts_with("pickle-"))
        });
        assert!(fails, "{name} {:?}: {found:#?}", String::from_utf8_lossy(bytes));
    }
}

const LOADED: [&str; 7] =
    ["model.pth", "model.dat", "scaler.pk", "model", "model.mdl", "weights.bin", "notes.txt"];

#[test]
fn a_memo_index_is_read_whole_however_long_it_is() {
    // For readers that cut it off, the names are those of a harmless class.
    let zeros = |count: usize, rest: &str| "0".repeat(count) + rest;
    for count in [64, 70, 4096, 70_000] {
        let bytes = Asm::proto(4)
            .line(op::UNICODE, "os")
            .line(op::PUT, "0")
            .op(op::POP)
            .line(op::UNICODE, "pathlib")
            .line(op::PUT, &zeros(count, "1"))
            .op(op::POP)
            .line(op::UNICODE, "system")
            .line(op::PUT, "2")
            .op(op::POP)
            .line(op::UNICODE, "PosixPath")
            .line(op::PUT, &zeros(count - 1, "23"))
            .op(op::POP)
            .line(op::GET, "0")
            .line(op::GET, "2")
            .op(op::STACK_GLOBAL);
        caught(&LOADED, &bytes.clone().call1("id").stop());
        if count < 70_000 {
            critical(bytes.call1("id").stop(), &["os.system(\"id\")"]);
        }
    }
    // `pickle.py` takes indices of any size.
    let far = "9".repeat(30);
    caught(
        &LOADED,
        &Asm::new().op(op::NONE).line(op::PUT, &far).line(op::GET, &far).raw(&system().stop()).unfinished(),
    );
}

#[test]
fn numbers_that_either_reader_takes_hide_no_call() {
    let call = b"0cos\nsystem\n(Vid\ntR.".to_vec();
    for start in [
        &b"Np-0\n"[..],
        b"Np 0\n",
        b"Np+0_0\n",
        b"Np0\0zz\n",
        b"Np0\n0g0\0zz\n",
        b"I1\0zz\n",
        b"I\0zz\n",
        b"I010\n",
        b"I 0x_f \n",
        b"I0b1\n",
        b"L1\0zzL\n",
        b"L1\0zz\n",
        b"L 5 L\n",
        b"F1\0z\n",
        b"F 1_0.5e+1_0 \n",
        b"F1e999\n",
        b"F-Infinity\n",
    ] {
        // Null bytes show that bytes are no text; there are few of them in a long file.
        let bytes = [start, &call, &b"#".repeat(100)].concat();
        caught(&LOADED, &bytes);
        caught(&["model.pkl"], &bytes);
    }
    let zeros = ["L", &"0".repeat(100), "L\n"].concat().into_bytes();
    caught(&LOADED, &[zeros, call].concat());
    // The names in front of the memo's end are cut as C cuts them.
    caught(&LOADED, b"cos\0\nsystem\n(Vid\ntR.");
}

/// PyTorch's format before 1.6, without the marks of newer protocols: the fourth pickle has the persistent id.
fn legacy(magic: &[u8]) -> Vec<u8> {
    [magic, b".I1001\n.N.(Vmodule\nNNNtQ0cos\nsystem\n(Vid\ntR."].concat()
}

#[test]
fn a_stream_of_older_pytorch_is_one_without_marks_too() {
    let padded = b"\x8a\x0c\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\0\0";
    for magic in [
        &b"L119547037146038801333356L\n"[..],
        b"I119547037146038801333356\n",
        b"L0x1950a86a20f9469cfc6cL\n",
        padded,
    ] {
        caught(&LOADED, &legacy(magic));
        caught(&["model.pkl", "weights.th"], &legacy(magic));
    }
    // Archives of older PyTorch have pickles with persistent ids under names without an extension.
    caught(&["pickle", "model"], b"P1\n0cos\nsystem\n(Vid\ntR.");
    caught(&["pickle", "model"], b"(Vmodule\nNNNtQ0cos\nsystem\n(Vid\ntR.");
}

#[test]
fn what_a_pickle_loads_as_a_file_is_found_or_undecided() {
    let nest = |bytes: &[u8]| {
        Asm::proto(4)
            .stack_global("torch.storage", "_load_from_bytes")
            .bytes(bytes)
            .op(op::TUPLE1)
            .op(op::REDUCE)
    };
    critical(nest(&legacy(b"L119547037146038801333356L\n")).stop(), &["os.system(\"id\")"]);
    critical(nest(&system().stop()).stop(), &["os.system(\"id\")"]);
    clean(nest(b"N.").stop());
    check(nest(b"some text, which is no pickle").stop(), &["pickle-undecided"]);
    check(nest(b"{\"a\": 1}").stop(), &["pickle-undecided"]);
    // As protocols 0 to 2 of both Pythons write bytes.
    let quoted = br"ctorch.storage
_load_from_bytes
(S'\x80\x02cos\nsystem\n(U\x02id\164R.'
tR.";
    critical(quoted.to_vec(), &["os.system(\"id\")"]);
    let escaped = br"ctorch.storage
_load_from_bytes
(c_codecs
encode
(V\u0080\u0002cos\u000asystem\u000a(U\u0002idtR.
Vlatin1
tRtR.";
    critical(escaped.to_vec(), &["os.system(\"id\")"]);
}

#[test]
fn arrays_of_joblib_are_as_long_as_numpy_says_or_undecided() {
    let wrapper = |shape: &[u8], dtype: &[u8], rest: &[u8]| {
        let start: &[u8] = b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x08subclasscnumpy\nndarray\n\x8c\x05order\x8c\x01C\x8c\nallow_mmap\x89\x8c\x05shape";
        [start, shape, b"\x8c\x05dtypecnumpy\ndtype\n", dtype, rest].concat()
    };
    // The state of a type that others share is not taken.
    let shared = wrapper(
        b"K\x02\x85",
        b"(\x8c\x02u1tR(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x01tb",
        b"ub\x8c\x130cos\nsystem\n\x8c\x02id\x85R..",
    );
    // Of six items the fifth is the length, and of nine the sixth.
    let six = wrapper(
        b"K\x06\x85",
        b"(\x8c\x02S8\x89\x88tR(K\x01\x8c\x01|NNK\x02K\x08tb",
        &[b"ub".as_slice(), &[0xff; 12], b"0cos\nsystem\n\x8c\x02id\x85R..", &[0xff; 7], b"."].concat(),
    );
    // An attribute that stands for a method.
    let read = wrapper(
        b"K\x00\x85",
        b"(\x8c\x02u1\x89\x88tR(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        b"\x8c\x04readcfunctools\npartial\n(cbuiltins\nlen\ntR(cbuiltins\nlen\n)}Ntbub.",
    );
    for bytes in [shared, six, read] {
        caught(&["x.joblib"], &bytes);
    }
}

#[test]
fn names_of_attributes_that_are_made_while_loading_are_undecided() {
    // `__class__`, and `__setstate__`, as strings that a callable makes.
    let class = b"\x80\x04\x8c\x0bcollectionsq\x000\x8c\x0bOrderedDictq\x010]q\x020cargparse\nNamespace\n)\x81}(\x8c\x08subclasscnumpy\nndarray\n\x8c\x05shapeK\x01\x85\x8c\x05order\x8c\x01C\x8c\x05dtypecnumpy\ndtype\n(\x8c\x02O8\x89\x88tR(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x8c\nallow_mmap\x89\x8c\x1bnumpy_array_alignment_bytesK\x10ubN}cbuiltins\nstr\n(\x8c\t__class__t\x81cjoblib.numpy_pickle\nNumpyArrayWrapper\ns\x86b\x8c\x02os\x940\x8c\x06system\x940\x8c\x02id\x940h\x00h\x01\x93h\x02\x85R.N.";
    caught(&["x.joblib"], class);
    let state = b"\x80\x04cargparse\nNamespace\n)\x81}cbuiltins\nstr\n(\x8c\x0c__setstate__t\x81cbuiltins\nlen\nsb}\x8c\x06calledK\x01sb.";
    caught(&["model.pkl"], state);
}

#[test]
fn what_opens_files_is_not_kept_to_be_called() {
    let bytes = b"\x80\x04cfunctools\npartial\n(cnumpy\nmemmap\ntR(cnumpy\nmemmap\n(\x8c\x01x\x8c\x05uint8\x8c\x02w+K\x00K\x08\x85t}Ntb.";
    caught(&["model.pkl"], bytes);
}

#[test]
fn a_second_pickle_that_breaks_off_has_done_what_it_did() {
    caught(&["model.pkl", "model.pt"], b"N.cos\nsystem\n(S'id'\ntR\xff");
    caught(&["model.pkl", "model.pt"], b"N.(S'id'\nios\nsystem\n\xff");
    // An import is enough, whatever comes behind it.
    caught(&["model.pkl"], b"N.cevil\nrun\nS'\\\ne\xff");
    // `pickle.py` imports before it looks for the mark.
    caught(&["model.pkl"], b"N.}M.(isubprocess\nPopen\nN.");
    // Python 2's reader takes what is below zero for blanks.
    caught(&["model.pkl"], b"N.S'os'\x80\n0cos\nsystem\n(S'id'\ntR.");
}

#[test]
fn a_frame_that_ends_within_a_line_is_told_however_the_line_is_read() {
    let framed = |inside: &[u8], behind: &[u8]| {
        Asm::new()
            .op(op::FRAME)
            .raw(&(inside.len() as u64).to_le_bytes())
            .raw(inside)
            .raw(behind)
            .unfinished()
    };
    for start in [&b""[..], b"N.", b"N.N."] {
        for torn in [
            // `_pickle.c` goes on with the line behind the frame, `pickle.py` ends, and whoever reads both parts finds no number.
            framed(b"I1", b"x\ncos\nsystem\n(S'id'\ntR."),
            framed(b"cos\nsys", b"tem\n0S'a\ncos\nsystem\n(S'id'\ntR."),
            framed(b"S'a", b"\n'b'\n0cos\nsystem\n(S'id'\ntR."),
            framed(b"Np", b"x\n0\n0cos\nsystem\n(S'id'\ntR."),
            // Four bytes behind the frame, not three.
            framed(b"J\0", b"\0\0\0\xffcos\nsystem\n(S'id'\ntR."),
        ] {
            let bytes = [start, &torn].concat();
            let found = findings(bytes.clone());
            let told = found.iter().any(|finding| finding.rule.as_str() == "pickle-frame");
            assert!(told, "{:?}: {found:#?}", String::from_utf8_lossy(&bytes));
            caught(&["model.pkl", "model.pt", "weights", "notes.txt"], &bytes);
        }
    }
    // As an array of joblib, which `pickle.load` reads as opcodes.
    let array = b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x08subclasscnumpy\nndarray\n\x8c\x05order\x8c\x01C\x8c\nallow_mmap\x89\x8c\x05shapeK\x24\x85\x8c\x05dtypecnumpy\ndtype\n(\x8c\x02u1\x89\x88tR(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbub";
    let torn = framed(b"J\0", b"\0\0\0\xffcos\nsystem\n(S'id'\ntR.");
    assert_eq!(torn.len(), 0x24);
    caught(&["model.pkl"], &[array.as_slice(), &torn, b"."].concat());
}

#[test]
fn pickles_share_a_memo_where_one_unpickler_loads_them() {
    let memoized = |name: &str| Asm::new().short(name).op(op::MEMOIZE).op(op::POP);
    let get = |index: u8| [op::BINGET, index];
    let names = memoized("os").raw(&memoized("system").unfinished());
    let first = Asm::proto(4).raw(&names.unfinished()).op(op::NONE).stop();
    // The second refers to what the first one wrote.
    let second = Asm::proto(4).raw(&get(0)).raw(&get(1)).op(op::STACK_GLOBAL).call1("id").stop();
    critical([first.clone(), second.clone()].concat(), &["os.system(\"id\")", "one Unpickler"]);
    critical([first.clone(), b"N.".to_vec(), second.clone()].concat(), &["os.system(\"id\")"]);
    // And so with other opcodes and other names of the file.
    let line = Asm::new().line(op::GET, "0").line(op::GET, "1").op(op::STACK_GLOBAL).call1("id").stop();
    let bytes = [b"Vos\np0\n0Vsystem\np1\n.".to_vec(), line].concat();
    caught(&["model.pkl", "model", "notes.txt"], &bytes);
    // The second writes these indices too, if it is alone.
    let other = memoized("collections").raw(&memoized("OrderedDict").unfinished()).unfinished();
    let both = Asm::proto(4).raw(&other).raw(&get(0)).raw(&get(1)).op(op::STACK_GLOBAL);
    let both = both.op(op::EMPTY_TUPLE).op(op::REDUCE).stop();
    clean(both.clone());
    critical([first.clone(), both].concat(), &["os.system()", "one Unpickler"]);
    // Something on no list, of which it is not certain that it cannot be decided.
    let first =
        Asm::proto(4).raw(&memoized("evil").raw(&memoized("run").unfinished()).unfinished()).op(op::NONE);
    caught(&["model.pkl"], &[first.stop(), second].concat());
}

#[test]
fn what_one_pickler_writes_with_one_memo_is_harmless() {
    let first = Asm::proto(4).stack_global("collections", "OrderedDict").op(op::MEMOIZE).new_object().stop();
    let again = Asm::proto(4).op(op::BINGET).raw(&[0]).new_object().stop();
    clean([first.clone(), again.clone(), again].concat());
    // Pickles with memos of their own, which are nonsense read with one.
    let texts = Asm::proto(4).op(op::EMPTY_LIST).op(op::MEMOIZE).short("a").op(op::MEMOIZE).op(op::APPEND);
    let texts = texts.short("b").op(op::MEMOIZE).op(op::APPEND).stop();
    let classes = Asm::proto(4).short("x").op(op::MEMOIZE).op(op::POP).short("collections").op(op::MEMOIZE);
    let classes = classes.short("OrderedDict").op(op::STACK_GLOBAL).new_object().op(op::POP);
    let classes = classes.op(op::BINGET).raw(&[1]).short("Counter").op(op::STACK_GLOBAL).new_object().stop();
    clean([texts, classes].concat());
}
