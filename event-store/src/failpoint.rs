//! Named places that stand between two effects, at which a test ends the process as if its plug were pulled. They are
//! compiled in by the feature `failpoints` alone; without it they cost nothing.

/// Every place that there is, in this workspace.
pub const FAILPOINTS: &[&str] = &[
    "append-before-call",
    "append-after-commit",
    "snapshot-before-write",
    "snapshot-after-write",
    "relay-before-produce",
    "relay-after-produce",
    "relay-after-acknowledgement",
    "follow-before-commit",
    "follow-after-commit",
    "react-after-append",
    "due-after-claim",
    "due-after-act",
    "provider-before-call",
    "provider-after-call",
    "rebuild-after-begin",
    "rebuild-after-fill",
    "rebuild-after-index",
    "rebuild-after-catching-up",
    "rebuild-after-verify",
    "rebuild-before-cutover",
    "rebuild-after-cutover",
    "migrate-between-schemas",
    "embedded-postgres-started",
];

/// One of [`FAILPOINTS`].
#[cfg(feature = "failpoints")]
pub fn failpoint(name: &'static str) {
    debug_assert!(FAILPOINTS.contains(&name), "`{name}` is not listed");
    let _: Option<()> = fail::eval(name, |_| ());
}

/// One of [`FAILPOINTS`].
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn failpoint(_name: &'static str) {}

/// Makes the process end at the place that `FAILPOINT` names, as `relay-after-produce+7` the eighth time
/// that it comes there.
///
/// # Errors
/// If there is no such place.
#[cfg(feature = "failpoints")]
pub fn arm() -> Result<(), String> {
    use std::sync::atomic::{AtomicI64, Ordering};
    let Ok(armed) = std::env::var("FAILPOINT") else { return Ok(()) };
    let (name, spared) = armed.split_once('+').unwrap_or((&armed, "0"));
    let name = FAILPOINTS.iter().find(|known| **known == name);
    let name = name.ok_or_else(|| format!("there is no failpoint `{armed}`"))?;
    let spared: i64 = spared.parse().map_err(|_| format!("`{armed}` has no count after the +"))?;
    let left = AtomicI64::new(spared);
    fail::cfg_callback(*name, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            // Like a kill: nothing is unwound, flushed or closed.
            std::process::abort();
        }
    })
}

/// Nothing to arm.
///
/// # Errors
/// Never.
#[cfg(not(feature = "failpoints"))]
pub fn arm() -> Result<(), String> {
    Ok(())
}
