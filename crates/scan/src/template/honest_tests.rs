//! What honest templates do, in the manner of those that are in use.

use super::tests::rules_of;

/// Templates that must be clean.
pub(super) const TEMPLATES: &[&str] = &[
    // One role per turn, with a default system prompt.
    r#"{%- if messages[0]['role'] == 'system' -%}
    {%- set system_message = messages[0]['content'] | trim -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set system_message = 'You are a helpful assistant. Answer as well as you can.' -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{{- bos_token + '<|start|>system<|sep|>\n\n' + system_message + '<|end|>' -}}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') -}}
    {%- endif -%}
    {{- '<|start|>' ~ message.role ~ '<|sep|>\n\n' ~ message['content'] | trim ~ '<|end|>' -}}
{%- endfor -%}
{% if add_generation_prompt %}{{ '<|start|>assistant<|sep|>\n\n' }}{% endif %}"#,
    // Tools, reasoning that is cut away, turns that are searched from the end.
    r###"{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n<tools>" }}
    {%- for tool in tools %}{{- "\n" }}{{- tool | tojson(indent=4) }}{%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object within <tool_call></tool_call> tags:\n<tool_call>\n{\"name\": <function-name>}\n</tool_call><|im_end|>\n" }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- set reasoning_content = '' %}
    {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
        {%- set reasoning_content = message.reasoning_content %}
    {%- elif '</think>' in content %}
        {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {%- if loop.index0 > ns.last_query_index and (loop.last or (not loop.last and reasoning_content)) %}
        {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content }}
    {%- endif %}
    {%- for tool_call in message.tool_calls or [] %}
        {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
        {{- '\n<tool_call>\n{"name": "' ~ tool_call.name ~ '", "arguments": ' }}
        {{- tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson }}
        {{- '}\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}"###,
    // Switches for reasoning in the system prompt, which is said otherwise where there is none.
    r###"{%- set today = strftime_now("%d %B %Y") if strftime_now is defined else "" -%}
{%- set reasoning_mode = "/think" if enable_thinking else "/no_think" -%}
{%- set system_message = messages[0].content if messages[0].role == "system" else "" -%}
{%- if "/no_think" in system_message -%}
    {%- set reasoning_mode = "/no_think" -%}
{%- elif "/think" in system_message -%}
    {%- set reasoning_mode = "/think" -%}
{%- endif -%}
{%- set custom = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- if "/system_override" in system_message -%}
    {{- custom.replace("/system_override", "").rstrip() -}}
{%- else -%}
    {{- "## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: " ~ today ~ "\nReasoning Mode: " ~ reasoning_mode ~ "\n\n" -}}
    {%- if custom -%}{{- custom -}}
    {%- elif reasoning_mode == "/think" -%}{{- "You are a helpful assistant that explores questions through a systematic process before answering.\n" -}}
    {%- else -%}{{- "You are a helpful assistant that answers at once.\n" -}}
    {%- endif -%}
{%- endif -%}"###,
    // Macros that render types, calls with names, recursion, generation blocks.
    r###"{%- macro render_type(spec, required=[], depth=0) -%}
    {%- if spec.type == "array" -%}
        {%- if spec['items']['type'] == "string" -%}string[]{%- else -%}{{ render_type(spec['items'], depth=depth + 1) }}[]{%- endif -%}
    {%- elif spec.type is iterable and spec.type is not string -%}
        {{- spec.type | join(" | ") -}}
    {%- elif spec.type == "object" and spec.properties -%}
        {{- "{\n" }}
        {%- for name, value in spec.properties.items() -%}
            {{- name ~ ("" if name in (spec.required or []) else "?") ~ ": " ~ render_type(value, spec.required) }}
            {%- if value.description %}{{ " // " ~ value.description }}{% endif %}
            {%- if value.default is defined and value.default == "auto" %}, which is the default of this parameter{% endif %}
            {%- if not loop.last %},{% endif %}
        {%- endfor -%}
        {{- "}" }}
    {%- else -%}any{%- endif -%}
{%- endmacro -%}
{%- for message in messages recursive %}
    {%- if message.role not in ["user", "assistant", "tool"] %}{% continue %}{% endif %}
    {%- if message.role == "assistant" %}{% generation %}{{ message.content }}{% endgeneration %}
    {%- elif message.content is string %}{{ message.content }}
    {%- else %}
        {%- for part in message.content %}
            {%- if part.type == 'image' or 'image' in part or 'image_url' in part %}
                {%- set image_count.value = image_count.value + 1 %}
                {%- if add_vision_id %}Picture {{ image_count.value }}: {% endif -%}<|vision_start|><|image_pad|>
            {%- elif 'text' in part %}{{ part.text }}{% endif %}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if "<|channel|>analysis<|message|>" in message.content %}
    {{- raise_exception("You have passed a message with tags in the content field. Pass analysis in the thinking field instead.") }}
{%- endif %}"###,
    // The rest of the grammar.
    r###"{% raw %}{{ not.__class__ }}{% endraw %}{# a {{ comment }} #}{%+ set a, b = 1, (2,) -%}
{% set block | trim %}x{% endset %}{% with c = 1, d = {'k': [1, 2.5e-3, 0x1F, 1_000], "l": none,} %}{{ d.k[0:1] ~ d['k'][::-1]|join(', ') }}{% endwith %}
{% call(x) dict(a=1, *b, **c) %}{{ caller(x) }}{% endcall %}{% filter upper|trim %}x{% endfilter %}
{{ 1 if a is divisibleby 3 else 2 if b is not none and a is eq(1) else 3 }}{{ -a ** 2 // 3 % 4 <= 5 }}
{{ x is defined and x is not string or y not in z }}{% do messages.append({"role": "user"}) %}{% print a %}
{{ messages|selectattr("role", "equalto", "user")|list|length }}{{ messages|map(attribute="role")|list }}
{{ ("a" "b") ~ 'it\'s \u00e9 \\d' }}{{ foo.0.bar }}{{ {} }}{{ [] }}{{ () }}{{ a[1, 2] }}{{- -1 -}}
{% for k, v in x|dictsort if v %}{{ loop.cycle('a', 'b') }}{% else %}none{% endfor %}{% autoescape false %}x{% endautoescape %}
{% block b %}{% endblock b %}{{ "a" if true }}{% if not a %}{% elif b %}{% endif %}{{ a.b().c|d("e", true)|tojson(ensure_ascii=False) }}"###,
];

#[test]
fn honest_templates_are_clean() {
    for (index, text) in TEMPLATES.iter().enumerate() {
        assert_eq!(rules_of(text), [""; 0], "template {index}");
    }
}
