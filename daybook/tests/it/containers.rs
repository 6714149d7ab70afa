//! The Dockerfile and the compose file, read by a parser: no container engine is needed to see that
//! they fit the workspace and the program.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_norway::Value;

#[test]
fn the_image_is_built_in_stages_and_its_program_is_nobody_special() {
    let dockerfile = dockerfile();
    let stages = words_of(&dockerfile, "FROM");
    assert!(stages.len() >= 2, "one stage only: the compiler would be in the image");
    for stage in &stages {
        let (_, tag) = stage[0].rsplit_once(':').expect("an image with a tag");
        assert!(!tag.starts_with("latest"), "{} is another image tomorrow", stage[0]);
    }
    let last = last_stage(&dockerfile);
    let user = words_of(last, "USER").pop().expect("a USER in the last stage");
    let user = user[0].split(':').next().unwrap().to_owned();
    assert!(user.parse::<u32>().is_ok_and(|uid| uid > 0), "{user} may be root");
    for needed in ["HEALTHCHECK", "ENTRYPOINT", "EXPOSE"] {
        assert_eq!(words_of(last, needed).len(), 1, "{needed}");
    }
}

#[test]
fn everything_the_image_is_built_from_is_there_and_nothing_is_forgotten() {
    let copied = copied();
    for source in &copied {
        assert!(root().join(source).exists(), "COPY {source}: there is no such file");
    }
    let mut needed: BTreeSet<String> = crate::arrows::members().into_iter().collect();
    needed.extend(["Cargo.toml".to_owned(), "Cargo.lock".to_owned()]);
    needed.extend(included_from_outside());
    for path in needed {
        let is_there = copied.iter().any(|copied| Path::new(&path).starts_with(copied));
        assert!(is_there, "{path} is needed to build, and the Dockerfile does not copy it");
    }
}

#[test]
fn the_build_context_lets_everything_through_that_is_copied() {
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let welcome: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"));
    for source in copied() {
        assert!(welcome.contains(&source.as_str()), ".dockerignore keeps {source} out");
    }
}

#[test]
fn every_service_is_watched_and_waits_for_what_it_needs() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    for (name, service) in services {
        let name = name.as_str().unwrap();
        let check = &service["healthcheck"];
        // What ends by itself is waited for.
        let ends = check["disable"] == true && service["restart"] == "on-failure";
        let test = check["test"].as_sequence().is_some_and(|test| test.len() > 1);
        assert!(test || ends, "{name} has no healthcheck");
        assert!(service["image"].is_string(), "{name} has no image");
        for (needed, how) in service["depends_on"].as_mapping().into_iter().flatten() {
            assert!(
                services.contains_key(needed),
                "{name} waits for {needed:?}, which is not there"
            );
            let condition = how["condition"].as_str().unwrap();
            let conditions =
                ["service_healthy", "service_started", "service_completed_successfully"];
            assert!(conditions.contains(&condition), "{condition}");
        }
    }
    let daybook = &compose["services"]["daybook"];
    assert_eq!(daybook["depends_on"]["postgres"]["condition"], "service_healthy");
    assert!(daybook["depends_on"]["kafka"].is_mapping());
    let dockerfile = daybook["build"]["dockerfile"].as_str().unwrap();
    assert!(root().join(dockerfile).is_file());
}

#[test]
fn volumes_and_images_of_the_compose_file_are_named_for_good() {
    let compose = compose();
    let declared = compose["volumes"].as_mapping().expect("volumes");
    for (name, service) in compose["services"].as_mapping().expect("services") {
        for volume in service["volumes"].as_sequence().into_iter().flatten() {
            let volume = volume.as_str().unwrap().split(':').next().unwrap();
            if let Some(path) = volume.strip_prefix("./") {
                assert!(root().join(path).exists(), "{name:?} is given {path}, which is not there");
                continue;
            }
            assert!(declared.contains_key(volume), "{name:?} uses {volume}, which is not declared");
        }
        let image = service["image"].as_str().unwrap();
        let is_ours = service["build"].is_mapping();
        assert!(is_ours || image.contains(':') && !image.ends_with(":latest"), "{image}");
        for port in service["ports"].as_sequence().into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(port.starts_with("127.0.0.1:"), "{port} would be open to the whole network");
        }
    }
}

/// What the image and the compose file tell the program are settings it has.
#[test]
fn the_program_understands_what_the_containers_tell_it() {
    let settings = settings_of("daybook");
    for origin in ["DATABASE_URL", "KAFKA_BROKERS", "DAYBOOK_LISTEN", "DAYBOOK_DATA_DIR"] {
        assert!(settings.contains(origin), "{origin}: {settings}");
    }
    for service in ["migrate"].iter().chain(&crate::shop::SERVICES) {
        let settings = settings_of(service);
        for (name, _) in environment_of(service) {
            assert!(settings.contains(&name), "{service} is not told by {name}: {settings}");
        }
    }
}

/// Every service of the split is a user of its own in a database of its own, knows all others, and is known to the
/// gateway and to nobody outside.
#[test]
fn every_service_of_the_split_has_a_database_of_its_own_and_knows_the_others() {
    let sql = fs::read_to_string(root().join("deploy/split/databases.sql")).unwrap();
    let compose = compose();
    for service in crate::shop::SERVICES {
        let environment = environment_of(service);
        let told = |name: &str| {
            let found = environment.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(told("DAYBOOK_SERVICE"), service);
        let own = format!("DAYBOOK_{}_DATABASE_URL", service.to_uppercase());
        let url = format!("postgres://{service}_service:daybook@databases:5432/{service}");
        assert_eq!(told(&own), url);
        let databases = environment.iter().filter(|(name, _)| name.ends_with("DATABASE_URL"));
        assert_eq!(databases.count(), 1, "{service} knows the database of another one");
        for other in crate::shop::SERVICES {
            let url = format!("DAYBOOK_{}_URL", other.to_uppercase());
            assert_eq!(told(&url), format!("http://{other}:7400"));
        }
        assert!(sql.contains(&format!("create database {service};")), "{service}");
        assert!(sql.contains(&format!("create role {service}_service login")), "{service}");
        assert_eq!(told("DAYBOOK_AUTH"), "on");
        assert_eq!(compose["services"][service]["profiles"][0], "split");
        assert_eq!(compose["services"][service]["ports"], Value::Null, "{service} is public");
        let known = (service.to_uppercase(), format!("{service}:7400"));
        assert!(environment_of("split-gateway").contains(&known), "{service}");
        let needed = &compose["services"]["split-gateway"]["depends_on"][service];
        assert!(needed.is_mapping(), "the gateway does not wait for {service}");
    }
    assert_eq!(compose["services"]["daybook"]["profiles"], Value::Null);
}

/// Each believes its own gateway, which nobody else's address can become, and nobody besides.
#[test]
fn what_the_gateway_says_of_a_caller_is_believed() {
    let compose = compose();
    let network = &compose["networks"]["default"]["ipam"]["config"][0];
    let within = |address: Ipv4Addr, net: &str| {
        let (first, bits) = network[net].as_str().unwrap().split_once('/').unwrap();
        let (first, rest) = (first.parse::<Ipv4Addr>().unwrap(), 32 - bits.parse::<u32>().unwrap());
        u32::from(address) >> rest == u32::from(first) >> rest
    };
    let split = crate::shop::SERVICES.map(|service| ("split-gateway", service));
    for (gateway, service) in split.into_iter().chain([("gateway", "daybook")]) {
        let address = address_of(gateway);
        let told = ("DAYBOOK_TRUSTED_PROXIES".to_owned(), address.clone());
        assert!(environment_of(service).contains(&told), "{service}");
        let address = address.parse().unwrap();
        assert!(within(address, "subnet") && !within(address, "ip_range"), "{gateway}");
    }
    assert_ne!(address_of("gateway"), address_of("split-gateway"));
}

/// What the program says that it was told, in the container of a service.
fn settings_of(service: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daybook"));
    command.arg("config").current_dir("/").env_clear().envs(started(service).1);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How a container of our image is started: what the program is told behind its name, and all of its environment.
pub(crate) fn started(service: &str) -> (Vec<String>, Vec<(String, String)>) {
    let dockerfile = dockerfile();
    let image = last_stage(&dockerfile);
    let mut told = command_of(service);
    if told.is_empty() {
        told = serde_json::from_str(&words_of(image, "CMD").concat().join(" ")).expect("a list");
    }
    let pair = |pair: String| {
        let (name, value) = pair.split_once('=').expect("NAME=value");
        (name.to_owned(), value.to_owned())
    };
    let environment = words_of(image, "ENV").concat().into_iter().map(pair);
    (told, environment.chain(environment_of(service)).collect())
}

/// What a service of the compose file is started with instead of what its image says, if that is so.
pub(crate) fn command_of(service: &str) -> Vec<String> {
    texts(&compose()["services"][service]["command"])
}

/// What is run again and again to see whether a service of the compose file is well.
pub(crate) fn healthcheck_of(service: &str) -> Vec<String> {
    let mut test = texts(&compose()["services"][service]["healthcheck"]["test"]);
    assert_eq!(test.remove(0), "CMD", "{service}");
    test
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_sequence().into_iter().flatten();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// What a service of the compose file is told.
pub(crate) fn environment_of(service: &str) -> Vec<(String, String)> {
    let compose = compose();
    let environment = compose["services"][service]["environment"].as_mapping();
    let pair = |(name, value): (&Value, &Value)| {
        (name.as_str().unwrap().to_owned(), value.as_str().unwrap().to_owned())
    };
    environment.into_iter().flatten().map(pair).collect()
}

/// Where a service of the compose file is, if that is laid down.
pub(crate) fn address_of(service: &str) -> String {
    let network = &compose()["services"][service]["networks"]["default"];
    network["ipv4_address"].as_str().expect("an address").to_owned()
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace above us").to_owned()
}

fn compose() -> Value {
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let mut compose: Value = serde_norway::from_str(&text).unwrap();
    compose.apply_merge().unwrap();
    compose
}

/// The instructions, one a line: comments gone, continued lines joined.
fn dockerfile() -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect()
}

fn last_stage(dockerfile: &[String]) -> &[String] {
    let from = dockerfile.iter().rposition(|line| line.starts_with("FROM ")).expect("a stage");
    &dockerfile[from..]
}

/// The words of every instruction of this kind.
fn words_of(dockerfile: &[String], instruction: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in dockerfile {
        let mut words = line.split_whitespace().map(str::to_owned);
        if words.next().is_some_and(|word| word == instruction) {
            found.push(words.collect());
        }
    }
    found
}

/// What is copied from the work tree, not from another stage.
fn copied() -> Vec<String> {
    let copies = words_of(&dockerfile(), "COPY");
    let ours = copies.into_iter().filter(|words| !words[0].starts_with("--from"));
    ours.flat_map(|mut words| {
        words.pop().expect("where to");
        words
    })
    .collect()
}

/// Files outside of its crate that the source of some crate includes.
fn included_from_outside() -> BTreeSet<String> {
    let mut included = BTreeSet::new();
    for member in crate::arrows::members() {
        for (file, text) in crate::arrows::sources(&root().join(&member).join("src")) {
            let paths = text.split("include_str!(\"").skip(1);
            for path in paths.filter_map(|rest| rest.split('"').next()) {
                let target = file.parent().expect("a folder").join(path);
                let Ok(target) = target.canonicalize() else { continue };
                let root = root().canonicalize().unwrap();
                let target = target.strip_prefix(&root).expect("a file of ours").to_owned();
                if !target.starts_with(&member) {
                    included.insert(target.display().to_string());
                }
            }
        }
    }
    included
}
