//! Chat templates: the Jinja text in a GGUF file that turns a conversation into one prompt.
//!
//! The template is untrusted: it runs with a fuel limit, without includes, and cannot reach anything but the
//! conversation. Its memory is bounded only where it runs in a child process ([`Templates::Child`]).

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use serde::{Deserialize, Serialize};

use super::gguf::Header;
use super::isolated::{Isolated, Templates};
use super::tokenizer::Tokenizer;
use crate::chat::{Message, ToolSpec};
use crate::model::ModelError;

/// Instructions a template may execute: some thousand times what real ones need.
const FUEL: u64 = 5_000_000;
/// The longest prompt that a template may make of a conversation, in bytes.
pub(super) const MAX_PROMPT: usize = 16 << 20;

/// A file's chat template.
pub struct ChatTemplate(Renderer);

enum Renderer {
    Here(Box<Compiled>),
    Child(Box<Isolated>),
}

/// What a chat template is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    source: String,
    bos: String,
    eos: String,
}

/// A template, compiled in this process.
pub(super) struct Compiled {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

impl ChatTemplate {
    /// Compiles the file's template. `None` if it has none (a base model).
    ///
    /// # Errors
    /// If the template does not parse, or the child process that should render it does not start.
    pub fn read(
        header: &Header,
        tokenizer: &Tokenizer,
        templates: &Templates,
    ) -> Result<Option<Self>, ModelError> {
        let Some(source) = header.string("tokenizer.chat_template") else { return Ok(None) };
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.raw(id)).unwrap_or_default();
        Self::new(source, text(tokenizer.bos()), text(tokenizer.eos()), templates).map(Some)
    }

    /// Compiles a template, for a model whose texts begin with `bos` and end with `eos`.
    ///
    /// # Errors
    /// If the template does not parse, or the child process that should render it does not start.
    pub fn new(source: &str, bos: &str, eos: &str, templates: &Templates) -> Result<Self, ModelError> {
        let setup = Setup { source: source.to_owned(), bos: bos.to_owned(), eos: eos.to_owned() };
        Ok(Self(match templates {
            Templates::InProcess => Renderer::Here(Box::new(Compiled::new(&setup)?)),
            Templates::Child { program, arguments } => {
                Renderer::Child(Box::new(Isolated::new(program.clone(), arguments.clone(), setup)?))
            }
        }))
    }

    /// The prompt for a conversation, ending where the model's turn begins.
    ///
    /// # Errors
    /// If the template rejects the conversation (some refuse a system turn, or two user turns in a row), or takes more
    /// than it may have.
    pub fn render(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, ModelError> {
        match &self.0 {
            Renderer::Here(compiled) => compiled.render(messages, tools),
            Renderer::Child(isolated) => isolated.render(messages, tools),
        }
    }
}

impl Compiled {
    pub(super) fn new(setup: &Setup) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| ModelError::Unsupported(error.to_string()))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        // Templates that print today's date would make every day's run differ: the date is fixed.
        environment.add_function("strftime_now", |_format: String, _: Kwargs| "2026-01-01");
        let unfit = |error: Error| ModelError::Unsupported(format!("the file's chat template: {error}"));
        environment.add_template_owned("chat", setup.source.clone()).map_err(unfit)?;
        Ok(Self { environment, bos: setup.bos.clone(), eos: setup.eos.clone() })
    }

    pub(super) fn render(&self, messages: &[Message], tools: &[ToolSpec]) -> Result<String, ModelError> {
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
        let rendered = self
            .environment
            .get_template("chat")
            .and_then(|template| {
                template.render(context! {
                    messages => messages,
                    tools => tools,
                    bos_token => self.bos.as_str(),
                    eos_token => self.eos.as_str(),
                    add_generation_prompt => true,
                })
            })
            .map_err(|error| ModelError::Unsupported(format!("the file's chat template: {error}")))?;
        if rendered.len() > MAX_PROMPT {
            return Err(ModelError::Unsupported(
                "the file's chat template made a prompt of over 16 MiB".to_owned(),
            ));
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(source: &str) -> Result<ChatTemplate, ModelError> {
        ChatTemplate::new(source, "<s>", "</s>", &Templates::InProcess)
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

    #[test]
    fn a_template_cannot_run_for_ever() {
        let template =
            compile("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}");
        assert!(template.unwrap().render(&[], &[]).unwrap_err().to_string().contains("fuel"));
    }
}
