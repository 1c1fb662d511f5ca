//! Failures as users see them.

use std::fmt;

/// A message and an exit status.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

/// Something is wrong with what was asked or found.
const ERROR: u8 = 1;
/// The run was stopped and can be resumed.
pub const STOPPED: u8 = 3;
/// The run ended, but trials failed.
pub const INCOMPLETE: u8 = 4;

impl Failure {
    /// An ordinary error, exit status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: ERROR }
    }

    /// With another exit status.
    pub fn with_code(message: impl Into<String>, code: u8) -> Self {
        Self { message: message.into(), code }
    }

    /// The exit status.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::show::printable(&self.message))
    }
}

/// Every library error becomes a failure with its own message.
macro_rules! from {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })+
    };
}

from!(
    ostrom_guard::audit::AuditError,
    ostrom_guard::flow::EndorseError,
    ostrom_guard::policy::Problems,
    ostrom_guard::serve::ServeError,
    ostrom_lab::bundle::BundleError,
    ostrom_node::local::LocalError,
    ostrom_lab::compare::CompareError,
    ostrom_lab::export::ExportError,
    ostrom_lab::run::RunError,
    ostrom_lab::suite::SuiteError,
    ostrom_node::StartError,
    ostrom_store::ConfigError,
    ostrom_store::Error,
    ostrom_models::ModelError,
    ostrom_models::SecretError,
    ostrom_models::http::BaseUrlError,
    ostrom_models::http::ConfigError,
    ostrom_scan::ScanError,
    ostrom_scan::lineage::ArtifactError,
    ostrom_scan::lineage::CompareError,
    ostrom_scan::lineage::LineageError,
    ostrom_scan::lineage::StoreError,
    ostrom_scan::passport::PassportError,
    ostrom_scan::passport::VerifyError,
    ostrom_scan::revocation::RevocationError,
    ostrom_trust::CanonicalError,
    ostrom_trust::EnvelopeError,
    ostrom_trust::KeyError,
    ostrom_trust::oms::EcKeyError,
    ostrom_trust::oms::OmsError,
);

/// Adds what was being done to an error of the system.
pub fn io(what: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(format!("{what}: {error}"))
}
