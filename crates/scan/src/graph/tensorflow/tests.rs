use proptest::prelude::*;

use crate::graph::testing::{Proto, check, findings, mangle};

fn node(name: &str, op: &str, inputs: &[&str]) -> Proto {
    inputs.iter().fold(Proto::new().text(1, name).text(2, op), |node, input| node.text(3, input))
}

fn attribute(key: &str, value: Proto) -> Proto {
    Proto::new().text(1, key).message(2, value)
}

/// A constant text.
fn text(name: &str, value: &str) -> Proto {
    let tensor = Proto::new().number(1, 7).text(8, value);
    node(name, "Const", &[]).message(5, attribute("value", Proto::new().message(8, tensor)))
}

/// A call of a function.
fn call(name: &str, function: &str, inputs: &[&str]) -> Proto {
    let callee = Proto::new().message(10, Proto::new().text(1, function));
    node(name, "StatefulPartitionedCall", inputs).message(5, attribute("f", callee))
}

fn function(name: &str, nodes: impl IntoIterator<Item = Proto>) -> Proto {
    given(name, &[], nodes)
}

/// A function that has arguments.
fn given(name: &str, arguments: &[&str], nodes: impl IntoIterator<Item = Proto>) -> Proto {
    let arguments = arguments.iter().map(|name| Proto::new().text(1, name));
    Proto::new().message(1, Proto::new().text(1, name).messages(2, arguments)).messages(3, nodes)
}

fn graph(nodes: impl IntoIterator<Item = Proto>) -> Proto {
    Proto::new().message(1, node("x", "Placeholder", &[])).messages(1, nodes)
}

fn with_functions(graph: Proto, functions: impl IntoIterator<Item = Proto>) -> Proto {
    graph.message(2, Proto::new().messages(1, functions))
}

fn asset(node: &str, name: &str) -> Proto {
    Proto::new().message(1, Proto::new().text(1, node)).text(2, name)
}

fn meta(graph: Proto) -> Proto {
    let info =
        Proto::new().message(2, Proto::new().message(1, Proto::new().text(1, "MatMul"))).text(4, "serve");
    Proto::new().message(1, info).message(2, graph)
}

fn saved(meta: Proto) -> Vec<u8> {
    Proto::new().number(1, 1).message(2, meta).end()
}

/// The same nodes in every container that a graph comes in.
#[track_caller]
fn found(graph: Proto, expect: &[&str]) {
    check("model/saved_model.pb", &saved(meta(graph.clone())), "tensorflow-saved-model", expect);
    check("model.ckpt.meta", &meta(graph.clone()).end(), "tensorflow-meta-graph", expect);
    check("frozen.pb", &graph.end(), "tensorflow-graph", expect);
}

#[test]
fn an_honest_graph_is_clean() {
    found(graph([node("m", "MatMul", &["x", "x"]), node("y", "Identity", &["m"])]), &[]);
}

#[test]
fn content_decides_and_a_broken_file_of_that_name_is_not_passed() {
    check("weights", &saved(meta(graph([node("m", "MatMul", &[])]))), "tensorflow-saved-model", &[]);
    check("saved_model.pb", b"nothing of the kind", "tensorflow-saved-model", &["malformed"]);
    let (_, found) = findings("other.pb", b"nothing of the kind");
    assert!(found[0].contains("unknown-format"), "{found:?}");
}

#[test]
fn operators_that_reach_out_are_found_in_graphs_and_functions() {
    for (op, rule) in [
        ("WriteFile", "tensorflow-write-op"),
        ("ReadFile", "tensorflow-read-op"),
        ("ImmutableConst", "tensorflow-read-op"),
        ("TFRecordDatasetV2", "tensorflow-read-op"),
        ("EagerPyFunc", "tensorflow-python-op"),
        ("DataServiceDatasetV4", "tensorflow-remote-op"),
        ("TRTEngineOp", "tensorflow-native-op"),
        ("MyOp", "tensorflow-unknown-op"),
    ] {
        found(graph([node("n", op, &[])]), &[rule]);
        found(with_functions(graph([]), [function("f", [node("n", op, &[])])]), &[rule]);
    }
}

#[test]
fn an_operator_may_be_a_function_of_the_graph() {
    let calls = graph([node("n", "MyFunction", &["x"])]);
    found(with_functions(calls, [function("MyFunction", [node("n", "Relu", &["a"])])]), &[]);
}

#[test]
fn an_operator_that_is_called_as_a_function_is_found() {
    found(graph([call("n", "WriteFile", &["x"])]), &["tensorflow-write-op"]);
}

#[test]
fn attributes_that_name_files_and_hosts_are_found() {
    let texts = |values: &[&str]| {
        Proto::new().message(1, values.iter().fold(Proto::new(), |list, value| list.text(2, value)))
    };
    let print = |to: &str| {
        node("p", "PrintV2", &["x"]).message(5, attribute("output_stream", Proto::new().text(2, to)))
    };
    found(graph([print("stderr")]), &[]);
    found(graph([print("file:///etc/cron.d/x")]), &["tensorflow-write-op"]);
    let decode = |from: &str| {
        node("d", "DecodeProtoV2", &["x"])
            .message(5, attribute("descriptor_source", Proto::new().text(2, from)))
    };
    found(graph([decode("bytes://abc")]), &[]);
    found(graph([decode("/etc/passwd")]), &["tensorflow-read-op"]);
    let debug =
        node("d", "DebugIdentityV2", &["x"]).message(5, attribute("debug_urls", texts(&["grpc://host:1"])));
    found(graph([debug]), &["tensorflow-remote-op", "tensorflow-remote-op"]);
}

#[test]
fn a_checkpoint_goes_where_the_caller_says() {
    // As the saver of TensorFlow 1 makes it.
    let saver = |default| {
        graph([
            text("save/filename/input", default),
            node("save/filename", "PlaceholderWithDefault", &["save/filename/input"]),
            node("save/Const", "PlaceholderWithDefault", &["save/filename"]),
            text("save/StringJoin/inputs_1", "_temp_0123/part"),
            node("save/StringJoin", "StringJoin", &["save/Const", "save/StringJoin/inputs_1"]),
            node("save/ShardedFilename", "ShardedFilename", &["save/StringJoin", "n", "k"]),
            node("save/SaveV2", "SaveV2", &["save/ShardedFilename", "names", "slices", "x"]),
            node("save/Pack", "Pack", &["save/ShardedFilename", "^save/SaveV2"]),
            node("save/MergeV2Checkpoints", "MergeV2Checkpoints", &["save/Pack", "save/Const"]),
            node("save/RestoreV2", "RestoreV2", &["save/Const", "names", "slices"]),
        ])
    };
    found(saver("model"), &[]);
    found(saver("/etc/cron.d/job"), &["tensorflow-save-path"]);
    let computed = graph([node("d", "DecodeBase64", &["x"]), node("s", "SaveV2", &["d", "n", "k"])]);
    found(computed, &["tensorflow-save-path"]);
}

#[test]
fn a_place_is_followed_through_functions() {
    let functions = || {
        [
            given("outer", &["p", "x"], [call("c", "traced_save", &["p", "x"])]),
            given(
                "traced_save",
                &["file_prefix", "proto"],
                [
                    node("join", "StringJoin", &["file_prefix", "part"]),
                    text("part", ".part"),
                    node("s", "SaveV2", &["join:output:0", "n", "k"]),
                ],
            ),
        ]
    };
    let honest = graph([node("prefix", "Placeholder", &[]), call("c", "outer", &["prefix", "x"])]);
    found(with_functions(honest, functions()), &[]);
    let chosen = graph([text("prefix", "../../.ssh/x"), call("c", "outer", &["prefix", "x"])]);
    found(with_functions(chosen, functions()), &["tensorflow-save-path"]);
    let branch = Proto::new().message(10, Proto::new().text(1, "outer"));
    let branch = node("c", "If", &["x", "prefix", "x"]).message(5, attribute("then_branch", branch));
    let chosen = graph([text("prefix", "/etc/x"), branch]);
    found(with_functions(chosen, functions()), &["tensorflow-save-path"]);
    // What else a function is given is no place, whatever is in it.
    let other = graph([
        node("prefix", "Placeholder", &[]),
        text("proto", "/\u{1}a/../b"),
        call("c", "outer", &["prefix", "proto"]),
    ]);
    found(with_functions(other, functions()), &[]);
}

#[test]
fn a_table_is_read_from_an_asset_only() {
    let graph = || {
        graph([
            text("asset_path", "/home/trainer/vocab.txt"),
            node("table", "HashTableV2", &[]),
            node("init", "InitializeTableFromTextFileV2", &["table", "asset_path"]),
        ])
    };
    let file = |meta| saved(meta);
    let with_asset = |name| file(meta(graph()).message(6, asset("asset_path:0", name)));
    check("saved_model.pb", &with_asset("vocab.txt"), "tensorflow-saved-model", &[]);
    check("saved_model.pb", &with_asset("../../x"), "tensorflow-saved-model", &["tensorflow-asset-path"]);
    let found =
        check("saved_model.pb", &file(meta(graph())), "tensorflow-saved-model", &["tensorflow-table-path"]);
    assert!(found[0].starts_with("High"));
    // As TensorFlow 1 keeps them.
    let any = |name| Proto::new().text(1, "type").message(2, asset("asset_path:0", name));
    let assets = |name| Proto::new().message(5, Proto::new().message(1, any(name)));
    let entry = |name| Proto::new().text(1, "saved_model_assets").message(2, assets(name));
    let collected = |name| file(meta(graph()).message(4, entry(name)));
    check("saved_model.pb", &collected("vocab.txt"), "tensorflow-saved-model", &[]);
    check("saved_model.pb", &collected("/x"), "tensorflow-saved-model", &["tensorflow-asset-path"]);
    // Outside of a saved model there are no assets, and the path is the one that the model was trained with.
    let found = check("graph.pb", &graph().end(), "tensorflow-graph", &["tensorflow-table-path"]);
    assert!(found[0].starts_with("Medium"));
}

#[test]
fn names_that_begin_alike_are_two() {
    // What is written to is the first of these, whatever the other one is.
    let long = |end: &str| format!("{}{end}", "a".repeat(1500));
    let nodes = |names: &dyn Fn(&str) -> String| {
        graph([
            text(&names("x"), "/etc/cron.d/x"),
            node(&names("y"), "Placeholder", &[]),
            node("save", "SaveV2", &[&names("x")]),
        ])
    };
    found(nodes(&long), &["tensorflow-save-path"]);
    let endless = |end: &str| format!("{}{end}", "a".repeat(5000));
    found(nodes(&endless), &["limit"]);
    // A long way to a place, and a place behind many others.
    let far = format!("{}../../etc/x", "./".repeat(1000));
    found(graph([text("c", &far), node("save", "SaveV2", &["c"])]), &["tensorflow-save-path"]);
    let many = (0..3000).fold(Proto::new().number(1, 7), |tensor, _| tensor.text(8, "a")).text(8, "/etc/x");
    let many = node("c", "Const", &[]).message(5, attribute("value", Proto::new().message(8, many)));
    found(graph([many, node("save", "SaveV2", &["c"])]), &["tensorflow-save-path"]);
}

#[test]
fn the_text_form_is_read_too() {
    let name = "saved_model.pbtxt";
    check(
        name,
        b"meta_graphs { graph_def { node { name: 'a' op: 'MatMul' } } }",
        "tensorflow-text-graph",
        &[],
    );
    for hidden in [
        "node { op: \"WriteFile\" }",
        "node { op : # a comment\n 'Write' \"File\" }",
        "node { op: \"\\127rite\\x46ile\" }",
        "node { op:\x0b\"WriteFile\" }",
        "node { op:\u{85}\"WriteFile\" }",
        "node { op:\u{a0}\u{2003}\"Write\"\x1f\"File\" }",
        "node { op: 'MapDataset' attr { key: 'f' value { func { name: \"WriteFile\" } } } }",
        "node { op: 'MapDataset' attr < key: 'f' value: < func: < name:\x0b'WriteFile' > > > }",
    ] {
        check(name, hidden.as_bytes(), "tensorflow-text-graph", &["tensorflow-write-op"]);
    }
    let table = |path: &str| {
        format!(
            "node {{ op: 'Const' attr {{ key: 'value' value {{ tensor {{ string_val: '{path}' }} }} }} }} node {{ op: 'InitializeTableFromTextFileV2' }}"
        )
    };
    check(name, table("vocab.txt").as_bytes(), "tensorflow-text-graph", &[]);
    check(name, table("/etc/passwd").as_bytes(), "tensorflow-text-graph", &["tensorflow-table-path"]);
    let asset = |path: &str| format!("meta_graphs {{ asset_file_def {{ filename: '{path}' }} }}");
    check(name, asset("vocab.txt").as_bytes(), "tensorflow-text-graph", &[]);
    check(name, asset("../../x").as_bytes(), "tensorflow-text-graph", &["tensorflow-asset-path"]);
    // Functions of the graph's own, under their names.
    let own = "library { function { signature { name: 'f_1' } } } node { op: 'f_1' } node { attr { value { func { name: 'f_1' } } } }";
    check(name, own.as_bytes(), "tensorflow-text-graph", &[]);
    check("labels.pbtxt", b"item { id: 1 name: 'ReadFile' }", "tensorflow-text-graph", &[]);
}

#[test]
fn lambda_layers_are_found_in_both_places_that_keras_puts_them() {
    let lambda = r#"{"class_name": "Lambda", "name": "l", "config": {"function": {"class_name": "__tuple__"},
        "function_type": "lambda"}}"#;
    let keras =
        |json: &str| Proto::new().message(1, Proto::new().number(2, 1).text(3, "root").text(5, json)).end();
    check("keras_metadata.pb", &keras(lambda), "keras-metadata", &["tensorflow-keras-lambda"]);
    check("keras_metadata.pb", &keras(r#"{"class_name": "Dense"}"#), "keras-metadata", &[]);
    check("keras_metadata.pb", &keras("{broken"), "keras-metadata", &["malformed"]);
    // White space before it is JSON's own.
    check(
        "keras_metadata.pb",
        &keras(&format!("\n {lambda}")),
        "keras-metadata",
        &["tensorflow-keras-lambda"],
    );
    check("keras_metadata.pb", &keras(" "), "keras-metadata", &[]);
    // What Python writes of numbers that are none.
    check(
        "keras_metadata.pb",
        &keras(r#"{"class_name": "ReLU", "config": {"max_value": Infinity}}"#),
        "keras-metadata",
        &[],
    );
    let twice = r#"{"class_name": "Lambda", "class_name": "Dense", "config": {}}"#;
    check("keras_metadata.pb", &keras(twice), "keras-metadata", &["tensorflow-keras-lambda"]);
    // Since Keras 2.13 the parts of a layer are made by their modules.
    let part = |module: &str, name: &str| {
        let part = format!(r#"{{"module": "{module}", "class_name": "function", "config": "{name}"}}"#);
        keras(&format!(r#"{{"class_name": "Dense", "config": {{"units": 1, "activation": {part}}}}}"#))
    };
    check("keras_metadata.pb", &part("os", "system"), "keras-metadata", &["keras-foreign-module"]);
    check("keras_metadata.pb", &part("keras.activations", "relu"), "keras-metadata", &[]);
    let object = Proto::new().message(4, Proto::new().text(1, "_tf_keras_layer").text(3, lambda));
    let meta = meta(graph([])).message(7, Proto::new().message(1, object));
    check("saved_model.pb", &saved(meta), "tensorflow-saved-model", &["tensorflow-keras-lambda"]);
}

#[test]
fn files_that_lie_beside_a_saved_model_are_known() {
    let fingerprint =
        Proto::new().number(1, u64::MAX).number(2, 5).message(6, Proto::new().number(1, 3)).text(7, "u");
    check("fingerprint.pb", &fingerprint.end(), "tensorflow-fingerprint", &[]);
    check("variables/variables.data-00000-of-00001", &[1; 100], "tensorflow-checkpoint-data", &[]);
    let mut index = vec![0; 100];
    index.extend([0, 50, 50, 40]);
    index.resize(140, 0);
    index.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
    check("variables/variables.index", &index, "tensorflow-checkpoint-index", &[]);
    index[101] = 120;
    check("variables/variables.index", &index, "tensorflow-checkpoint-index", &["malformed"]);
    check("variables/variables.index", b"cut", "tensorflow-checkpoint-index", &["malformed"]);
}

#[test]
fn no_mangled_graph_panics() {
    let functions = [function("f", [node("s", "SaveV2", &["p", "n"]), text("t", "/x")])];
    let graph = with_functions(graph([text("p", "a"), call("c", "f", &["p"])]), functions);
    mangle("saved_model.pb", &saved(meta(graph).message(6, asset("a", "b"))));
    mangle("a.pbtxt", b"node { name: 'a' op: \"Mat\\x4d\" 'ul' } # end");
    let mut index = vec![0; 40];
    index.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
    mangle("variables.index", &index);
}

proptest! {
    #[test]
    fn arbitrary_bytes_end_in_findings(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        let (formats, found) = findings("saved_model.pb", &bytes);
        prop_assert!(formats.contains(&"tensorflow-saved-model") && !found.is_empty());
        findings("x.pbtxt", &bytes);
        findings("variables.index", &bytes);
        findings("keras_metadata.pb", &bytes);
    }
}
