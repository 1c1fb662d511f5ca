//! Numpy arrays: the header's literal, arrays of objects.
#![no_main]

ostrom_fuzz::target!("array.npy", ["numpy"], Some((0, b"\x93NUMPY")));
