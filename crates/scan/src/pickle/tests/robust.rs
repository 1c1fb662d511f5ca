//! Whatever the bytes are, nothing panics, and what comes after a call does not hide it.

use proptest::prelude::*;

use super::{benign, findings};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

/// A pickle with one of nearly everything.
fn rich() -> Vec<u8> {
    let asm = Asm::proto(4).op(op::MARK).frame(0).int(1).text("abc").bytes(b"xyz").line(op::INT, "5");
    let asm =
        asm.line(op::STRING, "'a'").line(op::UNICODE, "b").op(op::EMPTY_DICT).op(op::MARK).text("__k").int(1);
    let asm = asm
        .op(op::SETITEMS)
        .op(op::EMPTY_SET)
        .op(op::MARK)
        .int(1)
        .op(op::ADDITEMS)
        .op(op::MARK)
        .op(op::FROZENSET);
    let asm = asm.stack_global("collections", "OrderedDict").new_object().op(op::EMPTY_DICT).op(op::BUILD);
    let asm = asm.raw(&benign::dtype("f8", -1, 0).unfinished()).op(op::MEMOIZE).op(op::BINGET).raw(&[0]);
    let asm =
        asm.op(op::MARK).text("x").op(op::INST).raw(b"os\nsystem\n").op(op::EXT1).raw(&[1]).op(op::TUPLE);
    asm.op(op::DUP).op(op::POP).op(op::BINPERSID).op(op::NEXT_BUFFER).op(op::TUPLE2).stop()
}

#[test]
fn every_truncation_is_handled() {
    let bytes = rich();
    for end in 0..bytes.len() {
        findings(bytes[..end].to_vec());
    }
}

#[test]
fn every_flipped_byte_is_handled() {
    let bytes = rich();
    for index in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[index] ^= flip;
            findings(changed);
        }
    }
}

/// Opcodes with whatever follows them, so that random streams get far.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(op::ALL).prop_map(|(_, opcode)| vec![opcode]),
        any::<u8>().prop_map(|byte| Asm::new().op(op::BININT1).raw(&[byte]).unfinished()),
        "[a-z_]{0,6}".prop_map(|text| Asm::new().short(&text).unfinished()),
        (0_u8..4).prop_map(|at| vec![op::BINPUT, at]),
        (0_u8..4).prop_map(|at| vec![op::BINGET, at]),
        Just(Asm::new().global("collections", "OrderedDict").unfinished()),
        Just(Asm::new().global("functools", "partial").unfinished()),
        Just(Asm::new().global("joblib.numpy_pickle", "NumpyArrayWrapper").new_object().unfinished()),
        Just(Asm::new().op(op::EMPTY_DICT).text("shape").int(1).op(op::SETITEM).unfinished()),
        Just(benign::dtype("f8", -1, 0).unfinished()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        findings(bytes);
    }

    #[test]
    fn arbitrary_opcodes_are_handled(bytes in stream()) {
        findings([vec![op::PROTO, 4], bytes].concat());
    }

    #[test]
    fn nothing_after_a_call_hides_it(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let found = findings(Asm::proto(2).global("os", "system").call1("id").raw(&bytes).unfinished());
        prop_assert!(found.iter().any(|finding| finding.rule.as_str() == "pickle-dangerous-call"));
    }

    #[test]
    fn no_data_before_a_call_hides_it(
        texts in prop::collection::vec("[ -~]{0,20}", 0..20),
        ints in prop::collection::vec(any::<i32>(), 0..20),
    ) {
        let mut asm = Asm::proto(4).op(op::EMPTY_LIST).op(op::MEMOIZE).op(op::MARK);
        for text in &texts {
            asm = asm.text(text).op(op::MEMOIZE);
        }
        for int in &ints {
            asm = asm.int(*int);
        }
        let found = findings(asm.stack_global("os", "system").call1("id").op(op::APPENDS).stop());
        prop_assert_eq!(found.len(), 1);
        prop_assert!(found[0].message.contains("os.system(\"id\")"));
    }
}
