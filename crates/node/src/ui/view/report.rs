//! The forms in which people report and write.

use ostrom_core::handling::Tlp;

use super::Kind;
use crate::ui::entries::Entries;
use crate::ui::part::{Badge, Choice, Control, Field, FieldGroup, Form, Submit, Weight, tlp_meaning};

/// What somebody can choose from, beside what is fixed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Recipients: `organisation:ID`, `person:ID`, `group:ID`, and their names.
    pub organisations: Vec<(String, String)>,
    /// Trust groups.
    pub groups: Vec<(String, String)>,
    /// Persons.
    pub persons: Vec<(String, String)>,
    /// Collections: id, name.
    pub collections: Vec<(String, String)>,
    /// Kinds of harm: id, name.
    pub harms: Vec<(String, String)>,
    /// Mechanisms of manipulation: id, name, hint.
    pub mechanisms: Vec<(String, String, String)>,
}

fn radio<'a>(
    entries: &Entries,
    name: &str,
    rows: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
) -> Control {
    Control::Radio(
        rows.into_iter()
            .map(|(value, label, hint)| {
                let choice = Choice::new(value, label).chosen(entries.has(name, value));
                if hint.is_empty() { choice } else { choice.hinted(hint) }
            })
            .collect(),
    )
}

fn select<'a>(entries: &Entries, name: &str, rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> Control {
    Control::Select(
        rows.into_iter()
            .map(|(value, label)| Choice::new(value, label).chosen(entries.get(name) == value))
            .collect(),
    )
}

fn checks(entries: &Entries, name: &str, rows: &[(String, String)]) -> Control {
    Control::Checks(
        rows.iter()
            .map(|(value, label)| Choice::new(value, label).chosen(entries.has(name, value)))
            .collect(),
    )
}

fn line(entries: &Entries, name: &str, label: &str) -> Field {
    Field::line(name, label, entries.get(name))
}

fn area(entries: &Entries, name: &str, label: &str, rows: u8) -> Field {
    Field::area(name, label, entries.get(name), rows)
}

fn time(entries: &Entries, name: &str, label: &str) -> Field {
    Field::kind(name, label, "datetime-local", entries.get(name), "off").half()
}

/// The marks: TLP, recipients, embargo. `collections` only where something new is put somewhere.
pub fn marks(entries: &Entries, options: &Options) -> FieldGroup {
    let tlp = Control::Radio(
        Tlp::ALL
            .into_iter()
            .map(|tlp| {
                Choice::new(tlp.name(), tlp.label())
                    .hinted(tlp_meaning(tlp))
                    .badged(Badge::tlp(tlp))
                    .chosen(entries.get("tlp") == tlp.name())
            })
            .collect(),
    );
    let mut fields = vec![Field::new("tlp", "Mark of the Traffic Light Protocol", tlp).required()];
    for (label, rows) in [
        ("Organisations", &options.organisations),
        ("Trust groups", &options.groups),
        ("Persons", &options.persons),
    ] {
        if !rows.is_empty() {
            fields.push(Field::new("to", label, checks(entries, "to", rows)));
        }
    }
    fields.push(time(entries, "embargo", "Embargo until").hinted(
        "In UTC. Before this time, only your organisation and the parties to the embargo can read it.",
    ));
    let mut parties = options.organisations.clone();
    parties.extend(options.groups.iter().cloned());
    if !parties.is_empty() {
        fields.push(
            Field::new("embargo-to", "Parties to the embargo", checks(entries, "embargo-to", &parties))
                .hinted("They can read it before the embargo ends, if its mark lets them."),
        );
    }
    if options.collections.len() > 1 {
        let rows = options.collections.iter().map(|(id, name)| (id.as_str(), name.as_str()));
        fields.push(Field::new("collection", "Collection", select(entries, "collection", rows)).required());
    } else if let Some((id, _)) = options.collections.first() {
        fields.push(Field::hidden("collection", id));
    }
    FieldGroup::new(
        "Who may read it",
        "Where recipients are named, nobody else reads it. Without any, CLEAR is for everybody, GREEN for every member, AMBER for your organisation and RED for you alone. RED reaches named persons only. The next page says in a sentence who will be able to read it, before anything is saved.",
        fields,
    )
}

/// The form for one kind, filled with `entries`. `action` is where it goes.
pub fn report_form(kind: Kind, entries: &Entries, options: &Options, action: &str, csrf: &str) -> Form {
    let mut form = Form::post(action, csrf, "");
    form.groups = match kind {
        Kind::Flaw => flaw(entries, options),
        Kind::Incident => incident(entries, options),
        Kind::Technique => technique(entries, options),
        Kind::Mitigation => mitigation(entries),
        Kind::Advisory => advisory(entries),
        Kind::Lesson | Kind::Evaluation => lesson(entries),
    };
    form.groups.push(marks(entries, options));
    form.submits(vec![Submit {
        text: "Check who can read it".to_owned(),
        step: "review",
        weight: Weight::Primary,
    }])
    .cancel(kind.path())
}

const MARKDOWN: &str = "Markdown. Links to https and mailto addresses work; pictures and HTML do not.";

fn what(entries: &Entries, label: &str, hint: &str) -> FieldGroup {
    FieldGroup::new(
        "What it is",
        "",
        vec![
            line(entries, "title", "Title")
                .required()
                .hinted("One line that somebody who reads only titles understands."),
            area(entries, "description", label, 8).required().hinted(format!("{hint} {MARKDOWN}")),
        ],
    )
}

fn flaw(entries: &Entries, options: &Options) -> Vec<FieldGroup> {
    let mut attack = vec![
        area(entries, "reproduce", "Steps to reproduce", 6).hinted("Enough for the vendor to see it happen."),
    ];
    if !options.mechanisms.is_empty() {
        let mut rows = vec![("", "Not known")];
        rows.extend(options.mechanisms.iter().map(|(id, name, _)| (id.as_str(), name.as_str())));
        attack.push(
            Field::new("mechanism", "Mechanism", select(entries, "mechanism", rows))
                .hinted("How it works on the model, whatever the words."),
        );
    }
    attack.extend([
        Field::kind("trials", "Trials", "number", entries.get("trials"), "off")
            .half()
            .hinted("How often it was tried."),
        Field::kind("successes", "Successes", "number", entries.get("successes"), "off")
            .half()
            .hinted("How often it worked. The node computes the 95 % interval."),
        area(entries, "transfer", "Transfer to other models", 3)
            .hinted("One model in a line, with how often it worked there: Fennec 2 Chat: 31 of 120"),
    ]);
    vec![
        what(entries, "Description", "What can be made to happen, by whom, and what follows from it."),
        FieldGroup::new(
            "What is affected",
            "A service's model changes under its users' feet: say when you saw it.",
            vec![
                line(entries, "vendor", "Vendor or provider").half(),
                line(entries, "model", "Model or system").required().half(),
                line(entries, "model-version", "Version or snapshot").half(),
                line(entries, "endpoint", "Endpoint or surface")
                    .half()
                    .hinted("For example: chat API, browser agent."),
                time(entries, "seen-from", "First seen").hinted("UTC"),
                time(entries, "seen-until", "Last seen").hinted("UTC. Empty: still there."),
            ],
        ),
        FieldGroup::new("How it works, and how often", "", attack),
        FieldGroup::new(
            "Severity",
            "",
            vec![
                Field::new(
                    "severity",
                    "How bad it is",
                    radio(
                        entries,
                        "severity",
                        [
                            ("critical", "Critical", "Serious harm to many, with little effort, now."),
                            ("high", "High", "Serious harm, or harm to many."),
                            ("medium", "Medium", "Harm that is limited or needs effort."),
                            ("low", "Low", "Unwanted, hardly harmful."),
                        ],
                    ),
                )
                .required(),
                Field::new(
                    "references",
                    "References",
                    Control::Area { value: entries.get("references").to_owned(), rows: 3, max: 10_000 },
                )
                .hinted("One https address in a line."),
            ],
        ),
    ]
}

fn incident(entries: &Entries, options: &Options) -> Vec<FieldGroup> {
    let harms = |name: &str| checks(entries, name, &options.harms);
    vec![
        what(entries, "What happened", "In the order in which it happened, and what follows from it."),
        FieldGroup::new(
            "How serious",
            "From this the node says what it is called in the OECD's terms: hazard, serious hazard, incident, serious incident or disaster. The next page shows it, with the reasons.",
            vec![
                Field::new("happened", "Harm that has happened", harms("happened")),
                Field::new(
                    "possible",
                    "Harm that plausibly could have happened, or still could",
                    harms("possible"),
                ),
                Field::new("serious", "Which of it is, or would be, serious", harms("serious"))
                    .hinted("A death always is."),
                Field::new(
                    "irreversible",
                    "The disruption of critical infrastructure is irreversible",
                    Control::Check(entries.has("irreversible", "yes")),
                ),
                Field::new(
                    "society",
                    "Does it disrupt a community or society beyond its own means to cope?",
                    radio(
                        entries,
                        "society",
                        [
                            ("none", "No", ""),
                            ("potential", "It could", ""),
                            ("actual", "Yes", "Then it is a disaster."),
                        ],
                    ),
                ),
                Field::new(
                    "breach",
                    "A serious cybersecurity breach, such as weights that got out",
                    Control::Check(entries.has("breach", "yes")),
                ),
                Field::new(
                    "widespread",
                    "A widespread infringement (EU AI Act, Article 3(61))",
                    Control::Check(entries.has("widespread", "yes")),
                ),
            ],
        ),
        FieldGroup::new(
            "When, and which system",
            "",
            vec![
                time(entries, "occurred", "Happened").hinted("UTC"),
                line(entries, "system", "System").half(),
                line(entries, "provider", "Provider").half(),
            ],
        ),
        FieldGroup::new(
            "Duties of your organisation to report",
            "Seen by your organisation alone, whatever the marks below. The node starts the clocks and drafts the reports; sending them stays with you. An aid, and no legal advice.",
            vec![
                Field::new(
                    "subject",
                    "Your organisation is",
                    Control::Checks(vec![
                        Choice::new("high-risk", "Provider of a high-risk AI system on the Union market")
                            .hinted("EU AI Act, Article 73: 15, 10 or 2 days.")
                            .chosen(entries.has("subject", "high-risk")),
                        Choice::new(
                            "systemic-risk",
                            "Provider of a general-purpose AI model with systemic risk",
                        )
                        .hinted("GPAI code of practice: 2, 5, 10 or 15 days.")
                        .chosen(entries.has("subject", "systemic-risk")),
                    ]),
                ),
                time(entries, "aware", "You became aware").hinted("UTC. The clocks run from then."),
                time(entries, "resolved", "Resolved").hinted("UTC. Empty: not yet."),
            ],
        ),
    ]
}

fn technique(entries: &Entries, options: &Options) -> Vec<FieldGroup> {
    let mut groups = vec![what(entries, "How it works", "The mechanism, what it needs, and how it shows.")];
    let mut fields = Vec::new();
    if !options.mechanisms.is_empty() {
        let mut rows = vec![("", "Not known")];
        rows.extend(options.mechanisms.iter().map(|(id, name, _)| (id.as_str(), name.as_str())));
        fields.push(Field::new("mechanism", "Mechanism", select(entries, "mechanism", rows)));
    }
    fields.push(line(entries, "atlas", "MITRE ATLAS technique").half().hinted("For example AML.T0051."));
    fields.push(line(entries, "aliases", "Other names").half().hinted("Separated by commas."));
    groups.push(FieldGroup::new("Where it belongs", "", fields));
    groups
}

fn mitigation(entries: &Entries) -> Vec<FieldGroup> {
    vec![
        what(
            entries,
            "What to do",
            "What it prevents, detects or limits, what it costs, and what it does not help against.",
        ),
        FieldGroup::new(
            "What it helps against",
            "",
            vec![
                Field::new(
                    "mitigates",
                    "Ids of flaws and techniques",
                    Control::Area { value: entries.get("mitigates").to_owned(), rows: 3, max: 10_000 },
                )
                .hinted("One in a line. The relationship will be as strict as its strictest end."),
            ],
        ),
    ]
}

fn advisory(entries: &Entries) -> Vec<FieldGroup> {
    vec![
        what(
            entries,
            "What those affected need to know",
            "Who is affected, how bad it is, and what to do until when. It is a draft until its case is published with it.",
        ),
        FieldGroup::new(
            "What it is about",
            "",
            vec![
                Field::new(
                    "about",
                    "Ids of flaws and mitigations",
                    Control::Area { value: entries.get("about").to_owned(), rows: 3, max: 10_000 },
                )
                .required()
                .hinted("One in a line. Who may not see all of them does not see the advisory either."),
            ],
        ),
    ]
}

fn lesson(entries: &Entries) -> Vec<FieldGroup> {
    vec![
        what(entries, "What was learned", "What happened, why, and what you do differently now."),
        FieldGroup::new(
            "What it is about",
            "",
            vec![
                Field::new(
                    "about",
                    "Ids of flaws, incidents and others",
                    Control::Area { value: entries.get("about").to_owned(), rows: 3, max: 10_000 },
                )
                .required()
                .hinted("One in a line. The lesson will be as strict as the strictest of them."),
            ],
        ),
    ]
}
