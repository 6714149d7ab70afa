//! `daybook key`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use edge::access::api_keys::{ApiKey, WantedKey, create, list, revoke};
use edge::clock;

use super::granted::Granted;
use crate::settings::{Loaded, ReachFlags};

/// Make, list and revoke API keys, for machines that have no issuer of tokens
///
/// A key is shown once, and kept as its hash. A running Daybook takes a new one, and refuses a revoked one, within a few
/// seconds, unless another of its files is bad: `daybook status` says so.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Key {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make one, and print it for the only time
    Create {
        /// Of the machine that gets it: it goes into the events that it causes, as `key/NAME`
        name: String,
        #[command(flatten)]
        granted: Granted,
    },
    /// List them, revoked ones too
    List {
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: ReachFlags,
    },
    /// Refuse one from now on
    Revoke {
        /// As the list shows it
        id: String,
        #[command(flatten)]
        flags: ReachFlags,
    },
}

const EXAMPLES: &str = "\
Examples:
  daybook key create loader --role warehouse
  daybook key create prometheus --scope metrics:read
  daybook key list
  daybook key revoke 3f0c1b7e";

impl Key {
    pub(super) fn run(self) -> Result<ExitCode> {
        match self.act {
            Act::Create { name, granted } => {
                let Granted { roles, scopes, customer, flags } = granted.checked()?;
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                if !(1..=100).contains(&name.len()) || !name.chars().all(is_plain) {
                    bail!("a name has up to 100 letters, digits, dots, dashes, underscores");
                }
                let access = Loaded::of_this_process(&flags)?.settings.access();
                let wanted = WantedKey {
                    name,
                    roles: roles.into_iter().collect(),
                    scopes: scopes.into_iter().collect(),
                    customer: customer.map(String::from),
                };
                let (made, key) = create(&access.api_keys_file, wanted, clock::now())?;
                eprintln!("key {} of {}; it is not shown again:", made.id, made.name);
                println!("{key}");
            }
            Act::List { json, flags } => {
                let access = Loaded::of_this_process(&flags)?.settings.access();
                print(&list(&access.api_keys_file)?, json)?;
            }
            Act::Revoke { id, flags } => {
                let access = Loaded::of_this_process(&flags)?.settings.access();
                if !revoke(&access.api_keys_file, &id, clock::now())? {
                    bail!("there is no key {id} that is not revoked; see `daybook key list`");
                }
                println!("revoked");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(keys: &[ApiKey], json: bool) -> Result<()> {
    if json {
        for key in keys {
            println!("{}", serde_json::to_string(&key.shown())?);
        }
        return Ok(());
    }
    if keys.is_empty() {
        println!("there are no keys");
        return Ok(());
    }
    println!("{:8}  {:20}  {:20}  {:20}  may", "id", "name", "made", "revoked");
    for key in keys {
        let at = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let revoked = key.revoked_at.map(at).unwrap_or_default();
        let may: Vec<_> = key.roles.iter().chain(&key.scopes).map(String::as_str).collect();
        let (id, name, made, may) = (&key.id, &key.name, at(key.made_at), may.join(" "));
        println!("{id:8}  {name:20}  {made:20}  {revoked:20}  {may}");
    }
    Ok(())
}
