"""What torch and transformers save. Run by real.py."""

from __future__ import annotations

import collections
import pickle
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import torch
from torch import nn

from making import maker, run


def layers() -> dict[str, nn.Module]:
    """Modules of torch itself, so that whoever loads them needs no code of ours."""
    return {
        "linear": nn.Sequential(collections.OrderedDict(first=nn.Linear(4, 8), act=nn.ReLU(), last=nn.Linear(8, 2))),
        "convolution": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1)),
        "recurrent": nn.ModuleDict({"lstm": nn.LSTM(4, 5, 2, bidirectional=True), "gru": nn.GRU(4, 3)}),
        "embedding": nn.ModuleList([nn.Embedding(10, 4, padding_idx=0), nn.EmbeddingBag(10, 4), nn.LayerNorm(4)]),
        "transformer": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        "attention": nn.MultiheadAttention(8, 2),
        "parametrized": nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.Softmax(dim=1)),
        "transposed": nn.Sequential(nn.ConvTranspose1d(2, 3, 3), nn.GroupNorm(1, 3), nn.GELU(approximate="tanh"), nn.AdaptiveAvgPool1d(1)),
    }


@maker
def torch_state(folder: Path) -> None:
    for name, module in layers().items():
        if name == "parametrized":
            continue
        torch.save(module.state_dict(), folder / f"{name}.pt")
        torch.save(module.state_dict(), folder / f"{name}.legacy.pth", _use_new_zipfile_serialization=False)
    state = layers()["linear"].state_dict()
    for protocol in (2, 3, 4, 5):
        torch.save(state, folder / f"protocol{protocol}.bin", pickle_protocol=protocol)
        torch.save(state, folder / f"protocol{protocol}.legacy.bin", pickle_protocol=protocol, _use_new_zipfile_serialization=False)


@maker
def torch_module(folder: Path) -> None:
    for name, module in layers().items():
        if name == "parametrized":
            torch.save(module.state_dict(), folder / f"{name}-state.pt")
            continue
        torch.save(module, folder / f"{name}.pt")
    torch.save(layers()["linear"], folder / "linear.legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(layers()["linear"].double().eval(), folder / "linear-double.pt", pickle_protocol=4)


@maker
def torch_tensor(folder: Path) -> None:
    kinds = (
        torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64,
        torch.bool, torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2,
    )  # fmt: skip
    for kind in kinds:
        torch.save(torch.zeros(3, 2).to(kind), folder / f"{str(kind).removeprefix('torch.')}.pt")
    base = torch.arange(20.0)
    torch.save({"view": base[2:9], "stride": base.view(4, 5).t(), "whole": base}, folder / "views.pt")
    torch.save(torch.eye(3).to_sparse(), folder / "sparse-coo.pt")
    torch.save(torch.eye(3).to_sparse_csr(), folder / "sparse-csr.pt")
    torch.save(torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8), folder / "quantized.pt")
    torch.save(torch.quantize_per_channel(torch.rand(2, 3), torch.tensor([0.1, 0.2]), torch.tensor([0, 0]), 0, torch.qint8), folder / "quantized-channel.pt")
    torch.save(nn.Parameter(torch.rand(3)), folder / "parameter.pt")
    torch.save(torch.rand(2, requires_grad=True), folder / "requires-grad.pt")
    torch.save([torch.rand(2), (torch.rand(1), {"a": torch.tensor(1)})], folder / "nested.pt")
    torch.save(torch.Size([1, 2]), folder / "size.pt")
    torch.save({"device": torch.device("cpu"), "dtype": torch.float16, "layout": torch.strided}, folder / "kinds.pt")
    torch.save(torch.get_rng_state(), folder / "rng.pt")
    torch.save(torch.rand(4, device="meta"), folder / "meta.pt")
    torch.save(torch.rand(0), folder / "empty.pt")
    torch.save(torch.rand(300, 300), folder / "large.pt")
    for protocol in range(2, 6):
        (folder / f"plain.p{protocol}.pkl").write_bytes(pickle.dumps({"w": torch.rand(3)}, protocol))


@maker
def torch_training(folder: Path) -> None:
    optimizers = {
        "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, 0.1, amsgrad=True),
        "adamw": lambda p: torch.optim.AdamW(p, 0.1),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1),
        "adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
        "lbfgs": lambda p: torch.optim.LBFGS(p, 0.1, max_iter=2),
    }
    for name, make in optimizers.items():
        model = nn.Linear(3, 1)
        optimizer = make(model.parameters())

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = model(torch.ones(2, 3)).pow(2).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        checkpoint = {
            "epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": schedule.state_dict(), "loss": 0.25,
            "rng": torch.get_rng_state(), "config": {"lr": 0.1, "betas": (0.9, 0.99), "name": name, "path": Path("a").as_posix()},
        }  # fmt: skip
        torch.save(checkpoint, folder / f"{name}.ckpt")
        torch.save(optimizer, folder / f"{name}-whole.pt")
    many = [nn.Parameter(torch.ones(1)) for _ in range(200)]
    torch.save(torch.optim.Adam([{"params": [one]} for one in many]), folder / "adam-groups-whole.pt")
    torch.save({"scaler": torch.amp.GradScaler("cpu", enabled=False).state_dict(), "model": layers()["linear"]}, folder / "mixed.tar")
    torch.save(torch.optim.swa_utils.AveragedModel(nn.Linear(2, 2)).state_dict(), folder / "averaged.pt")
    lightning = {
        "epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.5.0", "state_dict": layers()["linear"].state_dict(), "loops": {},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(1.0), "dirpath": "x"}},
        "optimizer_states": [], "lr_schedulers": [], "hyper_parameters": collections.OrderedDict(lr=1e-3),
    }  # fmt: skip
    torch.save(lightning, folder / "lightning.ckpt")


@maker
def torch_distributions(folder: Path) -> None:
    from torch import distributions as made

    zeros, ones, part = torch.zeros(2), torch.ones(2), torch.tensor([0.3, 0.7])
    normal = made.Normal(zeros, ones)
    kinds = {
        "normal": normal,
        "categorical": made.Categorical(probs=part),
        "multivariate": made.MultivariateNormal(zeros, torch.eye(2)),
        "independent": made.Independent(normal, 1),
        "mixture": made.MixtureSameFamily(made.Categorical(part), normal),
        "flow": made.TransformedDistribution(normal, [made.SigmoidTransform(), made.AffineTransform(0.0, 2.0)]),
        "constraint": made.constraints.interval(0.0, 1.0),
    }
    for name, one in kinds.items():
        torch.save(one, folder / f"{name}.pt")
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(one))


@maker
def torch_script(folder: Path) -> None:
    for name, example in {"linear": torch.rand(1, 4), "convolution": torch.rand(1, 3, 8, 8), "attention": None, "transposed": torch.rand(1, 2, 9)}.items():
        module = layers()[name].eval()
        torch.jit.script(module).save(str(folder / f"{name}-script.pt"))
        if example is not None:
            torch.jit.trace(module, example).save(str(folder / f"{name}-trace.pt"))
    frozen = torch.jit.freeze(torch.jit.script(layers()["linear"].eval()))
    frozen.save(str(folder / "frozen.pt"), _extra_files={"metadata.json": b'{"labels": ["a", "b"]}'})
    frozen._save_for_lite_interpreter(str(folder / "lite.ptl"))


class Halves(nn.Module):
    """Sizes that are reckoned from others, and so guards."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows, columns = x.shape
        return x.view(rows * columns // 2, 2).sum(1), x.new_zeros(max(rows, columns)), x[: rows // 3]


@maker
def torch_export(folder: Path) -> None:
    programs = {"linear": torch.rand(2, 4), "convolution": torch.rand(2, 3, 8, 8), "transposed": torch.rand(2, 2, 9)}
    for name, example in programs.items():
        torch.export.save(torch.export.export(layers()[name].eval(), (example,)), str(folder / f"{name}.pt2"))
    auto = torch.export.Dim.AUTO
    sized = {"convolution": (torch.randn(2, 3, 32, 40), {0: auto, 2: auto, 3: auto}), "halves": (torch.randn(4, 6), {0: auto, 1: auto})}
    for name, (example, sizes) in sized.items():
        module = Halves() if name == "halves" else nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2), nn.Flatten())
        program = torch.export.export(module.eval(), (example,), dynamic_shapes=(sizes,), strict=False)
        torch.export.save(program, str(folder / f"{name}-sized.pt2"))


@maker
def torch_safetensors(folder: Path) -> None:
    import safetensors.torch

    for name, module in layers().items():
        state = {key: value.contiguous() for key, value in module.state_dict().items()}
        safetensors.torch.save_file(state, folder / f"{name}.safetensors", metadata={"format": "pt"})
    safetensors.torch.save_model(layers()["embedding"], str(folder / "model.safetensors"))


@maker
def transformers_saved(folder: Path) -> None:
    import transformers as t

    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16, "vocab_size": 60}
    models = {
        "llama": (t.LlamaForCausalLM, t.LlamaConfig(**small, num_key_value_heads=1)),
        "bert": (t.BertForMaskedLM, t.BertConfig(**small)),
        "gpt2": (t.GPT2LMHeadModel, t.GPT2Config(n_embd=16, n_head=2, n_layer=1, vocab_size=60)),
        "qwen2": (t.Qwen2ForCausalLM, t.Qwen2Config(**small, num_key_value_heads=1)),
        "t5": (t.T5ForConditionalGeneration, t.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=60)),
        "vit": (t.ViTForImageClassification, t.ViTConfig(**{k: v for k, v in small.items() if k != "vocab_size"}, image_size=8, patch_size=4)),
    }
    for name, (kind, config) in models.items():
        model = kind(config)
        model.save_pretrained(folder / name)
        torch.save(model.state_dict(), folder / name / "pytorch_model.bin")
    torch.save(t.TrainingArguments(output_dir="out", report_to=[]), folder / "llama" / "training_args.bin")
    words = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", "os", "system", "the", "model"])}
    import tokenizers

    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = t.PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] | trim + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    tokenizer.save_pretrained(folder / "llama")
    t.ViTImageProcessor().save_pretrained(folder / "vit")


if __name__ == "__main__":
    torch.manual_seed(1)
    run()
