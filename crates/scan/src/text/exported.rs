//! What `torch.export` and AOTInductor write into a `.pt2` and torch evaluates or compiles: the expressions of sizes, the guards of a
//! program, the sources of a model with the command lines that make a library of them.
//!
//! Source: torch 2.15, `torch/_export/serde/serialize.py` (`_parse_sym_expr` gives `expr_str` to `sympy.sympify`, which evaluates it),
//! `torch/export/_unlift.py` (`guards_code` is executed), and the loader of AOTInductor's packages, which hands the flags to a shell.

use ostrom_core::Severity;

use super::json::Node;
use super::python::{self, Arithmetic};
use super::{EXPORT_BUILD, EXPORT_EXPRESSION};
use crate::examination::{Examination, escape};

/// The keys that have expressions.
pub(super) const SIZE: &str = "expr_str";
pub(super) const GUARDS: &str = "guards_code";

/// The folder that AOTInductor's loader compiles what it finds in.
const FOLDER: &str = "data/aotinductor/";

/// What `sympy.srepr` writes of sizes: numbers, symbols, sympy's arithmetic and relations, and the functions of `torch.utils._sympy`.
const SIZES: Arithmetic = Arithmetic {
    functions: &[
        "Symbol",
        "Dummy",
        "Integer",
        "Float",
        "Rational",
        "Add",
        "Mul",
        "Pow",
        "Max",
        "Min",
        "Abs",
        "Mod",
        "And",
        "Or",
        "Not",
        "Xor",
        "Equality",
        "Unequality",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "StrictLessThan",
        "LessThan",
        "StrictGreaterThan",
        "GreaterThan",
        "Piecewise",
        "ExprCondPair",
        "ITE",
        "Tuple",
        "floor",
        "ceiling",
        "sqrt",
        "exp",
        "log",
        "sign",
        "FloorDiv",
        "ModularIndexing",
        "Where",
        "PythonMod",
        "CleanDiv",
        "CeilToInt",
        "FloorToInt",
        "CeilDiv",
        "IntTrueDiv",
        "FloatTrueDiv",
        "LShift",
        "RShift",
        "IsNonOverlappingAndDenseIndicator",
        "TruncToFloat",
        "TruncToInt",
        "RoundToInt",
        "RoundDecimal",
        "ToFloat",
        "FloatPow",
        "PowByNatural",
        "Identity",
        "BitwiseFn_bitwise_and",
        "BitwiseFn_bitwise_or",
        "BitwiseFn_bitwise_xor",
        "OpaqueUnaryFn_sqrt",
        "OpaqueUnaryFn_cos",
        "OpaqueUnaryFn_cosh",
        "OpaqueUnaryFn_sin",
        "OpaqueUnaryFn_sinh",
        "OpaqueUnaryFn_tan",
        "OpaqueUnaryFn_tanh",
        "OpaqueUnaryFn_asin",
        "OpaqueUnaryFn_acos",
        "OpaqueUnaryFn_atan",
        "OpaqueUnaryFn_exp",
        "OpaqueUnaryFn_log",
        "OpaqueUnaryFn_log2",
        "OpaqueUnaryFn_asinh",
    ],
    keywords: &[
        "positive",
        "negative",
        "nonnegative",
        "nonpositive",
        "nonzero",
        "zero",
        "integer",
        "real",
        "finite",
        "infinite",
        "rational",
        "extended_real",
        "commutative",
        "even",
        "odd",
        "dummy_index",
        "precision",
        "evaluate",
    ],
    attributes: &[],
    named: &["Symbol", "Dummy", "Float"],
    items: false,
};

/// What guards compare: sizes of the inputs, in Python's words.
const CONDITIONS: Arithmetic = Arithmetic {
    functions: &[
        "max",
        "min",
        "abs",
        "int",
        "float",
        "bool",
        "round",
        "Max",
        "Min",
        "Mod",
        "PythonMod",
        "FloorDiv",
        "CleanDiv",
        "CeilDiv",
        "IsNonOverlappingAndDenseIndicator",
        "cast_symbool_to_symint_guardless",
        "Eq",
        "Ne",
        "Lt",
        "Le",
        "Gt",
        "Ge",
        "And",
        "Or",
        "Not",
    ],
    keywords: &[],
    attributes: &[
        "size",
        "stride",
        "storage_offset",
        "shape",
        "ndim",
        "dim",
        "numel",
        "floor",
        "ceil",
        "trunc",
        "sqrt",
        "pow",
        "log",
        "log2",
        "exp",
        "cos",
        "sin",
        "tan",
        "acos",
        "asin",
        "atan",
        "cosh",
        "sinh",
        "tanh",
        "inf",
        "pi",
        "e",
        "sym_max",
        "sym_min",
        "sym_sum",
        "sym_not",
        "sym_int",
        "sym_float",
        "sym_ite",
        "sym_sqrt",
        "_sym_sqrt",
        "_sym_cos",
        "_sym_cosh",
        "_sym_sin",
        "_sym_sinh",
        "_sym_tan",
        "_sym_tanh",
        "_sym_asin",
        "_sym_acos",
        "_sym_atan",
        "_sym_log2",
    ],
    named: &[],
    items: true,
};

/// Commands that compile, as torch finds them; a version may follow.
const COMPILERS: [&str; 12] =
    ["g++", "gcc", "c++", "cc", "clang++", "clang", "nvcc", "hipcc", "icpx", "icx", "cl", "cl.exe"];

/// The values of one of [`SIZE`] and [`GUARDS`].
pub(super) fn expressions(key: &str, value: &Node, scan: &mut Examination<'_>) {
    let may = if key == SIZE { &SIZES } else { &CONDITIONS };
    for text in value.texts() {
        if let Some(part) = python::beyond(text, may) {
            let what = format!("{key} is evaluated, and has more than arithmetic: {part}");
            scan.report(EXPORT_EXPRESSION, None, what);
        }
    }
}

/// Whether this is the name of a file of flags for compilers, without its folders.
pub(super) fn are_flags(name: &str) -> bool {
    name.ends_with("_compile_flags.json") || name.ends_with("_linker_flags.json")
}

/// The flags with which a package is compiled when it is loaded.
pub(super) fn flags(node: &Node, scan: &mut Examination<'_>) {
    let Some(compiler) = node.get("compiler") else { return };
    let runs = |text: &str| text.chars().any(|c| c.is_control() || "|&;<>`$!*?~#\"'()\\".contains(c));
    let quoted = |text: &&str| runs(text) && !is_quoted_definition(text);
    let name = compiler.as_text().unwrap_or_default();
    if !is_compiler(name) {
        let what = format!("has {:?} run where the model is loaded", escape(name, 200));
        scan.report_as(Severity::Critical, EXPORT_BUILD, None, what);
    } else if let Some(text) = node.texts().into_iter().find(quoted) {
        let what =
            format!("gives a shell more than flags where the model is loaded: {:?}", escape(text, 200));
        scan.report_as(Severity::Critical, EXPORT_BUILD, None, what);
    } else {
        scan.report(EXPORT_BUILD, None, format!("has {name} make a library where the model is loaded"));
    }
}

/// A definition of a text, as torch writes them: `NAME="text"`, in single quotes or behind a backslash for the shell.
fn is_quoted_definition(text: &str) -> bool {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+./= ".contains(c));
    [("'\"", "\"'"), ("\\\"", "\\\""), ("\"", "\"")].iter().any(|(start, end)| {
        text.split_once(start)
            .is_some_and(|(name, rest)| plain(name) && rest.strip_suffix(end).is_some_and(plain))
    })
}

fn is_compiler(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-+./".contains(c));
    let last = name.rsplit('/').next().unwrap_or(name);
    let bare = last.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    // A compiler that comes with the package is anything.
    let brought = name.contains('/') && !name.starts_with("/usr/") && !name.starts_with("/opt/");
    plain && !brought && !name.contains("..") && (COMPILERS.contains(&last) || COMPILERS.contains(&bare))
}

/// Reports a source that is compiled and loaded with the package that it lies in.
pub(super) fn source(scan: &mut Examination<'_>) {
    if scan.name().replace('\\', "/").contains(FOLDER) {
        scan.report(EXPORT_BUILD, None, "is compiled, and the library loaded, where the model is loaded");
    }
}
