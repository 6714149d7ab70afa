//! A settings file to start from.

use super::keys::{self, Key};

/// A `daybook.toml` that changes nothing: every key with what it means, as a comment.
pub fn template() -> String {
    let mut text = String::from(
        "# Daybook's settings. Environment variables and flags are stronger than this file.\n",
    );
    for key in keys::all() {
        let default = key.default.unwrap_or_default();
        let is_bare = default.parse::<u64>().is_ok() || default.parse::<bool>().is_ok();
        let default = if is_bare { default.to_owned() } else { format!("{default:?}") };
        let live = if key.live { "; it may change while Daybook runs" } else { "" };
        text.push_str(&format!(
            "\n# {} [env: {}{live}]\n# {} = {default}\n",
            key.help,
            key.variable(),
            key.name
        ));
    }
    text
}

/// Every bound with its default and where to see how near one is to it, as a table in Markdown.
pub fn limits() -> String {
    let row = |key: &Key| {
        let metric = key.metric?;
        let default = key.default.unwrap_or_default();
        Some(format!("| `{}` | {default} | {} | `{metric}` |\n", key.name, key.help))
    };
    let head = "| key | default | bounds | metric |\n|---|---|---|---|\n".to_owned();
    keys::all().filter_map(row).fold(head, |table, row| table + &row)
}
