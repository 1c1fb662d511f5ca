//! Checks offline that a content was committed to: `verify_opening OPENING.json KEY CONTENT…`, where KEY is the log's verifier key (C2SP),
//! from wherever its log's readers get it, and the contents are the parts in order (a report; or an object and its handling).

use std::error::Error;
use std::process::ExitCode;

use ostrom_exchange::commitment::Opening;
use ostrom_trust::log::VerifierKey;

fn verify(args: &[String]) -> Result<String, Box<dyn Error>> {
    let [opening, key, contents @ ..] = args else {
        return Err("usage: verify_opening OPENING.json KEY CONTENT…".into());
    };
    let opening = Opening::from_slice(&std::fs::read(opening)?)?;
    let key: VerifierKey = key.parse()?;
    let contents = contents.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
    let size = opening.verify(&contents, &key)?;
    let index = opening.place().index;
    Ok(format!("the content is entry {index} of {}, which had {size} entries then", key.name()))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match verify(&args) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
