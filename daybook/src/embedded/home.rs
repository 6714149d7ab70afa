//! Where a Postgres keeps its data: in the data folder, unless the user it runs as cannot get
//! there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{EmbeddedError, file};
use super::secret;
use super::user::User;

/// Outside of every home folder, and kept when the machine restarts.
const ELSEWHERE: &str = "/var/lib/daybook";

/// The folder for Postgres, which belongs to the user who runs it and is closed to all others.
pub(super) fn for_postgres(data_dir: &Path, user: Option<User>) -> Result<PathBuf, EmbeddedError> {
    fs::create_dir_all(data_dir).map_err(file("create", data_dir))?;
    let data_dir = data_dir.canonicalize().map_err(file("find", data_dir))?;
    let home = match user {
        Some(user) if !user.can_enter(&data_dir) => elsewhere(&data_dir)?,
        Some(_) | None => data_dir.join("postgres"),
    };
    fs::create_dir_all(&home).map_err(file("create", &home))?;
    fs::set_permissions(&home, Permissions::from_mode(0o700)).map_err(file("close", &home))?;
    if let Some(user) = user {
        user.own(&home)?;
    }
    Ok(home)
}

/// A place of its own under [`ELSEWHERE`], noted in the data folder. It has a name that was never
/// used: whoever deletes the data folder starts from nothing, and never meets the data of an
/// earlier one.
fn elsewhere(data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    let note = data_dir.join("postgres-home");
    if let Ok(noted) = fs::read_to_string(&note) {
        return Ok(PathBuf::from(noted.trim()));
    }
    fs::create_dir_all(ELSEWHERE).map_err(file("create", ELSEWHERE))?;
    let home = Path::new(ELSEWHERE).join(secret::hex(8)?);
    fs::write(&note, home.as_os_str().as_encoded_bytes()).map_err(file("write", &note))?;
    tracing::info!(
        home = %home.display(),
        "Postgres runs as another user, to whom {} is closed, and keeps its data elsewhere",
        data_dir.display()
    );
    Ok(home)
}
