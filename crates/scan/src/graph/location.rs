//! Names of other files, as a graph gives them.

/// Why a name of a file beside the graph is none: it reaches somewhere else. `None` for an honest one.
pub(crate) fn outside(name: &str) -> Option<&'static str> {
    if name.contains("_MEM_ADDR_") {
        return Some("is onnxruntime's mark for an address in the memory of the process");
    }
    if name.chars().any(char::is_control) {
        return Some("has control characters");
    }
    if name.starts_with(['/', '\\']) {
        return Some("is an absolute path");
    }
    if name.starts_with('~') {
        return Some("begins in a home folder");
    }
    if name.contains("://") {
        return Some("is an address of another machine");
    }
    let mut chars = name.chars();
    if let (Some(drive), Some(':')) = (chars.next(), chars.next())
        && drive.is_ascii_alphabetic()
    {
        return Some("names a drive");
    }
    name.split(['/', '\\']).any(|part| part.trim_end() == "..").then_some("leaves the folder by `..`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_the_graph_are_honest_and_others_are_not() {
        for honest in ["model.onnx_data", "./w/x.bin", "sub/file.bin", "a..b", "weights:0", "vocab.txt", ""] {
            assert_eq!(outside(honest), None, "{honest}");
        }
        for escape in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a\\..\\x",
            "C:\\x",
            "c:x",
            "\\\\host\\share",
            "https://host/x",
            "a\0.bin",
            "~/.ssh/id",
            "*/_ORT_MEM_ADDR_/*",
            "..",
            ".. /x",
        ] {
            assert!(outside(escape).is_some(), "{escape}");
        }
    }
}
