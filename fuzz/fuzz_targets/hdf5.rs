//! HDF5 files.
#![no_main]

ostrom_fuzz::target!("model.h5", ["hdf5"], Some((0, b"\x89HDF\r\n\x1a\n")));
