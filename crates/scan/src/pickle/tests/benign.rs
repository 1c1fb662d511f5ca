//! What honest programs write raises no alarm.

use super::{check, clean, critical, findings, named};
use crate::pickle::asm::Asm;
use crate::pickle::judge::{Mode, Storage};
use crate::pickle::{examine_torch, opcode as op};
use crate::source::View;
use crate::{Limits, examination::Examination};

/// `numpy.dtype(code, False, True)` with its state.
pub(super) fn dtype(code: &str, size: i32, flags: i32) -> Asm {
    let asm = Asm::new()
        .global("numpy", "dtype")
        .text(code)
        .op(op::NEWFALSE)
        .op(op::NEWTRUE)
        .op(op::TUPLE3)
        .op(op::REDUCE);
    let asm = asm.op(op::MARK).int(3).text("<").op(op::NONE).op(op::NONE).op(op::NONE);
    asm.int(size).int(-1).int(flags).op(op::TUPLE).op(op::BUILD)
}

fn array(module: &str) -> Asm {
    let asm = Asm::proto(3).global(module, "_reconstruct").global("numpy", "ndarray").int(0).op(op::TUPLE1);
    let asm = asm.bytes(b"b").op(op::TUPLE3).op(op::REDUCE).op(op::MARK).int(1).int(2).op(op::TUPLE1);
    asm.raw(&dtype("f8", -1, 0).unfinished()).op(op::NEWFALSE).bytes(&[0; 16]).op(op::TUPLE).op(op::BUILD)
}

#[test]
fn numpy_arrays_old_and_new() {
    clean(array("numpy.core.multiarray").stop());
    clean(array("numpy._core.multiarray").stop());
}

/// joblib's stand-in for an array.
fn stand_in(dtype: Asm, count: i32, alignment: Option<i32>) -> Asm {
    let asm = Asm::new()
        .global("joblib.numpy_pickle", "NumpyArrayWrapper")
        .new_object()
        .op(op::EMPTY_DICT)
        .op(op::MARK);
    let asm = asm.text("subclass").global("numpy", "ndarray").text("shape").int(count).op(op::TUPLE1);
    let asm = asm.text("order").text("C").text("dtype").raw(&dtype.unfinished());
    let asm = match alignment {
        Some(bytes) => asm.text("numpy_array_alignment_bytes").int(bytes),
        None => asm,
    };
    asm.op(op::SETITEMS).op(op::BUILD)
}

fn aligned(data: &[u8]) -> Vec<u8> {
    [&[3, 0xff, 0xff, 0xff][..], data].concat()
}

#[test]
fn arrays_of_joblib_lie_in_the_stream() {
    let data = b"cos\nsystem\n(S'id'\ntR.xxx";
    let file = |payload: Vec<u8>, alignment| {
        Asm::proto(3).raw(&stand_in(dtype("f8", -1, 0), 3, alignment).unfinished()).raw(&payload).stop()
    };
    clean(file(aligned(data), Some(16)));
    clean(file([1_u8; 24].to_vec(), None));
    // Without padding, `pickle.load` runs what `joblib.load` takes for numbers.
    critical(file(data.to_vec(), None), &["os.system(\"id\")", "if pickle.load reads the file"]);
    // Padding that is a payload.
    let padding = [&[b'c'][..], &data[1..], &[b'x'; 75], &[0; 24]].concat();
    critical(file(padding, Some(16)), &["os.system(\"id\")"]);
    check(file(vec![0; 10], None), &["malformed"]);
}

#[test]
fn what_follows_an_array_of_joblib_is_seen() {
    let asm =
        Asm::proto(3).raw(&stand_in(dtype("f8", -1, 0), 3, Some(16)).unfinished()).raw(&aligned(&[0; 24]));
    critical(asm.op(op::POP).global("os", "system").call1("id").stop(), &["os.system"]);
}

#[test]
fn arrays_of_joblib_of_unclear_length_are_undecided() {
    for (code, size, flags) in [("V8", 16, 0), ("x8", -1, 0), ("f8", 24, 0), ("O8", -1, 0), ("S4", -1, 0)] {
        let asm = Asm::proto(3).raw(&stand_in(dtype(code, size, flags), 3, Some(16)).unfinished());
        check(asm.raw(&aligned(&[0; 24])).stop(), &["pickle-undecided"]);
    }
}

#[test]
fn arrays_of_objects_in_joblib_are_pickles() {
    let file = |inner: Vec<u8>| {
        Asm::proto(3).raw(&stand_in(dtype("O8", -1, 63), 3, Some(16)).unfinished()).raw(&inner).stop()
    };
    clean(file(array("numpy.core.multiarray").stop()));
    critical(file(Asm::proto(2).global("os", "system").call1("id").stop()), &["os.system"]);
}

#[test]
fn records_and_strings_of_joblib_are_as_long_as_they_are() {
    // `numpy.dtype(numpy.record, False, True)`, with one field.
    let start =
        Asm::new().global("numpy", "dtype").global("numpy", "record").op(op::NEWFALSE).op(op::NEWTRUE);
    let start = start.op(op::TUPLE3).op(op::REDUCE).op(op::MARK).int(3).text("|").op(op::NONE);
    let record = |size: i32| {
        let asm = start.clone().text("a").op(op::TUPLE1).op(op::EMPTY_DICT).text("a");
        let asm = asm.raw(&dtype("f8", -1, 0).unfinished()).int(0).op(op::TUPLE2).op(op::SETITEM);
        asm.int(size).int(1).int(16).op(op::TUPLE).op(op::BUILD)
    };
    let file = |dtype: Asm, data: &[u8]| {
        Asm::proto(4).raw(&stand_in(dtype, 3, Some(16)).unfinished()).raw(data).op(op::POP)
    };
    clean(file(record(8), &aligned(&[0; 24])).op(op::NONE).stop());
    let evil = file(record(8), &aligned(&[0; 24])).global("os", "system").call1("id").stop();
    critical(evil, &["os.system"]);
    check(file(record(-8), &aligned(&[0; 24])).stop(), &["pickle-undecided"]);
    check(
        file(
            start.op(op::NONE).op(op::NONE).int(8).int(1).int(27).op(op::TUPLE).op(op::BUILD),
            &aligned(&[0; 24]),
        )
        .stop(),
        &["pickle-undecided", "malformed"],
    );
    let strings = |module: &str| {
        let asm = Asm::new().global(module, "_convert_to_stringdtype_kwargs").op(op::NEWTRUE);
        asm.op(op::TUPLE1).op(op::REDUCE)
    };
    for module in ["numpy.core._internal", "numpy._core._internal"] {
        clean(file(strings(module), &array("numpy._core.multiarray").stop()).op(op::NONE).stop());
        let evil = file(strings(module), &Asm::proto(2).global("os", "system").call1("id").stop());
        critical(evil.op(op::NONE).stop(), &["os.system"]);
    }
    // Not numpy's maker of that type.
    check(file(strings("numpy.other"), &[]).stop(), &["pickle-undecided", "pickle-unlisted-callable"]);
}

#[test]
fn a_frame_over_an_array_of_joblib_is_read_differently() {
    let inner = stand_in(dtype("f8", -1, 0), 3, Some(16)).unfinished();
    let good = Asm::proto(4).frame(inner.len() as u64).raw(&inner).raw(&aligned(&[0; 24]));
    clean(good.stop());
    let long = Asm::proto(4).frame(inner.len() as u64 + 29).raw(&inner).raw(&aligned(&[0; 24]));
    check(long.stop(), &["pickle-frame"]);
}

fn storage(class: &str, key: &str, count: i32) -> Asm {
    let asm = Asm::new().op(op::MARK).text("storage").global("torch", class).text(key).text("cpu").int(count);
    asm.op(op::TUPLE).op(op::BINPERSID)
}

fn tensor(storage: Asm) -> Asm {
    let asm = Asm::new()
        .global("torch._utils", "_rebuild_tensor_v2")
        .op(op::MARK)
        .raw(&storage.unfinished())
        .int(0);
    let asm =
        asm.int(2).op(op::TUPLE1).int(1).op(op::TUPLE1).op(op::NEWFALSE).global("collections", "OrderedDict");
    asm.op(op::EMPTY_TUPLE).op(op::REDUCE).op(op::TUPLE).op(op::REDUCE)
}

fn torch(bytes: Vec<u8>, mode: Mode) -> (Vec<Storage>, Vec<String>) {
    let limits = Limits::default();
    let mut scan = Examination::new(&limits, "data.pkl");
    let storages = examine_torch(&View::new(bytes), mode, &mut scan).unwrap();
    (storages, scan.end().findings.into_iter().map(|finding| finding.rule.to_string()).collect())
}

#[test]
fn the_pickle_of_a_torch_archive_names_its_storages() {
    let bytes = Asm::proto(2).raw(&tensor(storage("HalfStorage", "0", 2)).unfinished()).stop();
    let (storages, rules) = torch(bytes.clone(), Mode::Torch);
    assert!(rules.is_empty(), "{rules:?}");
    assert!(matches!(storages.as_slice(), [Storage { element: 2, count: 2, key, .. }] if key == "0"));
    // Elsewhere nobody gives it storages.
    check(bytes, &["pickle-persistent-id", "pickle-undecided"]);
    let odd = Asm::proto(2).raw(&storage("FloatStorage", "0", -1).unfinished()).stop();
    assert_eq!(torch(odd, Mode::Torch).1, ["pickle-persistent-id"]);
    let class = Asm::proto(2).raw(&storage("load", "0", 1).unfinished()).stop();
    assert_eq!(torch(class, Mode::Torch).1.len(), 2);
}

#[test]
fn classes_of_torchscript_are_its_own_code() {
    let bytes = Asm::proto(2).global("__torch__.models", "Net").op(op::EMPTY_TUPLE).op(op::NEWOBJ);
    let bytes = bytes.op(op::EMPTY_DICT).op(op::BUILD).stop();
    assert!(torch(bytes.clone(), Mode::TorchScript).1.is_empty());
    assert!(!torch(bytes, Mode::Torch).1.is_empty());
    let bad = Asm::proto(2).global("__torch__x", "Net").new_object().stop();
    assert!(!torch(bad, Mode::TorchScript).1.is_empty());
}

#[test]
fn modules_are_instances_with_a_dict() {
    let module = Asm::proto(2)
        .global("torch.nn.modules.linear", "Linear")
        .new_object()
        .op(op::EMPTY_DICT)
        .op(op::MARK);
    let module =
        module.text("training").op(op::NEWTRUE).text("in_features").int(2).op(op::SETITEMS).op(op::BUILD);
    clean(module.stop());
    check(Asm::proto(2).global("torch.nn.modules.linear", "Linear").call1("x").stop(), &["pickle-arguments"]);
}

const MAGIC: [u8; 12] = [op::LONG1, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

fn legacy(object: Asm, keys: &[&str]) -> Vec<u8> {
    let mut list = Asm::proto(2).op(op::EMPTY_LIST).op(op::MARK);
    for key in keys {
        list = list.text(key);
    }
    [
        Asm::proto(2).raw(&MAGIC).stop(),
        Asm::proto(2).int(1001).stop(),
        Asm::proto(2).op(op::EMPTY_DICT).text("little_endian").op(op::NEWTRUE).op(op::SETITEM).stop(),
        Asm::proto(2).raw(&object.unfinished()).stop(),
        list.op(op::APPENDS).stop(),
    ]
    .concat()
}

#[test]
fn legacy_torch_files_are_pickles_and_storages() {
    let storage = |class, key, count| {
        let asm =
            Asm::new().op(op::MARK).text("storage").global("torch", class).text(key).text("cpu").int(count);
        asm.op(op::NONE).op(op::TUPLE).op(op::BINPERSID)
    };
    let tensors = || {
        let first = tensor(storage("FloatStorage", "17", 2)).unfinished();
        Asm::new().raw(&first).raw(&tensor(storage("LongStorage", "4", 1)).unfinished()).op(op::TUPLE2)
    };
    let raw = |count: u64, bytes: usize| [&count.to_le_bytes()[..], &vec![0x80; bytes]].concat();
    let whole = [legacy(tensors(), &["17", "4"]), raw(2, 8), raw(1, 8)].concat();
    clean(whole.clone());
    assert!(named("pytorch_model.bin", whole.clone()).is_empty());
    check([whole.clone(), vec![1]].concat(), &["pickle-trailing"]);
    check(whole[..whole.len() - 1].to_vec(), &["malformed"]);
    check([legacy(tensors(), &["17", "4"]), raw(3, 12), raw(1, 8)].concat(), &["pickle-undecided"]);
    check([legacy(tensors(), &["17", "5"]), raw(2, 8), raw(1, 8)].concat(), &["pickle-undecided"]);
    let bad = legacy(Asm::new().global("os", "system").call1("id"), &[]);
    critical(bad, &["os.system"]);
}

#[test]
fn enumerations_are_members_only() {
    let member = |name: &str| {
        let asm = Asm::proto(2)
            .global("__builtin__", "getattr")
            .global("accelerate.utils.dataclasses", "DistributedType");
        asm.text(name).op(op::TUPLE2).op(op::REDUCE).stop()
    };
    clean(member("NO"));
    critical(member("__class__"), &["getattr"]);
    critical(member("mro.x"), &["getattr"]);
}

#[test]
fn more_findings_than_are_kept_are_counted() {
    let mut asm = Asm::proto(2);
    for index in 0..1100 {
        asm = asm.global("pkg", &format!("f{index}")).new_object().op(op::POP);
    }
    let findings = findings(asm.op(op::NONE).stop());
    assert!(findings.len() <= Limits::default().findings);
}

#[test]
fn old_arrays_of_joblib_lie_in_the_same_folder() {
    let file = |name: &str| {
        let asm =
            Asm::proto(2).global("joblib.numpy_pickle", "NDArrayWrapper").new_object().op(op::EMPTY_DICT);
        asm.text("filename").text(name).op(op::SETITEM).op(op::BUILD).stop()
    };
    clean(file("model.pkl_01.npy"));
    check(file("../model.pkl_01.npy"), &["pickle-state"]);
    check(file("/tmp/x.npy"), &["pickle-state"]);
}
