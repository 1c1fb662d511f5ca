//! Says of each line of the standard input, which must be a STIX object, whether it would be taken: `ok`, or what is wrong with it.
//!
//!     cargo run -p ostrom-exchange --example stix_check < objects.jsonl

use std::io::{BufRead as _, Error, stdin};

use ostrom_exchange::stix::{Limits, Object, check};

fn main() -> Result<(), Error> {
    for line in stdin().lock().lines() {
        match Object::read(line?.as_bytes(), &Limits::default()) {
            Err(error) => println!("unreadable: {error}"),
            Ok(object) => {
                let defects: Vec<String> = check(&object).iter().map(ToString::to_string).collect();
                println!("{}", if defects.is_empty() { "ok".to_owned() } else { defects.join("; ") });
            }
        }
    }
    Ok(())
}
