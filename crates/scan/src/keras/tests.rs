//! What is found in Keras configurations and skops schemas.

use ostrom_core::Severity::{Critical, High, Low, Medium};
use proptest::prelude::*;

use super::testing::{check, scan};

const CODE: &str = "4wEAAAAAAAAAAAAAAAABAAAABAAAAEMAAABzDAAAAHQAAKABZAGhAQEAZAJTAA==";

/// A model of Keras 3 with one layer.
fn model(layer: &str) -> String {
    format!(
        r#"{{"module": "keras", "class_name": "Sequential", "config": {{"name": "s", "dtype": {{"module": "keras",
            "class_name": "DTypePolicy", "config": {{"name": "float32"}}, "registered_name": null}}, "layers": [
            {{"module": "keras.layers", "class_name": "InputLayer", "config": {{"batch_shape": [null, 3]}},
              "registered_name": null}}, {layer}]}}, "registered_name": "Sequential",
            "build_config": {{"input_shape": [null, 3]}}, "compile_config": {{"optimizer": {{"module":
            "keras.optimizers", "class_name": "Adam", "config": {{"learning_rate": 0.001}}, "registered_name": null}},
            "loss": "mse", "metrics": ["accuracy"]}}}}"#
    )
}

/// A layer of Keras 3.
fn layer(module: &str, class: &str, config: &str) -> String {
    format!(r#"{{"module": {module}, "class_name": "{class}", "config": {config}, "registered_name": null}}"#)
}

fn function(module: &str, name: &str) -> String {
    let function = format!(
        r#"{{"function": {{"module": "{module}", "class_name": "function", "config": "{name}", "registered_name": "{name}"}}}}"#
    );
    model(&layer("\"keras.layers\"", "Lambda", &function))
}

#[test]
fn honest_models_raise_no_alarm() {
    check(
        "config.json",
        model(&layer("\"keras.layers\"", "Dense", r#"{"units": 2, "activation": "relu"}"#)),
        &[],
    );
    check("config.json", function("builtins", "relu"), &[]);
    check("config.json", function("keras.ops", "abs"), &[]);
    check("config.json", function("keras.ops", "nanmax"), &[]);
    let quantised = layer("\"keras.quantizers\"", "Int8QuantizationConfig", r#"{"weight_quantizer": null}"#);
    check("config.json", model(&quantised), &[]);
    check("config.json", model(&layer("\"keras.src.ops.numpy\"", "Sinc", "{}")), &[]);
    let old = r#"{"class_name": "Model", "config": {"layers": [{"class_name": "Dense", "config": {"kernel_initializer":
        {"class_name": "VarianceScaling", "config": {"scale": 1.0}}}, "inbound_nodes": [[["in", 0, 0, {}]]]},
        {"class_name": "TFOpLambda", "config": {"function": "math.reduce_mean"}},
        {"class_name": "TFOpLambda", "config": {"function": "__operators__.add"}},
        {"class_name": "TensorFlowOpLayer", "config": {"node_def": "{\"op\": \"AddV2\"}"}}]}, "keras_version": "2.4.0"}"#;
    check("model.json", old, &[]);
    check(
        "old.json",
        r#"{"class_name": "Sequential", "config": [{"class_name": "Merge", "config": {}}]}"#,
        &[],
    );
}

#[test]
fn code_is_found_in_each_of_its_places() {
    for config in [
        format!(
            r#"{{"function": {{"class_name": "__lambda__", "config": {{"code": "{CODE}", "defaults": null}}}}}}"#
        ),
        format!(r#"{{"function": {{"class_name": "__lambda__", "config": {{"value": "{CODE}"}}}}}}"#),
        format!(r#"{{"function": ["{CODE}", null, null], "function_type": "lambda"}}"#),
        format!(r#"{{"output_shape": ["{CODE}", null, null], "output_shape_type": "lambda"}}"#),
        format!(r#"{{"hidden": {{"deep": [["{CODE}"]]}}}}"#),
        r#"{"mask": ["short", null, null], "mask_type": "lambda"}"#.to_owned(),
    ] {
        check(&config, model(&layer("\"keras.layers\"", "Lambda", &config)), &[("keras-lambda", Critical)]);
    }
}

#[test]
fn names_outside_keras_are_critical() {
    for module in
        ["os", "subprocess", "builtins.x", "keras_evil", "tensorflow.io", "numpy", "my_package.layers"]
    {
        check(
            module,
            model(&layer(&format!("\"{module}\""), "Dense", "{}")),
            &[("keras-foreign-module", Critical)],
        );
        check(module, function(module, "relu"), &[("keras-foreign-module", Critical)]);
    }
    for name in ["eval", "exec", "__import__", "getattr"] {
        check(name, function("builtins", name), &[("keras-foreign-module", Critical)]);
    }
    let spec = r#"{"class_name": "__typespec__", "spec_name": "system", "module": "os", "config": ["id"], "registered_name": null}"#;
    check("spec", model(spec), &[("keras-foreign-module", Critical)]);
}

#[test]
fn what_acts_inside_keras_is_critical() {
    for (module, name) in [
        ("keras.utils", "get_file"),
        ("keras.config", "enable_unsafe_deserialization"),
        ("keras.models", "load_model"),
        ("keras.src.saving", "load_model"),
        ("builtins", "get_file"),
    ] {
        check(name, function(module, name), &[("keras-gadget", Critical)]);
    }
    let config = layer("\"keras.config\"", "enable_unsafe_deserialization", "{}");
    check("class", model(&config), &[("keras-gadget", Critical)]);
}

#[test]
fn what_no_list_has_is_undecided() {
    check("class", model(&layer("\"keras.layers\"", "Brandnew", "{}")), &[("keras-unknown-class", High)]);
    check("function", function("keras.ops", "brand_new"), &[("keras-unknown-class", High)]);
    for id in ["keras-unknown-class", "keras-tensorflow-call", "hdf5-not-examined", "skops-untrusted-type"] {
        assert!(crate::rule(id).unwrap().undecided);
    }
}

#[test]
fn custom_objects_are_named() {
    let custom = r#"{"module": null, "class_name": "Mine", "config": {}, "registered_name": "package>Mine"}"#;
    check("class", model(custom), &[("keras-custom-object", Medium)]);
    check("function", function("builtins", "my_loss"), &[("keras-custom-object", Medium)]);
    check("hub", model(&layer("\"keras_hub.src.models\"", "Gemma", "{}")), &[("keras-extension", Low)]);
    check("old", r#"{"class_name": "Mine", "config": {}}"#, &[("keras-custom-object", Medium)]);
}

/// A layer of any module, class and second name.
fn named(module: &str, class: &str, registered: &str) -> String {
    model(&format!(
        r#"{{"module": {module}, "class_name": {class}, "config": {{"module": "x"}}, "registered_name": {registered}}}"#
    ))
}

#[test]
fn a_second_name_is_judged_as_the_first_is() {
    let (foreign, gadget) = (("keras-foreign-module", Critical), ("keras-gadget", Critical));
    let (unknown, custom) = (("keras-unknown-class", High), ("keras-custom-object", Medium));
    let torch = ("keras-torch-module", Critical);
    for (module, class, registered, expect) in [
        ("keras.utils", "Dense", "get_file", &[gadget][..]),
        ("keras.layers", "Dense", "Brandnew", &[unknown]),
        ("tensorflow.python.framework.load_library", "Dense", "load_op_library", &[unknown]),
        ("keras.src.utils.torch_utils", "Dense", "TorchModuleWrapper", &[torch]),
        ("keras_hub.layers", "RotaryEmbedding", "keras_hub>RotaryEmbedding", &[("keras-extension", Low)]),
        // What somebody else has registered is taken first.
        ("keras_hub.layers", "RotaryEmbedding", "mine>RotaryEmbedding", &[custom]),
        ("__main__", "Dense", "get_file", &[gadget]),
        ("__main__", "Dense", "mine", &[custom]),
        ("__main__", "os.system", "os.system", &[foreign]),
        // Marks of plain values are none with a module, which only a version that does not know them reads.
        ("subprocess", "__set__", "getoutput", &[foreign, foreign]),
        ("keras.utils", "__dict__", "get_file", &[gadget, unknown]),
        ("keras.layers", "TensorShape", "TensorShape", &[unknown]),
        ("keras.layers", "Dense", "Dense", &[]),
        ("keras.layers", "Dense", "package>Dense", &[custom]),
    ] {
        let [module, class, registered] = [module, class, registered].map(|name| format!("{name:?}"));
        check(&registered, named(&module, &class, &registered), expect);
    }
    check("number", named("\"subprocess\"", "5", "\"getoutput\""), &[foreign, foreign]);
    check("null", named("\"keras.utils\"", "null", "\"get_file\""), &[gadget, unknown]);
    check("value", named("null", "\"__tensor__\"", "null"), &[]);
    let twice = named("\"keras.utils\"", "\"Dense\"", "\"get_file\", \"registered_name\": null");
    check("twice", twice, &[gadget, ("keras-duplicate-key", Medium)]);
    let beside = named("\"keras.utils\"", "\"Dense\"", "\"get_file\", \"spec_name\": \"get_file\"");
    check("beside", beside, &[gadget]);
    let spec = |registered: &str, name: &str| {
        named(
            "\"tensorflow.python.framework.load_library\"",
            "\"__typespec__\"",
            &format!("{registered}, \"spec_name\": {name}"),
        )
    };
    check("spec", spec("null", "\"TensorSpec\""), &[]);
    check("spec, second", spec("\"load_op_library\"", "\"TensorSpec\""), &[unknown]);
    check("spec, number", spec("null", "5"), &[unknown]);
}

#[test]
fn functions_are_judged_by_where_they_lie() {
    for (module, name, expect) in [
        ("keras.ops", "copy", &[][..]),
        ("keras.src.utils.file_utils", "copy", &[("keras-unknown-class", High)]),
        ("someone", "function", &[("keras-foreign-module", Critical)]),
        ("builtins", "__loader__.load_module", &[("keras-foreign-module", Critical)]),
        ("__main__", "os.system", &[("keras-foreign-module", Critical)]),
        // Keras takes a function for a class.
        (
            "transformers.dynamic_module_utils",
            "get_class_from_dynamic_module",
            &[("keras-foreign-module", Critical)],
        ),
    ] {
        check(name, function(module, name), expect);
    }
    for (module, name, expect) in [
        (
            "transformers.dynamic_module_utils",
            "get_class_from_dynamic_module",
            ("keras-foreign-module", Critical),
        ),
        ("keras_hub.src.utils.x", "Model", ("keras-foreign-module", Critical)),
        ("keras_hub.src.models", "Outer.inner", ("keras-foreign-module", Critical)),
        ("keras_hub.src.models", "Gemma", ("keras-extension", Low)),
        ("tensorflow_addons.layers.gelu", "Addons>GELU", ("keras-extension", Low)),
        // As before: not where models' classes lie, a package of another's, a name that only looks like one.
        ("keras_hub.src.tests", "Gemma", ("keras-custom-object", Medium)),
        ("keras_hub.src.layers.utils", "Gemma", ("keras-foreign-module", Critical)),
        ("transformers.models.bert", "TFBertMainLayer", ("keras-custom-object", Medium)),
        ("keras_hubs.layers", "Gemma", ("keras-foreign-module", Critical)),
        ("keras_hub_layers", "Gemma", ("keras-foreign-module", Critical)),
        ("keras_cv.layers", "system", ("keras-foreign-module", Critical)),
        ("keras_cv.layers", "Mine>Mixup", ("keras-custom-object", Medium)),
        ("someone", "function", ("keras-unknown-class", High)),
    ] {
        check(name, model(&layer(&format!("{module:?}"), name, "{}")), &[expect]);
    }
}

#[test]
fn layers_that_reach_out_are_found() {
    let keras = "\"keras.layers\"";
    for (class, config, expect) in [
        ("StringLookup", r#"{"vocabulary": "/etc/passwd"}"#, ("keras-file-reference", High)),
        ("TextVectorization", r#"{"vocabulary": "http://a/b"}"#, ("keras-file-reference", High)),
        ("TextVectorization", r#"{"merges": "/etc/passwd"}"#, ("keras-file-reference", High)),
        ("TFSMLayer", r#"{"filepath": "evil"}"#, ("keras-file-reference", High)),
        (
            "TorchModuleWrapper",
            r#"{"module": {"class_name": "__bytes__", "config": {"value": "x"}}}"#,
            ("keras-torch-module", Critical),
        ),
        ("TFOpLambda", r#"{"function": "io.write_file"}"#, ("keras-tensorflow-call", Critical)),
        ("TFOpLambda", r#"{"function": "compat.v1.py_func"}"#, ("keras-tensorflow-call", Critical)),
        ("TFOpLambda", r#"{"function": "brand.new"}"#, ("keras-tensorflow-call", High)),
        (
            "TensorFlowOpLayer",
            r#"{"node_def": "{\"op\": \"WriteFile\"}"}"#,
            ("keras-tensorflow-call", Critical),
        ),
        ("TensorFlowOpLayer", r#"{"node_def": "?"}"#, ("keras-tensorflow-call", High)),
        // A layer of TensorFlow Probability, whatever it is called.
        ("Dense", r#"{"make_distribution_fn": "gASVCg=="}"#, ("keras-lambda", Critical)),
    ] {
        check(class, model(&layer(keras, class, config)), &[expect]);
    }
    check("list", model(&layer(keras, "StringLookup", r#"{"vocabulary": ["a", "b"]}"#)), &[]);
    check("none", model(&layer(keras, "StringLookup", r#"{"vocabulary": null}"#)), &[]);
}

#[test]
fn nothing_around_a_model_hides_it() {
    let evil = function("os", "system");
    let foreign = [("keras-foreign-module", Critical)];
    for name in ["config.json", "model.json", "no-extension"] {
        for (before, behind) in [
            (r#"{"model": "#, "}"),
            ("[", "]"),
            (r#"{"class_name": "x", "model": "#, "}"),
            (r#"[0, "class_name", {"config": null, "list": [[{"a": {"class_name": 1}}, "#, "]]}]"),
            (&"[".repeat(100), &"]".repeat(100)),
        ] {
            check(name, format!("{before}{evil}{behind}"), &foreign);
        }
    }
    // Deeper than is examined: undecided.
    let deep = scan("config.json", [&"[".repeat(400), evil.as_str(), &"]".repeat(400)].concat());
    assert!(deep.iter().any(|finding| finding.rule.as_str() == "limit"), "{deep:?}");
}

#[test]
fn what_lies_around_a_model_is_not_taken_for_a_part_of_it() {
    let dense = layer("null", "Dense", "{}");
    check("around.json", format!(r#"{{"vocabulary": "vocab.txt", "net": {dense}}}"#), &[]);
    let within = layer("null", "StringLookup", r#"{"a": [{"vocabulary": "vocab.txt"}]}"#);
    check("within.json", format!("[{within}]"), &[("keras-file-reference", High)]);
    // As Keras Tuner writes its trials.
    let space = r#"[{"class_name": "Int", "config": {"name": "units", "min_value": 1, "conditions": []}},
        {"class_name": "Choice", "config": {"name": "kind", "values": ["a", "b"]}}, {"class_name": "Float", "config": {}},
        {"class_name": "Boolean", "config": {}}, {"class_name": "Fixed", "config": {"name": "x", "value": 1}}]"#;
    let trial =
        format!(r#"{{"trial_id": "00", "hyperparameters": {{"space": {space}, "values": {{"units": 3}}}}}}"#);
    check("trial.json", trial, &[]);
}

#[test]
fn keys_that_come_again_and_again_take_no_longer_than_others() {
    let many = |part: &dyn Fn(usize) -> String| -> String {
        let parts: Vec<String> = (0..20_000).map(part).collect();
        format!(r#"{{"config": {{}}, {}}}"#, parts.join(", "))
    };
    // Each of these took time with the third or fourth power of its length: about a year for the first of them.
    for text in [
        many(&|i| format!(r#""module": "keras.layers", "class_name": "Dense", "registered_name": "R{i}""#)),
        many(&|i| format!(r#""module": "m{i}", "class_name": "C{i}", "registered_name": "R{i}""#)),
        many(&|i| format!(r#""module": "m{i}", "class_name": "__typespec__", "spec_name": "S{i}""#)),
        many(&|i| {
            format!(
                r#""class_name": "Lambda", "registered_name": "Lambda", "config": {{"function": "f{i}"}}"#
            )
        }),
        many(&|i| format!(r#""module": "m{i}", "class_name": "function", "config": "f{i}""#)),
        many(&|_| r#""a_type": "lambda", "a": 1"#.to_owned()),
        many(&|i| format!(r#""__loader__": "L{i}", "__module__": "m{i}", "__class__": "C{i}""#)),
        many(&|_| r#""__loader__": "MethodNode", "__module__": "m", "__class__": "C""#.to_owned()),
    ] {
        let found = scan("config.json", text);
        assert!(found.len() > 1, "{found:?}");
    }
    // What comes first is judged all the same.
    let evil = many(&|i| {
        format!(
            r#""class_name": "Dense", "module": "{}""#,
            if i == 3 { "os".to_owned() } else { format!("m{i}") }
        )
    });
    assert!(scan("config.json", evil).iter().any(|finding| finding.message.contains("os.Dense")));
}

#[test]
fn neither_of_two_equal_keys_hides_the_other() {
    for (first, second) in [("keras.layers", "os"), ("os", "keras.layers")] {
        let twice = format!(
            r#"{{"module": "{first}", "module": "{second}", "class_name": "Dense", "config": {{}}}}"#
        );
        let expect = [("keras-foreign-module", Critical), ("keras-duplicate-key", Medium)];
        check("twice", model(&twice), &expect);
    }
}

#[test]
fn no_encoding_hides_a_configuration() {
    let text = function("os", "system");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check("wide", wide, &[("keras-foreign-module", Critical)]);
    let escaped = text.replace("class_name", "cl\\u0061ss_name");
    check("escaped", escaped, &[("keras-foreign-module", Critical)]);
    check("space", [" ".repeat(9000), text].concat(), &[("keras-foreign-module", Critical)]);
}

#[test]
fn padding_does_not_hide_a_configuration() {
    let padded = [" ".repeat((32 << 20) + 1).as_str(), &function("os", "system")].concat();
    assert!(scan("config.json", padded).iter().any(|finding| finding.rule.as_str() == "limit"));
}

#[test]
fn other_json_is_left_alone() {
    for text in [
        "{}",
        "[1]",
        r#"{"model_type": "bert", "config": {"class_name": "x"}}"#,
        r#"{"a": {"class_name": 1, "config": 2}}"#,
        "{",
    ] {
        check("x.json", text, &[]);
    }
}

fn node(loader: &str, module: &str, class: &str, more: &str) -> String {
    format!(
        r#"{{"__class__": "{class}", "__module__": "{module}", "__loader__": "{loader}"{more}, "protocol": 2,
            "_skops_version": "0.16"}}"#
    )
}

#[test]
fn honest_skops_schemas_raise_no_alarm() {
    let json = r#"{"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1", "is_json": true}"#;
    let content = format!(
        r#", "content": {{"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {{"a": {json}}},
            "key_types": {{"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}}}}"#
    );
    check(
        "schema.json",
        node("ObjectNode", "sklearn.linear_model._logistic", "LogisticRegression", &content),
        &[],
    );
    check("schema.json", node("FunctionNode", "numpy", "log1p", ""), &[]);
    check(
        "schema.json",
        node("NdArrayNode", "numpy", "ndarray", r#", "type": "numpy", "file": "1.npy""#),
        &[],
    );
    check("schema.json", node("OperatorFuncNode", "operator", "itemgetter", ""), &[]);
}

#[test]
fn calls_in_skops_schemas_are_found() {
    let owner = r#", "content": {"func": "system", "obj": {"__class__": "dict", "__module__": "builtins"}}"#;
    let reach =
        r#", "content": {"func": "__globals__", "obj": {"__class__": "dict", "__module__": "builtins"}}"#;
    let generator =
        r#", "content": {"bit_generator": {"content": {"bit_generator": {"content": "\"seed\""}}}}"#;
    let old = r#", "content": {"module_path": "os", "function": "system"}"#;
    for (schema, severity) in [
        (node("OperatorFuncNode", "os", "system", ""), Critical),
        (node("OperatorFuncNode", "operator", "call", ""), Critical),
        (node("OperatorFuncNode", "operator", "methodcaller", ""), High),
        (node("MethodNode", "sklearn.base", "BaseEstimator", owner), Critical),
        (node("MethodNode", "builtins", "dict", reach), Critical),
        (node("FunctionNode", "os", "system", ""), Critical),
        (node("FunctionNode", "numpy", "log1p", old), Critical),
        (node("TypeNode", "builtins", "eval", ""), Critical),
        (node("LossNode", "subprocess", "Popen", ""), Critical),
        (node("ConstructorFromReduceNode", "sklearn.base", "a.b", ""), Critical),
        (node("RandomGeneratorNode", "numpy.random._generator", "Generator", generator), Critical),
    ] {
        check(&schema, schema.clone(), &[("skops-call", severity)]);
    }
}

#[test]
fn unknown_types_and_nodes_of_skops_are_undecided() {
    check("type", node("ObjectNode", "my_package", "Model", ""), &[("skops-untrusted-type", High)]);
    check("node", node("BrandNewNode", "builtins", "dict", ""), &[("skops-unknown-node", High)]);
    let newer = node("DictNode", "builtins", "dict", "").replace("\"protocol\": 2", "\"protocol\": 9");
    check("protocol", newer, &[("skops-unknown-node", High)]);
}

#[test]
fn a_document_cut_anywhere_is_never_clean() {
    for text in [function("keras.ops", "abs"), node("FunctionNode", "numpy", "log1p", "")] {
        let start = text.find("config").or(text.find("__loader__")).unwrap() + 12;
        for end in start..text.len() {
            assert!(!scan("config.json", &text.as_bytes()[..end]).is_empty(), "cut at {end}: {text}");
        }
    }
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        for text in [function("os", "system"), node("MethodNode", "os", "system", "")] {
            let mut bytes = text.into_bytes();
            for (index, value) in &flips {
                let at = index.index(bytes.len());
                bytes[at] = *value;
            }
            scan("config.json", bytes);
        }
    }
}
