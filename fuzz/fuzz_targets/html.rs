//! HTML and SVG.
#![no_main]

ostrom_fuzz::target!("index.html", ["html"]);
