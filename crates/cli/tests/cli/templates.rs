//! Chat templates that strangers wrote, rendered as the binary has them rendered: by another process of itself.

use std::path::PathBuf;

use ostrom_models::Message;
use ostrom_models::local::{ChatTemplate, Templates};

fn child() -> Templates {
    Templates::Child {
        program: PathBuf::from(env!("CARGO_BIN_EXE_ostrom")),
        arguments: vec!["render-templates".into()],
    }
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, "<s>", "</s>", &child()).unwrap()
}

#[test]
fn the_child_makes_the_prompts_that_this_process_makes() {
    let conversation =
        [Message::system("Be \"brief\".\n"), Message::user("{{ 7 * 7 }} é🐑\u{0}"), Message::assistant("49")];
    for source in [
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' \
         + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "{{ bos_token }}{% for m in messages if m.role != 'system' %}{{ loop.index }}{{ m.content | trim | tojson }}\
         {% endfor %}{{ eos_token }}",
        "{{ raise_exception('no system turn') }}",
    ] {
        let here = ChatTemplate::new(source, "<s>", "</s>", &Templates::InProcess).unwrap();
        let there = template(source);
        for _ in 0..3 {
            assert_eq!(there.render(&conversation, &[]), here.render(&conversation, &[]));
        }
    }
    let broken = "{% for %}";
    let [here, there] = [Templates::InProcess, child()]
        .map(|templates| ChatTemplate::new(broken, "", "", &templates).map(|_| ()).unwrap_err().to_string());
    assert_eq!(here, there);
}

/// Each takes more than a gigabyte, the whole stack or hours, and costs the one who reads it an error.
#[test]
fn a_template_cannot_take_all_memory_or_time() {
    for (what, source) in [
        (
            "doubling",
            "{% set n = namespace(x='0123456789') %}{% for i in range(27) %}{% set n.x = n.x + n.x %}\
                      {% endfor %}{{ n.x | length }}",
        ),
        (
            "doubling with ~",
            "{% set n = namespace(x='0123456789') %}{% for i in range(27) %}{% set n.x = n.x ~ n.x %}\
                             {% endfor %}{{ n.x | length }}",
        ),
        (
            "capturing",
            "{% set n = namespace(x='0123456789') %}{% for i in range(27) %}{% set y %}{{ n.x }}{{ n.x }}\
                       {% endset %}{% set n.x = y %}{% endfor %}{{ n.x | length }}",
        ),
        (
            "indenting",
            "{% set n = namespace(x='a\\nb') %}{% for i in range(24) %}{% set n.x = n.x ~ '\\n' ~ n.x %}\
                       {% endfor %}{{ n.x | indent(200) | length }}",
        ),
        (
            "joining",
            "{% set n = namespace(x=['0123456789']) %}{% for i in range(27) %}{% set n.x = n.x + n.x %}\
                     {% endfor %}{{ n.x | join(',') | length }}",
        ),
        (
            "replacing",
            "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(10) %}\
                       {% set n.x = n.x | replace('a', 'aaaaaaaaaaaaaaaa') %}{% endfor %}{{ n.x | length }}",
        ),
        (
            "lists of lists",
            "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}\
                            {{ n.x | string | length }}",
        ),
        (
            "comparing",
            "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}\
                       {% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
        ),
        (
            "printing",
            "{% set n = namespace(x=['0123456789']) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}\
                      {% endfor %}{{ n.x }}",
        ),
        (
            "deep",
            "{% set n = namespace(x=[1]) %}{% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}\
                  {% for i in range(90000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x == n.x }}{{ n.x }}",
        ),
    ] {
        let error = template(source).render(&[Message::user("hi")], &[]).expect_err(what).to_string();
        assert!(error.contains("hostile") || error.contains("16 MiB"), "{what}: {error}");
    }
}

#[test]
fn one_conversation_that_costs_too_much_does_not_spoil_the_next() {
    let template = template(
        "{% set n = namespace(x='0123456789') %}{% if messages[0].content == 'bomb' %}{% for i in range(27) %}\
         {% set n.x = n.x + n.x %}{% endfor %}{% endif %}{{ n.x }}",
    );
    let ask = |text: &str| template.render(&[Message::user(text)], &[]);
    assert_eq!(ask("hi").unwrap(), "0123456789");
    ask("bomb").unwrap_err();
    assert_eq!(ask("hi").unwrap(), "0123456789");
}

#[test]
fn without_a_child_there_is_no_prompt() {
    let nothing = Templates::Child { program: "no-such-program".into(), arguments: Vec::new() };
    let error = ChatTemplate::new("x", "", "", &nothing).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");
}
