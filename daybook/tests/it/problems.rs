//! Every type of problem has a page that says what it means and what to do.

use crate::support::World;
use daybook::problems::kinds;
use edge::{PROBLEM_JSON, PROBLEM_URN};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the crates say outside of their tests.
fn sources(members: &[&str]) -> Vec<(PathBuf, String)> {
    let folders = members.iter().map(|member| root().join(member).join("src"));
    let files = folders.flat_map(|folder| crate::arrows::sources(&folder));
    files
        .filter(|(path, _)| path.file_name().is_none_or(|name| name != "tests.rs"))
        .map(|(path, text)| {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            (path, code.to_owned())
        })
        .collect()
}

/// The literals of a text, each with what stands before it.
fn literals(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('"').filter_map(|(at, _)| {
        let (literal, _) = text[at + 1..].split_once('"')?;
        let is_slug = literal.starts_with(|first: char| first.is_ascii_lowercase())
            && literal.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_slug.then_some((text[..at].trim_end(), literal))
    })
}

/// Where a status is named and a slug after it, or one of the shorthands is called.
fn of_problems() -> BTreeSet<String> {
    let mut slugs = BTreeSet::new();
    for (_, text) in sources(&["edge", "command-api", "projections", "sagas", "daybook"]) {
        for (before, slug) in literals(&text) {
            let last_word = before.trim_end_matches(',').rsplit([' ', '(', '\n']).next();
            let after_status =
                before.ends_with(',') && last_word.is_some_and(|it| it.contains("StatusCode::"));
            let called = ["unavailable(", "bad_request("].iter().any(|it| before.ends_with(it));
            if after_status || called {
                slugs.insert(slug.to_owned());
            }
        }
    }
    slugs
}

/// What the deciders reject with.
fn of_rejections() -> BTreeSet<String> {
    let mut slugs = BTreeSet::new();
    for (path, text) in sources(&["domain"]) {
        let Some((_, rest)) = text.split_once("pub fn slug(&self) -> &'static str {") else {
            assert!(!text.contains("fn slug("), "{} words it otherwise", path.display());
            continue;
        };
        let body = rest.split("\n    }\n").next().unwrap_or_default();
        slugs.extend(literals(body).map(|(_, slug)| slug.to_owned()));
    }
    slugs
}

/// What the router refuses by itself is named after its status.
fn of_the_router() -> BTreeSet<String> {
    ["bad-request", "method-not-allowed", "not-found"].map(str::to_owned).into()
}

/// Each line of the gateway's file that makes an answer.
fn answers_of_the_gateway() -> Vec<String> {
    let config = std::fs::read_to_string(root().join("deploy/gateway/haproxy.cfg")).unwrap();
    config.lines().filter(|line| line.contains(PROBLEM_JSON)).map(str::to_owned).collect()
}

/// What a proxy refuses that no service of ours does.
fn of_the_gateway() -> BTreeSet<String> {
    let slug = |line: String| line.split(PROBLEM_URN).nth(1)?.split('"').next().map(str::to_owned);
    answers_of_the_gateway().into_iter().filter_map(slug).collect()
}

#[test]
fn every_problem_has_a_page_and_every_page_a_problem() {
    let (ours, rejections) = (of_problems(), of_rejections());
    assert!(ours.len() > 30 && rejections.len() > 30, "{ours:?} {rejections:?}");
    let all = ours.into_iter().chain(rejections).chain(of_the_router()).chain(of_the_gateway());
    let all: BTreeSet<String> = all.collect();
    let pages: BTreeSet<String> = kinds().map(|kind| kind.slug.to_owned()).collect();
    let lacking: Vec<_> = all.difference(&pages).collect();
    assert!(lacking.is_empty(), "no row in docs/problems.md: {lacking:?}");
    let idle: Vec<_> = pages.difference(&all).collect();
    assert!(idle.is_empty(), "rows in docs/problems.md of nothing: {idle:?}");
}

#[test]
fn a_slug_that_is_not_written_where_its_problem_is_made_comes_from_where_it_is_looked_for() {
    // The shorthands themselves, what the router refuses, a rejection, and the three ways in which lines disagree.
    let known = ["problem.rs", "finish.rs", "refusal.rs", "agree.rs"];
    for (path, text) in sources(&["edge", "command-api", "projections", "sagas", "daybook"]) {
        let name = path.file_name().unwrap().to_str().unwrap();
        for call in ["Problem::new(", "Problem::unavailable(", "Problem::bad_request("] {
            for (at, _) in text.match_indices(call) {
                let arguments = text[at + call.len()..].split(')').next().unwrap_or_default();
                assert!(arguments.contains('"') || known.contains(&name), "{name}: {arguments}");
            }
        }
    }
}

#[test]
fn what_the_gateway_answers_by_itself_is_what_the_page_of_its_problem_says() {
    let answers = answers_of_the_gateway();
    assert!(answers.len() >= 10, "{answers:?}");
    for answer in answers.iter().map(String::as_str) {
        let (when, rest) = answer.split_once(" string '").expect(answer);
        let (problem, headers) = rest.split_once('\'').expect(answer);
        let problem: Value = serde_json::from_str(problem).expect(answer);
        let slug = problem["type"].as_str().and_then(|it| it.strip_prefix(PROBLEM_URN));
        let kind = kinds().find(|kind| Some(kind.slug) == slug).expect(answer);
        assert_eq!(problem["status"], kind.status, "{answer}");
        // It has these for what broke off or took too long, and they leave as 503.
        let status = kind.status.to_string();
        let sent = when.split(' ').filter(|word| [&*status, "502", "504"].contains(word)).count();
        assert_eq!(sent, 1, "{answer}");
        let title = kind.slug.replace('-', " ");
        assert!(problem["title"].as_str().expect(answer).eq_ignore_ascii_case(&title), "{answer}");
        let link = format!(" hdr Link '</problems/{}>; rel=\"help\"'", kind.slug);
        assert!(headers.contains(&link), "{answer}");
        let waits = [429, 503].contains(&kind.status);
        assert_eq!(headers.contains(" hdr Retry-After "), waits, "{answer}");
    }
}

#[tokio::test]
async fn a_problem_leads_to_its_page() {
    let world = World::new().await;
    let daybook = world.start().await;
    let ask =
        async |path: &str| daybook.http.get(format!("{}{path}", daybook.url)).send().await.unwrap();
    let refused = ask("/v1/orders?limit=none").await;
    let link = refused.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(link, "</problems/invalid-parameters>; rel=\"help\"");
    let page = ask("/problems/invalid-parameters").await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("urn:daybook:problem:invalid-parameters"), "{page}");
    let all = ask("/problems").await.text().await.unwrap();
    assert!(kinds().all(|kind| all.contains(&format!("/problems/{}\"", kind.slug))), "{all}");
    assert_eq!(ask("/problems/none-such").await.status(), 404);
    daybook.stop().await;
}
