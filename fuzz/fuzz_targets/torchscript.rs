//! TorchScript code, as archives have it.
#![no_main]

ostrom_fuzz::target!("code/__torch__/model.py", ["torchscript-code"]);
