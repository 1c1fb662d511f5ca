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
    let start = || Asm::new().op(op::NONE).op(op::EMPTY_TUPLE).op(op::EMPTY_DICT);
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
