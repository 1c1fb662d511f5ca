//! The file of a grant: readable by its owner only, replaced as a whole.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::back::Secret;

/// The largest file that is read.
const BYTES: u64 = 256 << 10;

/// What an authorization server granted.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) resource: String,
    pub(super) issuer: String,
    pub(super) token_endpoint: String,
    pub(super) client_id: String,
    pub(super) client_secret: Option<Secret>,
    pub(super) secret_in_form: bool,
    pub(super) access_token: Secret,
    pub(super) refresh_token: Option<Secret>,
    /// In seconds since 1970.
    pub(super) expires_at: Option<u64>,
    pub(super) scope: Option<String>,
}

impl Grant {
    /// `text` without its secrets.
    pub(super) fn mask(&self, text: &str) -> String {
        let secrets = [Some(&self.access_token), self.refresh_token.as_ref(), self.client_secret.as_ref()];
        secrets.into_iter().flatten().fold(text.to_owned(), |text, secret| secret.mask_in(&text))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    resource: String,
    issuer: String,
    token_endpoint: String,
    client_id: String,
    client_secret: Option<String>,
    secret_in_form: bool,
    access_token: String,
    refresh_token: Option<String>,
    expires_at: Option<u64>,
    scope: Option<String>,
}

/// Reads a grant; `None` if there is no file.
///
/// # Errors
/// If it is not ours alone, or not a grant.
pub(super) fn load(path: &Path) -> Result<Option<Grant>, String> {
    let shown = path.display();
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown} cannot be read: {error}")),
    };
    let facts = file.metadata().map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if !facts.is_file() || facts.mode() & 0o077 != 0 || facts.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{shown} can be read by others: chmod 600 it, or delete it and log in again"));
    }
    let mut text = String::new();
    std::io::Read::by_ref(&mut file)
        .take(BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    // The reader's message could quote a token.
    let broken = || format!("{shown} is not a grant: delete it and log in again");
    let File {
        resource,
        issuer,
        token_endpoint,
        client_id,
        client_secret,
        secret_in_form,
        access_token,
        refresh_token,
        expires_at,
        scope,
    } = serde_json::from_str(&text).map_err(|_| broken())?;
    let secret = |text: Option<String>| text.map(|text| Secret::new(&text).ok_or_else(broken)).transpose();
    Ok(Some(Grant {
        resource,
        issuer,
        token_endpoint,
        client_id,
        client_secret: secret(client_secret)?,
        secret_in_form,
        access_token: Secret::new(&access_token).ok_or_else(broken)?,
        refresh_token: secret(refresh_token)?,
        expires_at,
        scope,
    }))
}

/// Writes a grant in place of an earlier one.
///
/// # Errors
/// If it cannot be written.
pub(super) fn save(path: &Path, grant: &Grant) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("the grant cannot be kept in {}: {error}", path.display());
    let file = File {
        resource: grant.resource.clone(),
        issuer: grant.issuer.clone(),
        token_endpoint: grant.token_endpoint.clone(),
        client_id: grant.client_id.clone(),
        client_secret: grant.client_secret.as_ref().map(|secret| secret.expose().to_owned()),
        secret_in_form: grant.secret_in_form,
        access_token: grant.access_token.expose().to_owned(),
        refresh_token: grant.refresh_token.as_ref().map(|secret| secret.expose().to_owned()),
        expires_at: grant.expires_at,
        scope: grant.scope.clone(),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|error| cannot(error.into()))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = Path::new(&name);
    // What a killed process left behind.
    let _none = fs::remove_file(fresh);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(fresh)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(fresh, path));
    written.map_err(|error| {
        let _none = fs::remove_file(fresh);
        cannot(error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn grant() -> Grant {
        Grant {
            resource: "https://a.example/mcp".to_owned(),
            issuer: "https://b.example".to_owned(),
            token_endpoint: "https://b.example/token".to_owned(),
            client_id: "me".to_owned(),
            client_secret: None,
            secret_in_form: false,
            access_token: Secret::new("access-1").unwrap(),
            refresh_token: Secret::new("refresh-1"),
            expires_at: Some(7),
            scope: None,
        }
    }

    #[test]
    fn a_grant_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/grant.json");
        assert!(load(&path).unwrap().is_none());
        save(&path, &grant()).unwrap();
        save(&path, &grant()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        let read = load(&path).unwrap().unwrap();
        assert_eq!(read.access_token.expose(), "access-1");
        assert_eq!(read.mask("access-1 and refresh-1"), "*** and ***");
        assert!(!format!("{read:?}").contains("access-1"));
    }

    #[test]
    fn a_grant_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grant.json");
        save(&path, &grant()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&path).unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grant.json");
        fs::write(&path, "{\"access_token\": \"hunter2\"").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = load(&path).unwrap_err();
        assert!(error.contains("log in again") && !error.contains("hunter2"), "{error}");
    }
}
