//! Graphs of PyTorch, which are rebuilt by running Python source.

use ostrom_core::Severity;

use super::{critical, findings};
use crate::pickle::asm::Asm;
use crate::pickle::opcode as op;

const HONEST: &str = "\n\ndef forward(self, x):\n    relu = torch.relu(x);  x = None\n    return relu\n";

/// A graph with this function, what is in front of it, and more entries of its dict.
fn graph(imports: &str, function: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let asm = Asm::proto(2).global("torch.fx.graph_module", "reduce_graph_module").op(op::EMPTY_DICT);
    let asm =
        asm.text("training").op(op::NEWTRUE).op(op::SETITEM).text("_code").text(function).op(op::SETITEM);
    let asm = more.iter().fold(asm, |asm, (key, value)| asm.text(key).text(value).op(op::SETITEM));
    let asm = asm.text("_tracer_cls").global("torch.fx._symbolic_trace", "Tracer").op(op::SETITEM);
    asm.text(imports).op(op::TUPLE2).op(op::REDUCE).stop()
}

#[track_caller]
fn rules(bytes: Vec<u8>) -> Vec<String> {
    findings(bytes).into_iter().map(|finding| finding.rule.as_str().to_owned()).collect()
}

#[test]
fn a_graph_is_said_to_run_its_source() {
    let found = findings(graph("import torch", HONEST, &[]));
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.rule.as_str(), finding.severity), ("pickle-source", Severity::High));
    // The second pickle of a file is read in two ways; it is told once.
    let second = [Asm::proto(2).int(1).stop(), graph("import torch", HONEST, &[])].concat();
    assert_eq!(rules(second), ["pickle-source"]);
    assert!(crate::rule("pickle-source").unwrap().undecided);
    assert!(finding.message.contains("torch.fx.graph_module.reduce_graph_module"), "{}", finding.message);
    assert!(finding.message.contains("runs Python source: the function at byte "), "{}", finding.message);
}

#[test]
fn source_that_is_run_is_read() {
    let function = "\n\ndef forward(self, x):\n    x = os.system('id')\n    return x\n";
    assert_eq!(rules(graph("import os", function, &[])), ["pickle-source", "python-commands"]);
    // A name of the imports, used in the function.
    let function = "\n\ndef forward(self, x):\n    return relu('id')\n";
    assert!(
        rules(graph("from os import system as relu", function, &[])).contains(&"python-commands".to_owned())
    );
    assert!(rules(graph("__import__('os').system('id')", HONEST, &[])).len() > 1);
    let long = format!("{}{}", "#".repeat(5 << 20), HONEST);
    assert_eq!(rules(graph("import torch", &long, &[])), ["pickle-source", "limit"]);
}

#[test]
fn a_graph_whose_source_is_not_known_is_as_dangerous_as_ever() {
    let name = "torch.fx.graph_module.reduce_graph_module";
    critical(graph("import torch", HONEST, &[("code", HONEST)]), &[name]);
    critical(graph("import torch", HONEST, &[("_code", "import os")]), &[name]);
    let keys: Vec<_> = (0..100).map(|key| key.to_string()).collect();
    let many: Vec<_> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    critical(graph("import torch", HONEST, &many), &[name]);
    let direct = |args: Asm| {
        Asm::proto(2).global("torch.fx.graph_module", "reduce_graph_module").raw(&args.unfinished())
    };
    critical(direct(Asm::new().text("x").op(op::TUPLE1).op(op::REDUCE)).stop(), &[name]);
    let empty = Asm::new().op(op::EMPTY_DICT).text("import os").op(op::TUPLE2).op(op::REDUCE);
    critical(direct(empty).stop(), &[name]);
    // The class by which it was traced is only named.
    let tracer = Asm::proto(2).global("torch.fx._symbolic_trace", "Tracer");
    assert_eq!(rules(tracer.clone().stop()), Vec::<String>::new());
    assert_eq!(rules(tracer.new_object().stop()), ["pickle-arguments"]);
    assert_eq!(
        rules(Asm::proto(2).global("torch.fx._symbolic_trace", "Tracer.trace").stop()),
        ["pickle-import"]
    );
}
