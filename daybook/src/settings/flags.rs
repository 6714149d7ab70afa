//! The flags of the command line, made from the keys.

use std::path::{Path, PathBuf};

use clap::builder::ValueHint;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::keys::{self, Key, Reach};
use super::source;

/// The flags of `serve`: every key.
pub type ServeFlags = Flags<true>;

/// The flags of a command that only has to find Daybook and its servers.
pub type ReachFlags = Flags<false>;

/// What was given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags<const EVERY: bool> {
    file: Option<PathBuf>,
    given: Vec<(&'static Key, String)>,
}

impl<const EVERY: bool> Flags<EVERY> {
    /// The one that is named, else the usual one, which need not be there.
    pub(crate) fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(source::FILE))
    }

    pub(super) fn names_a_file(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn given(&self) -> &[(&'static Key, String)] {
        &self.given
    }

    fn keys() -> impl Iterator<Item = &'static Key> {
        keys::all().filter(|key| match key.reach {
            Reach::All => true,
            Reach::Serve => EVERY,
            Reach::File => false,
        })
    }
}

impl<const EVERY: bool> Args for Flags<EVERY> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(clap::value_parser!(PathBuf))
            .env(source::FILE_VARIABLE)
            .hide_env_values(true)
            .help_heading(HEADING)
            .help("A TOML file of settings [default: daybook.toml, if it is there]");
        // Where a command has a flag of its own by that name, the key is set elsewhere.
        let add = |command: Command, key: &'static Key| {
            let taken = command.get_arguments().any(|it| it.get_id() == key.name);
            if taken { command } else { command.arg(flag(key)) }
        };
        Self::keys().fold(command.arg(file), add)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const EVERY: bool> FromArgMatches for Flags<EVERY> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::keys()
            .filter_map(|key| Some((key, matches.try_get_one::<String>(key.name).ok()??.clone())));
        Ok(Self { file: matches.get_one::<PathBuf>("config").cloned(), given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const HEADING: &str = "Settings";

/// The environment is not read here but with the other sources, so that an origin can be told.
fn flag(key: &'static Key) -> Arg {
    let default = key.default.filter(|default| !default.is_empty());
    let default = default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    let flag = Arg::new(key.name)
        .long(key.flag())
        .value_name(key.value)
        .help_heading(HEADING)
        .help(format!("{}{default} [env: {}]", key.help, key.variable()));
    match key.value {
        "FOLDER" => flag.value_hint(ValueHint::DirPath),
        "true|false" => flag.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => flag,
    }
}
