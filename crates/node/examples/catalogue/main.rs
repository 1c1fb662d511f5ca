//! Renders pages with made-up data into a folder, to look at them without a node:
//! `cargo run -p ostrom-node --example catalogue -- FOLDER`. The served pages come from the same view models.

mod sample;

use std::path::Path;

use ostrom_node::ui::asset;
use ostrom_node::ui::view::Theme;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder.join("assets"))?;
    for asset in [&*asset::STYLE, &*asset::SCRIPT, &*asset::ICON] {
        std::fs::write(folder.join(asset.path.trim_start_matches('/')), asset.bytes)?;
    }
    for theme in [Theme::Light, Theme::Dark] {
        for (name, mut page) in sample::pages() {
            page.chrome.theme = theme;
            let html = page.to_string();
            std::fs::write(folder.join(format!("{name}.{}.html", theme.name())), html)?;
        }
    }
    Ok(())
}
