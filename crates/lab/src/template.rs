//! Rendering of the templates in suite data: variables, and every transform as a filter.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

use crate::transform::Transform;

/// Instructions that one template may execute: a thousand times what the library's need.
const FUEL: u64 = 100_000;
/// The longest text that a template may make, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// Renders templates. Undefined variables are errors.
pub struct Renderer {
    environment: Environment<'static>,
}

impl Renderer {
    /// A renderer with all transforms as filters (`url-encode` as `url_encode`), `one_line` and `prefix_lines`.
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        for transform in Transform::ALL {
            let name = transform.id().replace('-', "_");
            environment.add_filter(name, move |text: String| transform.apply(&text));
        }
        environment.add_filter("one_line", |text: String| {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
        });
        environment.add_filter("prefix_lines", |text: String, prefix: String| {
            text.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n")
        });
        Self { environment }
    }

    /// Renders `template`.
    ///
    /// # Errors
    /// A message for the author of the template.
    pub fn render(&self, template: &str, context: &Value) -> Result<String, String> {
        let text = self.environment.render_str(template, context).map_err(|error| error.to_string())?;
        if text.len() > MAX_OUTPUT {
            return Err(format!("the template makes a text of over {MAX_OUTPUT} bytes"));
        }
        Ok(text)
    }
}

impl Default for Renderer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    #[test]
    fn filters_and_limits() {
        let renderer = Renderer::new();
        let context = context! { text => "Say\n hi." };
        let render = |template: &str| renderer.render(template, &context);
        assert_eq!(render("{{ text | one_line }}").unwrap(), "Say hi.");
        assert_eq!(render("{{ text | prefix_lines('> ') }}").unwrap(), "> Say\n>  hi.");
        assert_eq!(render("{{ 'Say hi.' | base64 }}").unwrap(), "U2F5IGhpLg==");
        assert_eq!(render("{{ 'abc' | url_encode | reverse_chars }}").unwrap(), "cba");
        assert!(render("{{ nothing }}").is_err());
        assert!(
            render("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}").is_err()
        );
    }
}
