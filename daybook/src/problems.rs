//! A page for every type of problem: what it means and what to do. A problem's `type` is a URN that clients compare; its
//! `Link` leads here. What there is to say stands in `docs/problems.md`.

use axum::extract::Path;
use axum::response::Html;
use edge::{PROBLEM_URN, Permission, Problem, Routes};

const DOCUMENT: &str = include_str!("../../docs/problems.md");

/// One type of problem.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What its `type` ends with.
    pub slug: &'static str,
    pub status: u16,
    pub means: &'static str,
    /// What whoever gets it can do.
    pub advice: &'static str,
}

/// Every type of problem, in the order of the document.
pub fn kinds() -> impl Iterator<Item = Kind> {
    DOCUMENT.lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?.strip_suffix(" |")?;
        let (slug, rest) = row.split_once("` | ")?;
        let (status, rest) = rest.split_once(" | ")?;
        let (means, advice) = rest.split_once(" | ")?;
        Some(Kind { slug, status: status.parse().ok()?, means, advice })
    })
}

/// `GET /problems` and `GET /problems/{slug}`.
#[must_use]
pub fn routes() -> Routes<()> {
    Routes::new().get("/problems", Permission::Open, async || Html(all())).get(
        "/problems/{slug}",
        Permission::Open,
        find,
    )
}

async fn find(Path(slug): Path<String>) -> Result<Html<String>, Problem> {
    let kind = kinds().find(|kind| kind.slug == slug);
    let none = || Problem::not_found("There is no such type of problem; /problems lists them.");
    kind.map(|kind| Html(one(kind))).ok_or_else(none)
}

fn all() -> String {
    let row = |Kind { slug, status, means, .. }| {
        format!("<tr><td><a href=\"/problems/{slug}\">{slug}</a><td>{status}<td>{means}\n")
    };
    let rows: String = kinds().map(row).collect();
    page("Problems", &format!("<table>\n<tr><th>type<th>status<th>what it means\n{rows}</table>\n"))
}

fn one(Kind { slug, status, means, advice }: Kind) -> String {
    let body = format!(
        "<p>Status {status}, <code>{PROBLEM_URN}{slug}</code></p>\n\
         <h2>What it means</h2>\n<p>{means}</p>\n\
         <h2>What to do</h2>\n<p>{advice}</p>\n\
         <p><a href=\"/problems\">All problems</a></p>\n"
    );
    page(slug, &body)
}

/// What stands in the document is ours, and holds nothing that HTML would read.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}: Daybook</title>\n\
         <h1>{title}</h1>\n{body}</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{DOCUMENT, all, kinds, one};

    #[test]
    fn the_table_of_problems_is_sorted_whole_and_plain() {
        let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(kinds().count(), rows, "a row is not as the others are");
        assert!(kinds().map(|kind| kind.slug).is_sorted_by(|one, next| one < next));
        for kind in kinds() {
            for text in [kind.means, kind.advice] {
                let is_plain = !text.contains(['<', '>', '&', '|', '`', '[']);
                assert!(text.ends_with('.') && is_plain, "{}", kind.slug);
            }
            assert!((400..600).contains(&kind.status), "{}", kind.slug);
            assert!(one(kind).contains(kind.advice) && all().contains(kind.means));
        }
    }
}
