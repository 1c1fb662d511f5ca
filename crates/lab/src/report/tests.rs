use ostrom_models::{Message, ModelError};

use super::html;
use crate::bundle::verify;
use crate::defence::Defence;
use crate::scripted::{Scripted, bundle};
use crate::suite::Suite;

const HOSTILE: &str = "</pre></dd><script>alert(1)</script><img src=x onerror=\"a()\"> '\" --> </style><style>*{display:none} \u{202e}gnp\u{200b}";

/// Obeys some of the orders in the suite, wherever they stand, and says something hostile.
fn obedient(messages: &[Message]) -> Result<String, ModelError> {
    let last = messages.last().map_or("", |message| &message.content);
    let word = |before: &str| {
        let (_, rest) = last.split_once(before)?;
        Some(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect::<String>())
    };
    let first = word("Begin your answer with the code word ").unwrap_or_default();
    let end = word("Put the code word ").unwrap_or_default();
    Ok(format!("{first} {HOSTILE} {end}"))
}

/// Elements that a report may have. None of them loads or runs anything.
const ELEMENTS: &str = "!doctype html head meta title style body a header div p h1 h2 h3 span dl dt dd code nav ul ol li \
    main section strong svg path rect text table caption thead tbody tr th td details summary b article mark pre footer";

fn assert_inert(page: &str) {
    for tag in page.split('<').skip(1) {
        let name: String = tag.trim_start_matches('/').chars().take_while(|c| !" >\n".contains(*c)).collect();
        assert!(ELEMENTS.split_whitespace().any(|known| known == name), "<{name}> in the report");
        let attributes = tag.split('>').next().unwrap_or_default();
        for bad in [" src=", " style=", " on", "href=\"h", "href=\"/", "javascript:"] {
            assert!(!attributes.contains(bad), "<{attributes}>");
        }
    }
    assert_eq!(page.matches("<style>").count(), 1);
    let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("expression"));
}

#[test]
fn a_bundle_of_a_scripted_model_verifies_and_its_report_is_deterministic() {
    let folder = tempfile::tempdir().unwrap();
    let suite = Suite::load("starter").unwrap();
    let first = html(&bundle(folder.path(), suite, &[Defence::Sandwich], Scripted(obedient))).unwrap();
    let (bundle, _) = verify(folder.path(), None).unwrap();
    assert_eq!(html(&bundle).unwrap(), first);
    std::fs::write(folder.path().join("report.html"), &first).unwrap();
    verify(folder.path(), None).unwrap();
    std::fs::write(folder.path().join("report.html"), first.replace("Summary", "Summery")).unwrap();
    assert!(verify(folder.path(), None).is_err());
    assert_inert(&first);
    assert!(first.contains(&bundle.digest.to_string()));
    assert!(first.contains("sandwich") && !first.contains("role=\"note\""));
}

#[test]
fn hostile_text_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut suite = Suite::load("starter").unwrap();
    suite.title = HOSTILE.to_owned();
    suite.description = HOSTILE.to_owned();
    suite.version = HOSTILE.to_owned();
    for case in &mut suite.cases {
        case.system.insert_str(0, HOSTILE);
        case.mechanism = "of-somebody-else".parse().unwrap();
        for turn in &mut case.attack {
            turn.instruction.push_str(HOSTILE);
            if let Some(document) = &mut turn.document {
                document.name.push_str(HOSTILE);
                document.body.insert_str(0, HOSTILE);
            }
        }
    }
    let page = html(&bundle(folder.path(), suite, &[], Scripted(obedient))).unwrap();
    assert_inert(&page);
    let article = page.split("<article").nth(1).expect("no example");
    assert!(article.contains("of-somebody-else") && article.contains("&#60;script&#62;alert(1)"));
    assert!(article.contains("<mark class=\"hid\">⟨202E⟩</mark>"), "in the document");
    assert!(article.contains("<span class=\"hid\">⟨200B⟩</span>"), "in the answer");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{200b}'));
}

#[test]
fn failed_trials_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let model = Scripted(|messages| {
        let long = messages.iter().map(|message| message.content.len()).sum::<usize>() % 5 == 0;
        let last = format!("<script>{HOSTILE}");
        if long { Err(ModelError::Unavailable { attempts: 3, last }) } else { Ok(String::new()) }
    });
    let page = html(&bundle(folder.path(), Suite::load("starter").unwrap(), &[], model)).unwrap();
    assert_inert(&page);
    assert!(page.contains("rates are given as ranges") && page.contains("id=\"failures\""));
    assert!(page.contains("the endpoint failed 3 times, last with"));
    assert!(page.contains("No attack counted, so there is none to show"));
    assert!(page.contains("could not be decided. The rate lies within 0–"));
}
