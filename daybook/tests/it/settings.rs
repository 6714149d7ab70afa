//! The settings and the command line, through the real binary.

use std::fs;
use std::process::{Command, Output};

#[test]
fn each_place_is_stronger_than_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let daybook = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
        command.arg("config").current_dir(folder.path()).env_clear();
        command
    };
    let said = |command: &mut Command, key: &str| row(&command.output().unwrap(), key);
    assert_eq!(said(&mut daybook(), "lanes"), "2 default");

    fs::write(folder.path().join("daybook.toml"), "lanes = 3\n").unwrap();
    assert_eq!(said(&mut daybook(), "lanes"), "3 daybook.toml");
    assert_eq!(said(daybook().env("DAYBOOK_LANES", "4"), "lanes"), "4 DAYBOOK_LANES");
    let all = said(daybook().env("DAYBOOK_LANES", "4").args(["--lanes", "5"]), "lanes");
    assert_eq!(all, "5 --lanes");

    fs::write(folder.path().join("other.toml"), "lanes = 6\n").unwrap();
    assert_eq!(said(daybook().args(["--config", "other.toml"]), "lanes"), "6 other.toml");
    assert_eq!(said(daybook().env("DAYBOOK_CONFIG", "other.toml"), "lanes"), "6 other.toml");
}

#[test]
fn common_names_are_heard_and_ours_are_stronger() {
    let theirs = ("DATABASE_URL", "postgres://me:s3cret@db/theirs");
    let ours = ("DAYBOOK_DATABASE_URL", "postgres://me:s3cret@db/ours");
    let output = config(&[], &[theirs]);
    assert_eq!(row(&output, "database_url"), "postgres://me:***@db/theirs DATABASE_URL");
    let output = config(&[], &[ours, theirs]);
    assert_eq!(row(&output, "database_url"), "postgres://me:***@db/ours DAYBOOK_DATABASE_URL");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("s3cret"));
}

#[test]
fn what_is_empty_and_what_is_unset_can_be_seen() {
    let output = config(&[], &[]);
    assert_eq!(row(&output, "topic_prefix"), "\"\" default");
    assert_eq!(row(&output, "kafka_jars"), "(unset) default");
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    fs::write(&file, "lanes = 3\nlissten = '127.0.0.1:80'\n").unwrap();
    let output = config(&["--config", file.to_str().unwrap()], &[]);
    let complaint = complaint(&output);
    for word in ["shop.toml", "`lissten`", "`listen`"] {
        assert!(complaint.contains(word), "{complaint}");
    }

    let complaint = self::complaint(&config(&[], &[("DAYBOOK_PARTITION", "9")]));
    assert!(complaint.contains("`DAYBOOK_PARTITION`") && complaint.contains("`partitions`"));
    let complaint = self::complaint(&config(&["--lane", "9"], &[]));
    assert!(complaint.contains("--lanes"), "{complaint}");
}

#[test]
fn a_value_that_cannot_be_is_told_with_its_origin() {
    for (flags, variable, expected) in [
        (vec!["--lanes", "0"], "", "--lanes: `lanes` is \"0\", and must be from 1 to 64"),
        (
            vec!["--route-limits", "POST /v1/order=5"],
            "",
            "--route-limits: `route_limits` is \"POST /v1/order=5\", and must be routes with how many",
        ),
        (vec!["--route-limits", "POST /v1/orders=five"], "", "one of these: POST /v1/"),
        (vec!["--listen", "here"], "", "--listen: `listen` is \"here\", and must be an address"),
        (vec!["--kafka", "maybe"], "", "--kafka: `kafka` is \"maybe\", and must be auto|off"),
        (vec!["--kafka-port", "70000"], "", "must be a port from 0 to 65535"),
        (vec![], "many", "DAYBOOK_READERS: `readers` is \"many\", and must be a whole number"),
    ] {
        let complaint = complaint(&config(&flags, &[("DAYBOOK_READERS", variable)]));
        assert!(complaint.contains(expected), "{complaint}");
    }
}

#[test]
fn a_bound_of_nothing_or_without_an_end_is_refused() {
    for (variable, value, expected) in [
        (
            "POOL_WAIT_S",
            "0",
            "`pool_wait_s` is \"0\", and must be a whole number from 1 to 86400, which is a day",
        ),
        ("SESSION_S", "86401", "must be a whole number from 1 to 86400, which is a day"),
        (
            "CROWD_BURST_MS",
            "18446744073709551615",
            "must be a whole number from 1 to 86400000, which is a day",
        ),
        (
            "FEED_BUFFER",
            "0",
            "`feed_buffer` is \"0\", and must be a whole number from 1 to 1000000",
        ),
        ("CONNECTIONS", "1000001", "must be a whole number from 1 to 1000000"),
        ("LEFTOVER_BYTES", "-1", "`leftover_bytes` is \"-1\", and must be a whole number from 1"),
        ("RELAY_PAGE", "4294967296", "must be a whole number from 1 to 1000000"),
        ("FOLLOW_BATCH", "10001", "`follow_batch` is \"10001\", and must be at most 10000"),
        ("LANE_RETRY_FIRST_MS", "1001", "must be at most `lane_retry_most_ms`"),
        ("KAFKA_RETRY_MOST_MS", "99", "`kafka_retry_first_ms` is \"100\", and must be at most"),
        ("KAFKA_SESSION_MS", "5999", "must be from 6000 to 1800000"),
    ] {
        let variable = format!("DAYBOOK_{variable}");
        let complaint = complaint(&config(&[], &[(&variable, value)]));
        assert!(complaint.contains(expected), "{variable}={value}: {complaint}");
    }
}

#[test]
fn the_template_is_a_settings_file_that_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let template = config(&["--template"], &[]).stdout;
    let template = String::from_utf8(template).unwrap();
    let is_setting = |line: &&str| line.starts_with("# ") && line.contains(" = ");
    let settings: Vec<_> = template.lines().filter(is_setting).map(|line| &line[2..]).collect();
    let file = folder.path().join("all.toml");
    fs::write(&file, settings.join("\n")).unwrap();

    let plain = config(&[], &[]);
    let full = config(&["--config", file.to_str().unwrap()], &[]);
    let values = |output: &Output| -> Vec<String> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let first_two = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        text.lines().map(first_two).collect()
    };
    assert_eq!(values(&plain), values(&full), "{}", complaint(&full));
    assert!(settings.len() > 20);
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = daybook().args(["serve", "--listen", &address]).output().unwrap();
    let complaint = complaint(&output);
    assert!(complaint.contains(&format!("cannot listen on {address} (another")), "{complaint}");
    assert!(complaint.contains("--listen 127.0.0.1:PORT): Address already in use"), "{complaint}");
}

#[test]
fn a_rebuild_of_nothing_says_what_there_is() {
    let read_models = projections::all();
    let names: Vec<_> = read_models.iter().map(|it| it.layout().name).collect();
    let said = |argument: Option<&str>| {
        let output = daybook().arg("rebuild").args(argument).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &complaint(&output)
    };
    for argument in [None, Some("--help"), Some("moon")] {
        let said = said(argument);
        assert!(names.iter().all(|name| said.contains(name)), "{said}");
    }
    assert!(said(None).contains("--all"));
    assert!(said(Some("stok")).contains("'stock'"), "{}", said(Some("stok")));
}

#[test]
fn every_command_teaches_with_examples() {
    let help = |arguments: &[&str]| {
        let output = daybook().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for command in [
        "serve",
        "sandbox-provider",
        "import",
        "rebuild",
        "verify",
        "generations",
        "explain",
        "log",
        "status",
        "token",
        "key",
        "config",
        "completions",
    ] {
        assert!(help(&["--help"]).contains(command));
        let text = help(&[command, "--help"]);
        assert!(text.contains("Examples:"), "{command} has no examples");
        assert!(text.contains(&format!("daybook {command}")), "{command}'s examples lack it");
    }
    let with_codes: [&[&str]; 4] =
        [&["rebuild"], &["rebuild", "rollback"], &["verify"], &["generations", "drop"]];
    for command in with_codes {
        assert!(help(&[command, &["--help"]].concat()).contains("Exit codes:"), "{command:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(help(&["completions", shell]).contains("sandbox-provider"));
    }
}

fn daybook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    // A folder without a daybook.toml, and none of the variables of whoever runs the tests.
    command.current_dir("/").env_clear();
    command
}

fn config(flags: &[&str], environment: &[(&str, &str)]) -> Output {
    daybook().arg("config").args(flags).envs(environment.iter().copied()).output().unwrap()
}

/// Value and origin of a key, with one space between.
fn row(output: &Output, key: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let row = found.unwrap_or_else(|| panic!("no {key}: {text}{}", complaint(output)));
    row.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
