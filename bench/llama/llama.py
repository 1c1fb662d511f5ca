"""The C interface of llama.cpp through ctypes, as far as the comparison needs it.

The wheel of xllamacpp contains all of llama.cpp in one library that exports its C interface; `native.sh` builds
the same library for this CPU. The structures below are those of the header in the source package of xllamacpp
2026.10.11549 (llama.cpp build 11549); another version needs another look at `llama.h`.
"""

import ctypes
import importlib.util
import pathlib
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int8, c_int32, c_size_t, c_uint32, c_void_p

import numpy

TOKEN = c_int32
F32, F16 = 0, 1


class ModelParams(Structure):
    _fields_ = (
        [(name, c_void_p) for name in ("devices", "tensor_buft_overrides")]
        + [(name, c_int32) for name in ("n_gpu_layers", "split_mode", "load_mode", "lazy_mode", "main_gpu")]
        + [(name, c_void_p) for name in ("tensor_split", "progress_callback", "user_data", "kv_overrides")]
        + [(name, c_bool) for name in ("vocab_only", "check_tensors", "use_extra_bufts", "no_host", "no_alloc", "load_mtp")]
    )


class ContextParams(Structure):
    _fields_ = (
        [(name, c_uint32) for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_rs_seq", "n_outputs_max", "n_outputs_max_per_seq")]
        + [(name, c_int32) for name in ("n_threads", "n_threads_batch", "ctx_type", "rope_scaling_type", "pooling_type", "attention_type", "flash_attn_type")]
        + [(name, c_float) for name in ("rope_freq_base", "rope_freq_scale", "yarn_ext_factor", "yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow")]
        + [("yarn_orig_ctx", c_uint32), ("defrag_thold", c_float), ("cb_eval", c_void_p), ("cb_eval_user_data", c_void_p)]
        + [("type_k", c_int32), ("type_v", c_int32), ("abort_callback", c_void_p), ("abort_callback_data", c_void_p)]
        + [(name, c_bool) for name in ("embeddings", "offload_kqv", "no_perf", "op_offload", "swa_full", "kv_unified")]
        + [("samplers", c_void_p), ("n_samplers", c_size_t), ("ctx_other", c_void_p)]
    )


class Batch(Structure):
    _fields_ = [
        ("n_tokens", c_int32),
        ("token", POINTER(TOKEN)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


LOG = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)
SILENT = LOG(lambda level, text, data: None)


def library(path=None):
    """llama.cpp, from the wheel or from `path`."""
    path = path or next(pathlib.Path(importlib.util.find_spec("xllamacpp").origin).parent.glob("xllamacpp*.so"))
    lib = ctypes.CDLL(str(path))
    for name, result, arguments in [
        ("llama_log_set", None, [LOG, c_void_p]),
        ("llama_backend_init", None, []),
        ("llama_model_default_params", ModelParams, []),
        ("llama_context_default_params", ContextParams, []),
        ("llama_model_load_from_file", c_void_p, [c_char_p, ModelParams]),
        ("llama_init_from_model", c_void_p, [c_void_p, ContextParams]),
        ("llama_free", None, [c_void_p]),
        ("llama_model_free", None, [c_void_p]),
        ("llama_model_get_vocab", c_void_p, [c_void_p]),
        ("llama_vocab_n_tokens", c_int32, [c_void_p]),
        ("llama_vocab_get_text", c_char_p, [c_void_p, TOKEN]),
        ("llama_get_memory", c_void_p, [c_void_p]),
        ("llama_memory_clear", None, [c_void_p, c_bool]),
        ("llama_tokenize", c_int32, [c_void_p, c_char_p, c_int32, POINTER(TOKEN), c_int32, c_bool, c_bool]),
        ("llama_batch_init", Batch, [c_int32, c_int32, c_int32]),
        ("llama_batch_free", None, [Batch]),
        ("llama_decode", c_int32, [c_void_p, Batch]),
        ("llama_synchronize", None, [c_void_p]),
        ("llama_get_logits_ith", POINTER(c_float), [c_void_p, c_int32]),
        ("llama_print_system_info", c_char_p, []),
    ]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.llama_log_set(SILENT, None)
    lib.llama_backend_init()
    return lib


class Llama:
    """A model on the CPU, without sampling.

    `cache` is the type of the key-value cache. `extra` says whether weights may be repacked for the CPU, which
    llama.cpp does by default and which makes it faster.
    """

    def __init__(self, lib, path, threads, cache=F32, window=2048, sequences=1, extra=True, flash=False):
        self.lib = lib
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = extra
        self.model = lib.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"llama.cpp cannot load {path}"
        self.vocab = lib.llama_model_get_vocab(self.model)
        self.size = lib.llama_vocab_n_tokens(self.vocab)
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = window
        params.n_ubatch = 512
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = int(flash)
        params.type_k = params.type_v = cache
        params.no_perf = True
        self.context = lib.llama_init_from_model(self.model, params)
        assert self.context, "llama.cpp makes no context"
        self.batch = lib.llama_batch_init(window, 0, 1)

    def close(self):
        self.lib.llama_batch_free(self.batch)
        self.lib.llama_free(self.context)
        self.lib.llama_model_free(self.model)

    def tokenize(self, text, special=True):
        data = text.encode()
        room = len(data) + 8
        ids = (TOKEN * room)()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), ids, room, True, special)
        assert count >= 0, "too little room for the tokens"
        return list(ids[:count])

    def piece(self, token):
        """A token as the vocabulary writes it."""
        return self.lib.llama_vocab_get_text(self.vocab, token).decode()

    def clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def decode(self, rows, every=False):
        """Feeds (token, position, sequence) rows; logits come for the last row of each sequence, or for every row."""
        batch = self.batch
        batch.n_tokens = len(rows)
        last = {sequence: index for index, (_, _, sequence) in enumerate(rows)}
        for index, (token, position, sequence) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = every or last[sequence] == index
        status = self.lib.llama_decode(self.context, batch)
        assert status == 0, f"llama_decode says {status}"
        self.lib.llama_synchronize(self.context)

    def logits(self, index):
        pointer = self.lib.llama_get_logits_ith(self.context, index)
        return numpy.ctypeslib.as_array(pointer, (self.size,))

    def greedy(self, prompt, tokens):
        """The greedy continuation of prompt ids, and the gaps between the two largest logits."""
        self.clear()
        self.decode([(token, position, 0) for position, token in enumerate(prompt)])
        ids, gaps = [], []
        for position in range(len(prompt), len(prompt) + tokens):
            logits = self.logits(-1)
            token = int(logits.argmax())
            first, second = -numpy.partition(-logits, 1)[:2]
            ids.append(token)
            gaps.append(float(first - second))
            self.decode([(token, position, 0)])
        return ids, gaps

    def all_logits(self, ids, piece=64):
        """The logits at every position, one array a piece."""
        self.clear()
        for start in range(0, len(ids), piece):
            rows = [(token, start + i, 0) for i, token in enumerate(ids[start : start + piece])]
            self.decode(rows, every=True)
            yield numpy.stack([self.logits(index).copy() for index in range(len(rows))])
