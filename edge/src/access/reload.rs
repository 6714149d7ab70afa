//! What is trusted changes while the process runs.

use super::credentials::Credentials;
use super::{Access, AccessError, Inner};
use std::sync::Arc;

/// What the files say now. It is trusted by nobody yet.
pub struct NewTrust {
    inner: Arc<Inner>,
    credentials: Credentials,
}

impl Access {
    /// Reads the files again; none where nobody is asked who he is.
    ///
    /// # Errors
    /// If one cannot be read, or is not what it should be. What is trusted stays.
    pub fn read_again(&self) -> Result<Option<NewTrust>, AccessError> {
        let Some(inner) = self.inner.clone() else { return Ok(None) };
        let credentials = Credentials::read(&inner.settings, Some(&inner.credentials()))?;
        Ok(Some(NewTrust { inner, credentials }))
    }
}

impl Access {
    /// Stops trusting what the files do not have any more, or have otherwise, and trusts nothing new: so what is withdrawn
    /// waits for nothing. A file that cannot be read takes nothing away. Gives whether there was anything.
    pub fn withdraw(&self) -> bool {
        let Some(inner) = &self.inner else { return false };
        let left = inner.credentials().left(&inner.settings);
        let is_less = left.is_some();
        left.into_iter().for_each(|left| inner.replace(left));
        is_less
    }
}

impl NewTrust {
    /// From now on this is trusted, and every credential is verified anew.
    pub fn trust(self) {
        self.inner.replace(self.credentials);
    }
}
