//! One name for the same tensor in different families of files: llama.cpp's.

/// What wrappers put in front of names.
const PREFIXES: [&str; 7] =
    ["base_model.model.", "_orig_mod.", "module.", "language_model.", "model.", "transformer.", "gpt_neox."];

/// Tensors outside the layers.
const OUTER: [(&str, &str); 8] = [
    ("embed_tokens", "token_embd"),
    ("wte", "token_embd"),
    ("embed_in", "token_embd"),
    ("embeddings.word_embeddings", "token_embd"),
    ("wpe", "position_embd"),
    ("norm", "output_norm"),
    ("lm_head", "output"),
    ("embed_out", "output"),
];

/// Tensors of a layer.
const INNER: [(&str, &str); 19] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.gate", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("input_layernorm", "attn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
];

/// The common name. `sandwich`: the model has norms before and after its feed-forward layers (Gemma 2 and 3), and so the norm
/// after attention is one of its own. Names that no table has stay as they are, without wrappers.
pub(super) fn canonical(name: &str, sandwich: bool) -> String {
    let mut inner = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| inner.strip_prefix(prefix)) {
        inner = rest;
    }
    let (stem, end) = match inner.rsplit_once('.') {
        Some((stem, end @ ("weight" | "bias"))) => (stem, end),
        _ => return inner.to_owned(),
    };
    let layer = ["layers.", "h.", "blocks."].iter().find_map(|prefix| stem.strip_prefix(prefix));
    if let Some((number, part)) = layer.and_then(|rest| rest.split_once('.'))
        && number.parse::<u32>().is_ok()
    {
        let known = match part {
            "post_attention_layernorm" if sandwich => Some("post_attention_norm"),
            "post_attention_layernorm" => Some("ffn_norm"),
            part => INNER.iter().find(|(theirs, _)| *theirs == part).map(|(_, ours)| *ours),
        };
        return match known {
            Some(ours) => format!("blk.{number}.{ours}.{end}"),
            None => format!("blk.{number}.{part}.{end}"),
        };
    }
    match OUTER.iter().find(|(theirs, _)| *theirs == stem) {
        Some((_, ours)) => format!("{ours}.{end}"),
        None => inner.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tensor_has_one_name() {
        for (theirs, ours) in [
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
            ("model.layers.12.self_attn.q_proj.weight", "blk.12.attn_q.weight"),
            ("model.language_model.layers.0.self_attn.k_proj.bias", "blk.0.attn_k.bias"),
            ("base_model.model.model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
            ("model.layers.3.post_attention_layernorm.weight", "blk.3.ffn_norm.weight"),
            ("blk.3.ffn_norm.weight", "blk.3.ffn_norm.weight"),
            ("token_embd.weight", "token_embd.weight"),
            ("output_norm.weight", "output_norm.weight"),
            ("model.layers.x.mlp.up_proj.weight", "layers.x.mlp.up_proj.weight"),
            ("something.else", "something.else"),
        ] {
            assert_eq!(canonical(theirs, false), ours);
            assert_eq!(canonical(ours, false), ours, "a common name is left alone");
        }
        let norm = "model.layers.3.post_attention_layernorm.weight";
        assert_eq!(canonical(norm, true), "blk.3.post_attention_norm.weight");
    }
}
