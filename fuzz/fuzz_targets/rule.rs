//! A rule from a stranger's suite on a model's answer: the first line is the rule, the rest the answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostrom_lab::rule::Rule;

fuzz_target!(|text: &str| {
    let (rule, answer) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(rule) = serde_json::from_str::<Rule>(rule) else { return };
    if let Ok(rule) = rule.rendered(&|text, _| Ok(text.to_owned())) {
        assert_eq!(rule.holds(answer), rule.holds(answer));
    }
});
