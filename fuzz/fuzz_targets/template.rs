//! Chat templates: lexer, parser and what follows from the tree.
#![no_main]

ostrom_fuzz::target!("chat_template.jinja", ["chat-template"]);
