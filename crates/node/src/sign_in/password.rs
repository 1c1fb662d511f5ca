//! Passwords: argon2id, a few at the same time, in threads of their own.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::Failure;

/// The fewest characters of a password.
pub const SHORTEST: usize = 12;
/// The most bytes of a password.
pub const LONGEST: usize = 1024;
/// 19 MiB, two passes, one lane: OWASP's first choice for argon2id.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// How many may wait for a place; more are told to come again.
const WAITING: usize = 64;

/// A pool for hashing, and a hash that nobody's password has.
#[derive(Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    nobody: tokio::sync::OnceCell<String>,
}

impl Passwords {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.clamp(1, 64))),
            waiting: Arc::new(Semaphore::new(WAITING)),
            nobody: tokio::sync::OnceCell::new(),
        }
    }

    /// What is kept of a password, as a PHC string.
    ///
    /// # Errors
    /// If the password is too short or too long, or the pool is busy.
    pub(crate) async fn hash(&self, password: Zeroizing<String>) -> Result<String, Failure> {
        check(&password)?;
        self.hash_any(password).await
    }

    async fn hash_any(&self, password: Zeroizing<String>) -> Result<String, Failure> {
        self.run(move || {
            let hash = argon2()?.hash_password(password.as_bytes()).map_err(Failure::internal)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password is the one. Without a hash it takes as long, and is not.
    ///
    /// # Errors
    /// If the pool is busy.
    pub(crate) async fn verify(
        &self,
        password: Zeroizing<String>,
        phc: Option<String>,
    ) -> Result<bool, Failure> {
        let real = phc.is_some();
        let phc = match phc {
            Some(phc) => phc,
            None => {
                let nobody = || async { self.hash_any(crate::sign_in::secret::secret("")?).await };
                self.nobody.get_or_try_init(nobody).await?.clone()
            }
        };
        if password.len() > LONGEST {
            return Ok(false);
        }
        let good = self
            .run(move || {
                let hash = PasswordHash::new(&phc).map_err(Failure::internal)?;
                Ok(argon2()?.verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(good && real)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _queued = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Failure::Unavailable)?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(Failure::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(Failure::internal)?
    }
}

fn argon2() -> Result<Argon2<'static>, Failure> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(Failure::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Whether a new password will do. Length is what counts; nothing else is asked for.
pub(crate) fn check(password: &str) -> Result<(), Failure> {
    if password.chars().count() < SHORTEST {
        return Err(Failure::Unprocessable(format!("the password needs at least {SHORTEST} characters")));
    }
    if password.len() > LONGEST {
        return Err(Failure::Unprocessable(format!("the password may have at most {LONGEST} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_itself_holds() {
        let passwords = Passwords::new(2);
        let phc = passwords.hash(text("correct horse battery")).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(passwords.verify(text("correct horse battery"), Some(phc.clone())).await.unwrap());
        assert!(!passwords.verify(text("correct horse batterz"), Some(phc)).await.unwrap());
        assert!(!passwords.verify(text("correct horse battery"), None).await.unwrap());
        assert!(passwords.hash(text("short")).await.is_err());
    }
}
