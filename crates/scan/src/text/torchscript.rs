//! Code of TorchScript archives. It has Python's syntax and its own names: what is not a local or a class of the archive is an
//! operator.

use super::instructions::lists;
use super::{TORCHSCRIPT_FILES, TORCHSCRIPT_OPERATOR, python, script, text_of};
use crate::examination::Examination;
use crate::source::View;
use crate::trouble::Trouble;

/// Operators that read or write files or talk to other machines.
pub(super) const FILES: [&str; 10] = [
    "torch.save",
    "torch.from_file",
    "ops.aten.save",
    "ops.aten.from_file",
    "ops.aten.load",
    "torch.load",
    "ops.prim.rpc_async",
    "ops.prim.rpc_sync",
    "ops.prim.rpc_remote",
    "ops.aten.set_data",
];

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    let mut reported = std::collections::BTreeSet::new();
    for (offset, path) in python::dotted_names(&text) {
        let mut parts = path.split('.');
        let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let file = FILES.iter().find(|name| path == **name);
        if let Some(name) = file {
            scan.report(TORCHSCRIPT_FILES, Some(offset), format!("calls {name}"));
        } else if matches!(path.as_str(), "rpc_sync" | "rpc_async" | "remote" | "rpc") {
            scan.report(
                TORCHSCRIPT_FILES,
                Some(offset),
                format!("calls {path}, which talks to other machines"),
            );
        } else if first == "ops"
            && !second.is_empty()
            && !lists().operator_namespaces.contains(second)
            && reported.insert(path.clone())
        {
            let what = format!("needs the operator {path} of a library that torch does not have");
            scan.report(TORCHSCRIPT_OPERATOR, Some(offset), what);
        } else if path.starts_with("__torch__.torch.classes.") && reported.insert(path.clone()) {
            let namespace = path.split('.').nth(3).unwrap_or("");
            if !matches!(
                namespace,
                "quantized"
                    | "sparse"
                    | "xnnpack"
                    | "mkldnn"
                    | "rnn"
                    | "cuda"
                    | "vulkan"
                    | "metal"
                    | "torchvision"
                    | "tensorrt"
            ) {
                let what = format!("needs the class {path} of a library that torch does not have");
                scan.report(TORCHSCRIPT_OPERATOR, Some(offset), what);
            }
        }
    }
    // Should something run it as Python after all.
    script::what_misleads(view, &text, scan)?;
    script::examine_code(&text, scan);
    Ok(())
}
