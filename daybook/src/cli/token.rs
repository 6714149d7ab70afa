//! `daybook token`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use edge::access::{LONGEST_TOKEN, SigningKeys, Wanted};
use edge::clock;

use super::granted::Granted;
use crate::settings::{Loaded, ReachFlags};

/// Print a token of the issuer inside, for whoever asks a Daybook that wants to know who he is
///
/// It is signed with the key in the data folder (or `auth_keys_file`), so whoever may read that may be anybody. Its roles
/// and scopes are in docs/access.md. It is good until it expires: it cannot be taken back, but all tokens of a key can, by
/// deleting the key.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Token {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    mint: Mint,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Sign with a new key from now on; tokens of the one before are good until they expire
    Rotate {
        #[command(flatten)]
        flags: ReachFlags,
    },
}

#[derive(Debug, Args)]
struct Mint {
    /// Who acts: it goes into the events that he causes. No name or e-mail address of a person
    #[arg(long, default_value = "cli")]
    subject: String,
    /// The service that acts for the subject
    #[arg(long, value_name = "SERVICE")]
    acting: Option<String>,
    /// For how long, up to a day
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    lives: u64,
    #[command(flatten)]
    granted: Granted,
}

const EXAMPLES: &str = "\
Examples:
  daybook token --role operator --role support --role warehouse
  daybook token --role customer --customer 17850 --subject 17850 --lives 600
  daybook token --subject ann --acting gateway --role support
  daybook token rotate
  curl -H \"Authorization: Bearer $(daybook token --role support)\" http://127.0.0.1:7400/v1/orders";

impl Token {
    pub(super) fn run(self) -> Result<ExitCode> {
        match self.act {
            Some(Act::Rotate { flags }) => {
                let access = Loaded::of_this_process(&flags)?.settings.access();
                let keys = SigningKeys::rotate(&access.keys_file, clock::now())?;
                println!("{}", keys.id().unwrap_or_default());
            }
            None => println!("{}", self.mint.token()?),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Mint {
    fn token(self) -> Result<String> {
        let Granted { roles, scopes, customer, flags } = self.granted.checked()?;
        if !(1..=LONGEST_TOKEN.as_secs()).contains(&self.lives) {
            bail!("a token lives for 1 to {} seconds", LONGEST_TOKEN.as_secs());
        }
        let named_well = |name: &str| {
            let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
            (1..=255).contains(&name.len()) && is_visible
        };
        if ![Some(&self.subject), self.acting.as_ref()]
            .into_iter()
            .flatten()
            .all(|it| named_well(it))
        {
            bail!("a subject has up to 255 visible characters of ASCII, and no slash");
        }
        let access = Loaded::of_this_process(&flags)?.settings.access();
        let wanted = Wanted {
            subject: self.subject,
            roles: roles.into_iter().collect(),
            scopes: scopes.into_iter().collect(),
            customer: customer.map(String::from),
            acting: self.acting,
            issuer: access.issuer,
            audience: access.audience,
            lives: Duration::from_secs(self.lives),
        };
        let keys = SigningKeys::ensure(&access.keys_file, clock::now())?;
        keys.token(&wanted, clock::now()).context("there is no key to sign with")
    }
}
