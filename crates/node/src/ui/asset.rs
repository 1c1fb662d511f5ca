//! The style sheet and the two scripts, embedded, under addresses that name their content.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// Its address: `/assets/style.0a1b2c3d4e5f.css`. It changes with the content, so browsers may keep it for ever.
    pub path: String,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

impl Asset {
    fn new(stem: &str, end: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{stem}.{name}.{end}"), kind, bytes }
    }
}

/// The style sheet.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_bytes!("../../assets/style.css"))
});
/// Passkeys, and small comforts.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("ostrom", "js", "text/javascript; charset=utf-8", include_bytes!("../../assets/ostrom.js"))
});
/// The icon.
pub static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")));

/// The asset at an address.
pub fn find(path: &str) -> Option<&'static Asset> {
    [&STYLE, &SCRIPT, &ICON].into_iter().map(|asset| &**asset).find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_that_names_the_content_is_served() {
        assert!(find(&STYLE.path).is_some() && find(&SCRIPT.path).is_some());
        for path in ["/assets/style.css", "/assets/../Cargo.toml", "/assets/style.000000000000.css", ""] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
