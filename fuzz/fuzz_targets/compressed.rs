//! Compressed streams, each with its mark as the seeds have it.
#![no_main]

ostrom_fuzz::target!("model.bin", ["gzip", "zlib", "joblib-zfile", "bzip2", "xz", "lzma", "zstd", "lz4"]);
