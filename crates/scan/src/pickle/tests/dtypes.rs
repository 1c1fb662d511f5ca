//! States of numpy's types by which bytes would be taken for objects, and kept callables.

use super::{check, clean};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

/// `numpy.dtype(code, False, True)`.
fn dtype(code: &str) -> Asm {
    Asm::new()
        .global("numpy", "dtype")
        .op(op::MARK)
        .short(code)
        .op(op::NEWFALSE)
        .op(op::NEWTRUE)
        .op(op::TUPLE)
        .op(op::REDUCE)
}

/// The state of a type: base, names and fields, length, alignment, flags.
fn state(asm: Asm, inner: &Asm, size: i32, flags: i32) -> Asm {
    let asm = asm.op(op::MARK).int(3).short("|").raw(&inner.clone().unfinished());
    asm.int(size).int(1).int(flags).op(op::TUPLE).op(op::BUILD)
}

fn plain() -> Asm {
    Asm::new().op(op::NONE).op(op::NONE).op(op::NONE)
}

/// One field of this type.
fn field(of: Asm, at: i32) -> Asm {
    let asm = Asm::new().op(op::NONE).short("a").op(op::TUPLE1).op(op::EMPTY_DICT).op(op::MEMOIZE).short("a");
    asm.raw(&of.unfinished()).int(at).op(op::TUPLE2).op(op::SETITEM)
}

fn object() -> Asm {
    state(dtype("O8"), &plain(), -1, 63)
}

fn double() -> Asm {
    state(dtype("f8"), &plain(), -1, 0)
}

fn judged(asm: Asm, harmless: bool) {
    let bytes = Asm::proto(4).raw(&asm.unfinished()).stop();
    if harmless { clean(bytes) } else { check(bytes, &["pickle-undecided"]) }
}

#[test]
fn states_that_numpy_writes_are_harmless() {
    judged(object(), true);
    judged(double(), true);
    judged(state(dtype("U5"), &plain(), 20, 8), true);
    judged(state(dtype("S5"), &plain(), 5, 0), true);
    judged(state(dtype("V12"), &field(double(), 4), 12, 16), true);
    judged(state(dtype("V12"), &field(object(), 4), 12, 27), true);
    // A record of which a part is one, and arrays within elements.
    judged(state(dtype("V12"), &field(state(dtype("V8"), &field(object(), 0), 8, 27), 4), 12, 27), true);
    let array = |of: Asm| of.int(2).int(3).op(op::TUPLE2).op(op::TUPLE2).op(op::NONE).op(op::NONE);
    judged(state(dtype("V48"), &array(double()), 48, 0), true);
    judged(state(dtype("V48"), &array(object()), 48, 63), true);
    let time = dtype("M8").op(op::MARK).int(4).short("<").raw(&plain().unfinished()).int(-1).int(-1).int(0);
    judged(time.op(op::EMPTY_DICT).op(op::NONE).op(op::TUPLE2).op(op::TUPLE).op(op::BUILD), true);
    let record = Asm::new().global("numpy", "dtype").op(op::MARK).global("numpy", "record").op(op::NEWFALSE);
    let record = record.op(op::NEWTRUE).op(op::TUPLE).op(op::REDUCE);
    judged(state(record, &field(double(), 0), 8, 16), true);
    // As many fields as a table has columns, added at once or one by one.
    let names =
        (0..300).fold(Asm::new().op(op::NONE).op(op::MARK), |asm, column| asm.short(&format!("c{column}")));
    let names = names.op(op::TUPLE).op(op::EMPTY_DICT);
    let start = || names.clone();
    let (mut row, mut single) = (start().op(op::MARK), start());
    for column in 0..300 {
        let add = |asm: Asm| {
            let name = asm.short(&format!("c{column}")).raw(&double().unfinished());
            name.int(column * 8).op(op::TUPLE2)
        };
        (row, single) = (add(row), add(single).op(op::SETITEM));
    }
    judged(state(dtype("V2400"), &row.op(op::SETITEMS), 2400, 16), true);
    judged(state(dtype("V2400"), &single, 2400, 16), true);
}

#[test]
fn states_by_which_bytes_become_objects_are_undecided() {
    for wrong in [
        state(dtype("O8"), &plain(), -1, 0),
        state(dtype("f8"), &plain(), -1, 63),
        state(dtype("V8"), &field(object(), 0), 8, 0),
        state(dtype("V8"), &field(double(), 0), 8, 27),
        state(dtype("f8"), &field(object(), 0), -1, 0),
        // Beyond the element, and of a length below zero.
        state(dtype("V8"), &field(double(), 800), 8, 16),
        state(dtype("V8"), &field(object(), 8), 8, 27),
        state(dtype("S8"), &plain(), -4, 0),
        // The type of the field has no state yet.
        state(dtype("V8"), &field(dtype("V8"), 0), 8, 16),
        // A second state.
        state(state(dtype("V8"), &plain(), 8, 0), &field(object(), 0), 8, 27),
        // Not a state as numpy writes it.
        dtype("O8").op(op::MARK).int(1).short("|").op(op::NONE).op(op::NONE).op(op::TUPLE).op(op::BUILD),
    ] {
        judged(wrong, false);
    }
}

/// A type with these names and fields: text, what stands under it, and where that begins; a title that follows a `/`.
fn record(code: &str, names: &[&str], fields: &[(&str, Asm, i32)], flags: i32) -> Asm {
    let base = Asm::new().op(op::NONE);
    with_base(base, code, names, fields, flags)
}

fn with_base(base: Asm, code: &str, names: &[&str], fields: &[(&str, Asm, i32)], flags: i32) -> Asm {
    let size = code.strip_prefix(['V', 'S']).map_or(-1, |size| size.parse().unwrap());
    let mut inner = names.iter().fold(base.op(op::MARK), |asm, name| asm.short(name)).op(op::TUPLE);
    inner = inner.op(op::EMPTY_DICT);
    for (key, kind, at) in fields {
        let (key, title) = key.split_once('/').map_or((*key, None), |(key, title)| (key, Some(title)));
        inner = inner.short(key).op(op::MARK).raw(&kind.clone().unfinished()).int(*at);
        inner = title.map_or(inner.clone(), |title| inner.short(title)).op(op::TUPLE).op(op::SETITEM);
    }
    state(dtype(code), &inner, size, flags)
}

#[test]
fn parts_that_lie_over_each_other_are_not_taken_for_objects() {
    let (o, i, half) = (object, double, || state(dtype("i4"), &plain(), -1, 0));
    // The same bytes are an object by one name and a number by the other.
    let names = ["o", "i"];
    judged(record("V8", &names, &[("o", o(), 0), ("i", i(), 0)], 27), false);
    judged(record("V8", &names, &[("i", i(), 0), ("o", o(), 0)], 27), false);
    judged(record("V8", &names, &[("o", o(), 0), ("i", half(), 4)], 27), false);
    judged(record("V12", &names, &[("i", half(), 0), ("o", o(), 2)], 27), false);
    judged(
        record(
            "V24",
            &["w", "n", "o"],
            &[("w", record("V16", &["a"], &[("a", i(), 8)], 16), 0), ("n", half(), 20), ("o", o(), 8)],
            27,
        ),
        false,
    );
    // Within a part, and by two objects of which one begins within the other.
    let inner = || record("V8", &["x"], &[("x", o(), 0)], 27);
    judged(record("V8", &names, &[("o", inner(), 0), ("i", i(), 0)], 27), false);
    judged(record("V12", &names, &[("o", o(), 0), ("i", o(), 4)], 27), false);
    // By base and field, and by what the type is itself: `f8` holds numbers, whatever its fields are.
    let one = |of: Asm| of.int(1).op(op::TUPLE1).op(op::TUPLE2);
    judged(with_base(one(o()), "V8", &["i"], &[("i", i(), 0)], 27), false);
    judged(with_base(one(i()), "V8", &["o"], &[("o", o(), 0)], 27), false);
    for code in ["f8", "i8", "u8", "M8", "S8"] {
        judged(record(code, &["o"], &[("o", o(), 0)], 27), false);
        judged(
            state(dtype(code), &one(o()).op(op::NONE).op(op::NONE), if code == "S8" { 8 } else { -1 }, 27),
            false,
        );
    }
    // As numpy makes them: side by side, numbers over each other, nothing over something, and a field with a title.
    judged(record("V16", &names, &[("o", o(), 0), ("i", i(), 8)], 27), true);
    judged(record("V16", &names, &[("i", i(), 8), ("o", o(), 0)], 27), true);
    judged(record("V8", &names, &[("o", i(), 0), ("i", half(), 4)], 16), true);
    judged(record("V16", &["a", "b", "o"], &[("a", i(), 0), ("b", half(), 0), ("o", o(), 8)], 27), true);
    judged(
        record("V8", &["s", "o"], &[("s", state(dtype("S"), &plain(), 0, 0), 0), ("o", o(), 0)], 27),
        true,
    );
    judged(record("i4", &["r"], &[("r", state(dtype("i2"), &plain(), -1, 0), 0)], 0), true);
    // The title's type is the field's own.
    let kept = || o().op(op::MEMOIZE);
    let again = |index: u8| Asm::new().raw(&[op::BINGET, index]);
    judged(record("V8", &["o"], &[("o/t", kept(), 0), ("t/t", again(0), 0)], 27), true);
    judged(record("V8", &["o"], &[("t/t", kept(), 0), ("o/t", again(0), 0)], 27), true);
    judged(record("V8", &["o"], &[("o/t", o(), 0), ("t/t", i(), 0)], 27), false);
    judged(record("V16", &["o"], &[("o/t", kept(), 0), ("t/t", again(0), 8)], 27), false);
}

#[test]
fn names_are_those_of_the_fields() {
    let (a, b) = (|| ("a", double(), 0), || ("b", object(), 8));
    judged(record("V16", &["a", "b"], &[a(), b()], 27), true);
    judged(record("V16", &["b", "a"], &[a(), b()], 27), true);
    judged(record("V0", &[], &[], 16), true);
    for names in [&["a"][..], &["a", "zz"], &["a", "b", "zz"], &["a", "a"], &["a", "b", "b"], &[]] {
        judged(record("V16", names, &[a(), b()], 27), false);
    }
    judged(record("V16", &["a"], &[a(), a()], 16), false);
    let fields = Asm::new()
        .op(op::EMPTY_DICT)
        .short("a")
        .raw(&double().unfinished())
        .int(0)
        .op(op::TUPLE2)
        .op(op::SETITEM);
    let fields = fields.unfinished();
    judged(state(dtype("V8"), &Asm::new().op(op::NONE).op(op::NONE).raw(&fields), 8, 16), false);
    judged(state(dtype("V8"), &Asm::new().op(op::NONE).short("a").op(op::TUPLE1).op(op::NONE), 8, 16), false);
}

#[test]
fn types_that_share_their_fields_take_no_longer_than_others() {
    // Names and fields of a wide record, which thousands of types are made with.
    let get = |index: u8| [op::BINGET, index];
    let names = (0..1000).fold(Asm::proto(4).op(op::MARK), |asm, column| asm.short(&format!("c{column}")));
    let asm = names.op(op::TUPLE).op(op::MEMOIZE).raw(&double().unfinished()).op(op::MEMOIZE);
    let fields = (0..1000).fold(asm.op(op::EMPTY_DICT).op(op::MEMOIZE).op(op::MARK), |asm, column| {
        asm.short(&format!("c{column}")).raw(&get(1)).int(column * 8).op(op::TUPLE2)
    });
    let shared = |names: u8| Asm::new().op(op::NONE).raw(&get(names)).raw(&get(2));
    let again = state(dtype("V8000"), &shared(0), 8000, 16).op(op::POP).unfinished();
    let asm = fields.op(op::SETITEMS);
    clean(asm.clone().raw(&again.repeat(3000)).stop());
    // Of others than their own names, and too short for the fields of another.
    let other = asm.raw(&again).short("c0").op(op::TUPLE1).op(op::MEMOIZE).op(op::POP);
    check(
        other.clone().raw(&state(dtype("V8000"), &shared(3), 8000, 16).unfinished()).stop(),
        &["pickle-undecided"],
    );
    check(other.raw(&state(dtype("V7999"), &shared(0), 7999, 16).unfinished()).stop(), &["pickle-undecided"]);
}

#[test]
fn types_do_not_change_once_arrays_are_made_with_them() {
    // Another field, in the dict that the type has by now.
    let get = |index: u8| [op::BINGET, index];
    let later =
        state(dtype("V8"), &field(double(), 0), 8, 16).raw(&get(0)).short("a").raw(&object().unfinished());
    judged(later.int(0).op(op::TUPLE2).op(op::SETITEM), false);
    // An array of a type that gets its state later.
    let array =
        dtype("V8").op(op::MEMOIZE).op(op::POP).global("numpy.core.multiarray", "_reconstruct").op(op::MARK);
    let array = array.global("numpy", "ndarray").int(0).op(op::TUPLE1).op(op::SHORT_BINBYTES).raw(b"\x01b");
    let array = array.op(op::TUPLE).op(op::REDUCE).op(op::MARK).int(1).int(1).op(op::TUPLE1).raw(&get(0));
    let array =
        array.op(op::NEWFALSE).op(op::SHORT_BINBYTES).raw(b"\x08AAAAAAAA").op(op::TUPLE).op(op::BUILD);
    judged(state(array.raw(&get(0)), &field(object(), 0), 8, 27), false);
}

#[test]
fn what_opens_files_or_makes_classes_is_not_kept_to_be_called() {
    for (module, name) in [("builtins", "type"), ("xgboost.core", "Booster"), ("lightgbm.basic", "Booster")] {
        let kept =
            Asm::proto(4).global("functools", "partial").global(module, name).op(op::TUPLE1).op(op::REDUCE);
        check(kept.stop(), &["pickle-arguments"]);
        let state = Asm::proto(4).global("functools", "partial").global("builtins", "len").op(op::TUPLE1);
        let state = state.op(op::REDUCE).op(op::MARK).global(module, name).op(op::EMPTY_TUPLE);
        let state = state.op(op::EMPTY_DICT).op(op::NONE).op(op::TUPLE).op(op::BUILD);
        check(state.stop(), &["pickle-state"]);
    }
    clean(
        Asm::proto(4).global("xgboost.core", "Booster").new_object().op(op::EMPTY_DICT).op(op::BUILD).stop(),
    );
    clean(Asm::proto(4).global("builtins", "type").op(op::NONE).op(op::TUPLE1).op(op::REDUCE).stop());
}
