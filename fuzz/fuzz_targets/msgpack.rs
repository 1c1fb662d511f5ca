//! MessagePack, as Flax writes models. It has no mark: the name says what it is.
#![no_main]

ostrom_fuzz::target!("model.msgpack", ["msgpack"]);
