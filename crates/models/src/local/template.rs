//! Chat templates: the Jinja text in a GGUF file that turns a conversation into one prompt.
//!
//! The template is untrusted: it runs with a fuel limit, in bounded memory (`bounded`), without includes, and cannot
//! reach anything but the conversation.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use super::bounded;
use super::gguf::Header;
use super::tokenizer::Tokenizer;
use crate::chat::{Message, ToolSpec};
use crate::model::ModelError;

/// The longest template, in bytes: many times the longest real one.
const MAX_TEMPLATE: usize = 1 << 20;
/// The longest prompt that a template may make of a conversation, in bytes.
const MAX_PROMPT: usize = 16 << 20;

/// A chat template that compiles.
pub struct ChatTemplate {
    source: String,
    syntax: SyntaxConfig,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles the file's template. `None` if it has none (a base model).
    ///
    /// # Errors
    /// If the template does not parse.
    pub fn read(header: &Header, tokenizer: &Tokenizer) -> Result<Option<Self>, ModelError> {
        let Some(source) = header.string("tokenizer.chat_template") else { return Ok(None) };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.raw(id)).unwrap_or_default().to_owned();
        Self::compile(source, text(tokenizer.bos()), text(tokenizer.eos())).map(Some)
    }

    fn compile(source: &str, bos: String, eos: String) -> Result<Self, ModelError> {
        if source.len() > MAX_TEMPLATE {
            return Err(ModelError::Unsupported(format!(
                "the file's chat template has {} bytes; at most {MAX_TEMPLATE} are taken",
                source.len()
            )));
        }
        let unfit = |error: Error| ModelError::Unsupported(format!("the file's chat template: {error}"));
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(unfit)?;
        bounded::check(source, &syntax).map_err(unfit)?;
        Ok(Self { source: source.to_owned(), syntax, bos, eos })
    }

    /// The prompt for a conversation, ending where the model's turn begins.
    ///
    /// # Errors
    /// If the template rejects the conversation (some refuse a system turn, or two user turns in a row).
    pub fn render(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, ModelError> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                let calls: Vec<Value> = message
                    .tool_calls
                    .iter()
                    .map(|call| {
                        let arguments: Value = serde_json::from_str(&call.arguments)
                            .unwrap_or_else(|_| Value::from(call.arguments.as_str()));
                        context! { id => call.id.as_str(), type => "function",
                        function => context! { name => call.name.as_str(), arguments => arguments } }
                    })
                    .collect();
                let role = message.role.as_str();
                if calls.is_empty() {
                    context! { role => role, content => message.content.as_str() }
                } else {
                    context! { role => role, content => message.content.as_str(), tool_calls => calls }
                }
            })
            .collect();
        let tools: Vec<Value> = tools
            .iter()
            .map(|tool| {
                let parameters: Value = serde_json::from_value(tool.parameters.clone()).unwrap_or_default();
                context! { type => "function", function => context! {
                    name => tool.name.as_str(), description => tool.description.as_str(), parameters => parameters } }
            })
            .collect();
        let tools = if tools.is_empty() { Value::from(()) } else { Value::from(tools) };
        let values = context! {
            messages => messages,
            tools => tools,
            bos_token => self.bos.as_str(),
            eos_token => self.eos.as_str(),
            add_generation_prompt => true,
        };
        let rendered = bounded::render(&self.source, &self.syntax, values, add_functions)
            .map_err(|error| ModelError::Unsupported(format!("the file's chat template: {error}")))?;
        if rendered.len() > MAX_PROMPT {
            return Err(ModelError::Unsupported(
                "the file's chat template made a prompt of over 16 MiB".to_owned(),
            ));
        }
        Ok(rendered)
    }
}

/// What templates call beside minijinja's own functions.
fn add_functions(environment: &mut Environment<'static>) {
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    // Templates that print today's date would make every day's run differ: the date is fixed.
    environment.add_function("strftime_now", |_format: String, _: Kwargs| "2026-01-01");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(source: &str) -> Result<ChatTemplate, ModelError> {
        ChatTemplate::compile(source, "<s>".to_owned(), "</s>".to_owned())
    }

    #[test]
    fn chatml() {
        let template = compile(
            "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] \
             + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
             {% endif %}",
        )
        .unwrap();
        let prompt = template.render(&[Message::system("S"), Message::user("U")], &[]).unwrap();
        assert_eq!(
            prompt,
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
        );
    }

    #[test]
    fn python_methods_and_exceptions() {
        let template = compile("{{ messages[0].content.strip().upper() }}").unwrap();
        assert_eq!(template.render(&[Message::user(" a ")], &[]).unwrap(), "A");
        let template = compile("{{ raise_exception('no system turn') }}").unwrap();
        assert!(template.render(&[], &[]).unwrap_err().to_string().contains("no system turn"));
    }

    fn rendered(source: &str) -> Result<String, String> {
        let template = compile(source).map_err(|error| error.to_string())?;
        let messages = [Message::system("Be brief."), Message::user(" Hi\nyou "), Message::assistant("Yes?")];
        template.render(&messages, &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_real_templates_do_works() {
        for (source, expect) in [
            ("{{ 'a' + 'b' ~ 1 ~ [1, 'x'] }}", "ab1[1, 'x']"),
            ("{{ messages[0].content + messages[1:][0]['content'] | trim }}", "Be brief.Hi\nyou"),
            (
                "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x + m.role[0] %}{% endfor %}{{ ns.x }}",
                "sua",
            ),
            ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') ~ f('b') }}", "<a><b>"),
            ("{{ messages | map(attribute='role') | join(', ') }}", "system, user, assistant"),
            ("{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "1"),
            ("{{ {'b': 1, 'a': [true, none]} | tojson }}", r#"{"a": [true, null], "b": 1}"#),
            ("{{ {'a': 1} | tojson(indent=2) }}", "{\n  \"a\": 1\n}"),
            (
                "{{ 'a\nb' | indent(2) }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a' | indent(first=true) }}",
                "a\n  b|  a\n  b|    a",
            ),
            (
                "{{ 'a-b' | replace('-', '+') }}{{ 'a-b'.replace('-', '') }}{{ ','.join(['x', 'y']) }}",
                "a+babx,y",
            ),
            (
                "{{ 'a b'.split(' ')[1] }}{{ 'x'.startswith(('x', 'y')) }}{{ [1] + [2] }}{{ 'abc'[::-1] }}",
                "bTrue[1, 2]cba",
            ),
            (
                "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}{{ loop is defined }}",
                "a=1False",
            ),
            ("{% for m in messages if m.role != 'user' %}{{ loop.index0 * 2 }}{% endfor %}", "02"),
            ("{% set x %}a{{ 1 }}{% endset %}{{ x | upper }}{{ dict(a=1)['a'] }}{{ 3 * 4 % 5 }}", "A112"),
        ] {
            assert_eq!(rendered(source).as_deref(), Ok(expect), "{source}");
        }
    }

    #[test]
    fn a_template_cannot_take_more_memory_than_any_real_one() {
        let loops = |body: &str| {
            format!(
                "{{% set ns = namespace(x='abcdefgh', l=[1]) %}}{{% for i in range(99999) %}}{body}{{% endfor %}}{{{{ ns.x }}}}"
            )
        };
        let doubling = "{% set ns.x = ns.x ~ ns.x %}";
        for source in [
            loops(doubling),
            loops("{% set ns.x = ns.x + ns.x %}"),
            loops("{% set ns.x = ns.x * 1000 %}"),
            loops("{% set ns.l = ns.l + ns.l %}"),
            loops("{% set ns.l = [ns.l, ns.l] %}"),
            loops("{% set ns.l = [ns.l] %}"),
            loops("{% set ns.l = {'a': ns.l, 'b': ns.l} %}"),
            loops("{% set ns.l = dict(a=ns.l, b=ns.l) %}"),
            loops("{% set ns.x = ns.x | replace('a', ns.x) %}"),
            loops("{% set ns.x = ns.x.replace('', ns.x) %}"),
            loops("{% set ns.x = [ns.x, ns.x] | join(ns.x) %}"),
            loops("{% set ns.x = ns.x.join([ns.x, ns.x]) %}"),
            loops("{% set ns.x = ns.x | escape | tojson | tojson %}"),
            loops("{% set ns.l = ns.l + [range(99999) | list] %}"),
            loops("{% set ns.l = ns.l + ['\u{e4}' * 2, ns.x[1:]] %}{% set ns.x = ns.x ~ i %}"),
            loops("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
            loops("{% filter upper %}{{ ns.x }}{% endfilter %}"),
            format!(
                "{{% macro f(x) %}}{{{{ x }}}}{{{{ x }}}}{{% endmacro %}}{{% set ns = namespace(x='ab') %}}{}",
                "{% for i in range(64) %}{% set ns.x = f(ns.x) %}{% endfor %}"
            ),
            format!(
                "{{% for i in range(99999) %}}{{% for j in range(99999) %}}{}{{% endfor %}}{{% endfor %}}",
                "x".repeat(99_999)
            ),
            "{{ 'a' | indent(10000000000000000000) }}".to_owned(),
            "{{ 'a' | indent(width=999999999) }}".to_owned(),
            "{{ [1] | tojson(indent=999999999999) }}".to_owned(),
            "{{ [[1]] | map('tojson', 999999999999) | list }}".to_owned(),
            "{{ ['a'] | map('replace', '', 'b') | list }}".to_owned(),
            "{{ [1] | batch(999999999999, 0) | list }}".to_owned(),
            "{{ '%999999999999d' | format(1) }}{{ '{:999999999999}'.format(1) }}".to_owned(),
            "{{ 'a' * 100000000 }}".to_owned(),
            "{{ ('a') * 100000000 }}{{ 100000000 * [1] }}".to_owned(),
            "{{ debug() }}".to_owned(),
        ] {
            let shown: String = source.chars().take(160).collect();
            let error = rendered(&source).err().unwrap_or_else(|| panic!("{shown} was rendered"));
            assert!(!error.is_empty(), "{shown}");
        }
        let long = "x".repeat(MAX_TEMPLATE + 1);
        assert!(rendered(&long).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_template_cannot_run_for_ever() {
        let template =
            compile("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}");
        assert!(template.unwrap().render(&[], &[]).unwrap_err().to_string().contains("fuel"));
    }
}
