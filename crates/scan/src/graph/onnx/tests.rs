use proptest::prelude::*;

use crate::graph::testing::{Proto, check, findings, mangle};

fn node(domain: &str, op: &str) -> Proto {
    Proto::new().text(1, "x").text(2, "y").text(3, "n").text(4, op).text(7, domain)
}

fn tensor(name: &str) -> Proto {
    Proto::new().number(1, 2).number(1, 3).number(2, 1).text(8, name).bytes(9, [0; 24])
}

fn graph() -> Proto {
    Proto::new().message(1, node("", "Relu")).text(2, "g").message(5, tensor("w"))
}

fn opset() -> Proto {
    Proto::new().text(1, "").number(2, 17)
}

fn model(graph: Proto) -> Proto {
    Proto::new().number(1, 8).text(2, "exporter").message(7, graph).message(8, opset())
}

fn entry(key: &str, value: &str) -> Proto {
    Proto::new().text(1, key).text(2, value)
}

fn external(entries: &[(&str, &str)]) -> Proto {
    let entries = entries.iter().map(|(key, value)| entry(key, value));
    Proto::new().number(1, 6).number(2, 1).text(8, "w").messages(13, entries).number(14, 1)
}

#[track_caller]
fn found(model: Proto, expect: &[&str]) -> Vec<String> {
    check("model.onnx", &model.end(), "onnx", expect)
}

#[test]
fn an_honest_model_is_clean_whatever_it_is_named() {
    found(model(graph()), &[]);
    check("weights.dat", &model(graph()).end(), "onnx", &[]);
}

#[test]
fn a_file_named_onnx_that_is_none_is_not_passed() {
    check("model.onnx", b"PNG, not a model at all", "onnx", &["malformed"]);
    let mut cut = model(graph()).end();
    cut.truncate(cut.len() - 5);
    check("model.onnx", &cut, "onnx", &["malformed"]);
    let confused = model(graph()).number(8, 1);
    found(confused, &["malformed"]);
}

#[test]
fn external_data_outside_of_the_folder_is_found() {
    for path in
        ["/etc/passwd", "../../secret", "C:\\secret", "a\\..\\..\\b", "file:///x", "*/_ORT_MEM_ADDR_/*"]
    {
        let graph = graph().message(5, external(&[("location", path), ("offset", "0")]));
        found(model(graph), &["onnx-external-path", "onnx-external-data", "onnx-duplicate"]);
    }
}

#[test]
fn external_data_beside_the_model_is_only_named() {
    let tensor = external(&[("location", "model.onnx_data"), ("offset", "4096"), ("length", "24")]);
    let found =
        found(model(Proto::new().message(1, node("", "Relu")).message(5, tensor)), &["onnx-external-data"]);
    assert!(found[0].contains("`model.onnx_data`, up to its byte 4120"), "{found:?}");
}

#[test]
fn a_location_is_checked_even_if_the_tensor_does_not_say_that_it_is_used() {
    let tensor = Proto::new().number(2, 1).text(8, "v").message(13, entry("location", "/etc/shadow"));
    found(model(graph().message(5, tensor)), &["onnx-external-path", "onnx-external-data"]);
}

#[test]
fn keys_that_the_format_does_not_have_are_found() {
    let tensor = external(&[("location", "w.bin"), ("__class__", "x"), ("offset", "-5")]);
    let graph = Proto::new().message(1, node("", "Relu")).message(5, tensor);
    found(model(graph), &["onnx-external-data", "onnx-external-key", "onnx-external-key"]);
}

#[test]
fn a_location_in_an_attribute_of_a_nested_graph_is_found() {
    let constant = node("", "Constant")
        .message(5, Proto::new().text(1, "value").message(5, external(&[("location", "../x")])));
    let inner = Proto::new().message(1, constant).text(2, "then");
    let branch = node("", "If").message(5, Proto::new().text(1, "then_branch").message(6, inner));
    found(model(graph().message(1, branch)), &["onnx-external-path", "onnx-external-data"]);
}

#[test]
fn graphs_too_deep_in_one_another_are_undecided() {
    let mut inner = graph();
    for _ in 0..60 {
        inner = Proto::new().message(1, node("", "If").message(5, Proto::new().message(6, inner)));
    }
    found(model(inner), &["limit"]);
}

#[test]
fn operators_are_held_against_the_standard() {
    for (domain, op, rule) in [
        ("mine", "Evil", "onnx-custom-op"),
        ("", "Evil", "onnx-unknown-op"),
        ("com.microsoft", "Evil", "onnx-unknown-op"),
        ("mine", "PyOp", "onnx-python-op"),
        ("ai.onnx.contrib", "PyCustomOp", "onnx-python-op"),
        ("ai.onnx.contrib", "StringUpper", "onnx-extensions-op"),
        ("com.microsoft", "EPContext", "onnx-compiled-op"),
    ] {
        found(model(graph().message(1, node(domain, op))), &[rule]);
    }
    for (domain, op) in [("ai.onnx", "Relu"), ("ai.onnx.ml", "ZipMap"), ("com.microsoft", "FusedMatMul")] {
        found(model(graph().message(1, node(domain, op))), &[]);
    }
}

#[test]
fn a_custom_operator_that_is_a_function_of_the_model_is_honest() {
    let function = |domain, name| Proto::new().text(1, name).message(7, node("", "Relu")).text(10, domain);
    let graph = graph().message(1, node("local", "Block"));
    found(model(graph.clone()).message(25, function("local", "Block")), &[]);
    found(model(graph.clone()).message(25, function("local", "Other")), &["onnx-custom-op"]);
    found(
        model(graph).message(25, function("local", "Block")).message(25, function("", "Relu")),
        &["onnx-function-shadows"],
    );
}

#[test]
fn operators_inside_of_functions_and_training_graphs_are_judged() {
    let function = Proto::new().text(1, "F").message(7, node("", "PyOp")).text(10, "local");
    found(model(graph()).message(25, function), &["onnx-python-op"]);
    let training = Proto::new().message(2, Proto::new().message(1, node("", "PyOp")));
    found(model(graph()).message(20, training), &["onnx-python-op", "onnx-training"]);
}

#[test]
fn shape_and_bytes_have_to_agree() {
    let short = Proto::new().number(1, 100).number(2, 1).text(8, "s").bytes(9, [0; 8]);
    found(model(graph().message(5, short)), &["onnx-tensor-size"]);
    let negative = Proto::new().number(1, u64::MAX).number(2, 1).text(8, "s");
    found(model(graph().message(5, negative)), &["onnx-tensor-size"]);
    let packed = Proto::new().bytes(1, [2, 3]).number(2, 22).text(8, "s").bytes(9, [0; 3]);
    found(model(graph().message(5, packed)), &[]);
}

#[test]
fn what_is_there_twice_is_found() {
    found(model(graph().message(5, tensor("w"))), &["onnx-duplicate"]);
    found(model(graph()).message(7, graph()), &["onnx-duplicate"]);
}

#[test]
fn programs_and_hidden_text_are_found() {
    let elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
    let tensor = Proto::new().number(1, 16).number(2, 2).text(8, "b").bytes(9, elf);
    found(model(graph().message(5, tensor)), &["graph-embedded-program"]);
    let hidden = entry("description", "nice\u{e0041}\u{e0042} model");
    found(model(graph()).message(14, hidden), &["graph-hidden-text"]);
}

#[test]
fn a_tensor_in_a_file_of_its_own_is_known() {
    check("input_0.pb", &tensor("x").end(), "onnx-tensor", &[]);
    check(
        "input_0.pb",
        &external(&[("location", "/x")]).end(),
        "onnx-tensor",
        &["onnx-external-data", "onnx-external-path"],
    );
}

#[test]
fn no_mangled_model_panics() {
    let inner = Proto::new()
        .message(1, node("mine", "If"))
        .message(5, external(&[("location", "w"), ("offset", "1")]));
    let branch = node("", "If").message(5, Proto::new().text(1, "b").message(6, inner));
    let all =
        model(graph().message(1, branch)).message(14, entry("a", "b")).message(25, Proto::new().text(1, "f"));
    mangle("model.onnx", &all.end());
}

proptest! {
    #[test]
    fn arbitrary_bytes_end_in_findings(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        let (formats, found) = findings("model.onnx", &bytes);
        prop_assert!(formats.contains(&"onnx") && !found.is_empty());
    }
}
