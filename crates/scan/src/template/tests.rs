use super::*;
use crate::Limits;
use crate::examination::Examination;

#[test]
fn dev_dir() {
    let Ok(dir) = std::env::var("DEV_TPL") else { return };
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let limits = Limits::default();
        let mut scan = Examination::new(&limits, path.file_name().unwrap().to_str().unwrap());
        template(&text, &mut scan);
        for f in scan.end().findings {
            println!("{} {} {} @{:?} {}", f.severity.name(), f.rule, f.place, f.offset, f.message);
        }
    }
}
#[test]
fn dev_file() {
    let Ok(dir) = std::env::var("DEV_FILES") else { return };
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let limits = Limits::default();
        let view = crate::source::View::new(
            crate::source::OpenFile::new(std::fs::File::open(&path).unwrap()).unwrap(),
        );
        let start = std::time::Instant::now();
        let out = Examination::run(&limits, path.file_name().unwrap().to_str().unwrap(), &view);
        println!("{path:?} {:?} {:?}", out.formats, start.elapsed());
        for f in out.findings {
            println!("   {} {} {} @{:?} {}", f.severity.name(), f.rule, f.place, f.offset, f.message);
        }
    }
}
