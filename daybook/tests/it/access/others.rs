//! What a customer might try with the id of another one's order: each verb, each instant, and lines of many commands.
//! Whatever he is told, he is told the same of an id that there is not.

use super::{Guarded, rows};
use crate::shop::{Answer, heads, order};
use crate::support::Daybook;
use edge::Role;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const GUESSED: &str = "0199a000-0000-7000-8000-000000000000";

/// The body that each command about an order would be done with.
pub(crate) const COMMANDS: [(&str, &str); 6] = [
    ("/v1/orders/{id}/cancel", r#"{"reason":"customer-request"}"#),
    ("/v1/orders/{id}/ship", "{}"),
    ("/v1/payments/{id}/refund", "{}"),
    ("/v1/checkouts/{id}/retry", r#"{"reason":"tried"}"#),
    ("/v1/checkouts/{id}/cancel", r#"{"reason":"tried"}"#),
    ("/v1/checkouts/{id}/settle", r#"{"reason":"tried"}"#),
];

/// All that an answer says but what names this very request.
async fn said(answer: Response) -> (u16, Vec<(String, String)>, String) {
    let status = answer.status().as_u16();
    let names_it = ["date", "x-correlation-id", "traceparent"];
    let headers = answer.headers().iter().filter(|(name, _)| !names_it.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect();
    let text = answer.text().await.unwrap();
    let Ok(mut problem) = serde_json::from_str::<Value>(&text) else {
        return (status, headers, text);
    };
    for name in ["instance", "correlation"] {
        problem.as_object_mut().unwrap().remove(name);
    }
    (status, headers, problem.to_string())
}

/// Asks with the id of another's order and with a guessed one. Neither is answered, and both in the same way.
pub(crate) async fn is_told_nothing(
    shop: &Daybook,
    who: &Client,
    (method, path, body): (&Method, &str, &str),
    anothers: &str,
) {
    let ask = async |id: &str| {
        let url = format!("{}{}", shop.url, path.replace("{id}", id));
        let request = who.request(method.clone(), url).header("content-type", "application/json");
        said(request.body(body.to_owned()).send().await.unwrap()).await
    };
    let answer = ask(anothers).await;
    // Who asks for the verbs is told no more than those.
    let refused = if method == Method::OPTIONS { vec![204] } else { vec![403, 404, 405] };
    assert!(refused.contains(&answer.0), "{method} {path}: {answer:?}");
    assert_eq!(answer, ask(GUESSED).await, "{method} {path}");
}

/// The same as lines of one request, each for another's order and for a guessed one.
pub(crate) async fn lines_tell_him_nothing(
    shop: &Daybook,
    who: &Client,
    paths: &[(&str, &str)],
    anothers: &str,
) {
    let line = |(path, body): &(&str, &str), id: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        json!({"path": path.replace("{id}", id), "body": body}).to_string() + "\n"
    };
    let lines = paths.iter().flat_map(|it| [line(it, anothers), line(it, GUESSED)]);
    let sending = who.post(format!("{}/v1/commands", shop.url)).body(lines.collect::<String>());
    let answer = sending.header("content-type", "application/x-ndjson").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    let mut answers: Vec<Value> =
        text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    answers.sort_by_key(|answer| answer["line"].as_u64());
    assert_eq!(answers.len(), 2 * paths.len(), "{text}");
    for ((path, _), both) in paths.iter().zip(answers.chunks(2)) {
        let [others, guessed] = [0, 1].map(|at| {
            let mut answer = both[at].clone();
            answer["line"].take();
            for name in ["instance", "correlation"] {
                answer["body"].as_object_mut().unwrap().remove(name);
            }
            answer
        });
        assert!(others["status"] == 403 || others["status"] == 404, "{path}: {others}");
        assert_eq!(others, guessed, "{path}");
    }
}

#[tokio::test]
async fn no_verb_and_no_instant_and_no_line_leads_a_customer_to_what_is_anothers() {
    let shop = Guarded::new().await;
    let (daybook, hand) = (&shop.daybook, &shop.daybook.http);
    let ann = shop.caller("ann", &[Role::Customer], Some("17850"));
    let bob = shop.caller("bob", &[Role::Customer], Some("13047"));
    let placing = ann.post(format!("{}/v1/orders", daybook.url));
    let placing = placing.json(&order(&["A1"], "pm_card_visa")).send().await.unwrap();
    let anns = Answer::of(placing).await.unwrap().order();
    let done = |checkout: &Value| checkout["outcome"] == "confirmed";
    daybook.until("it is at rest", &format!("/v1/checkouts/{anns}"), done).await;
    let postgres = shop.world.sql().await;
    let before = heads(&postgres).await;

    let of_an_order: BTreeSet<_> =
        rows().iter().map(|row| row.path).filter(|path| path.contains("{id}")).collect();
    let verbs = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"];
    for path in &of_an_order {
        let body = COMMANDS.iter().find(|(of, _)| of == path).map_or("{}", |(_, body)| body);
        for verb in verbs {
            let verb = Method::from_bytes(verb.as_bytes()).unwrap();
            is_told_nothing(daybook, &bob, (&verb, path, body), &anns).await;
        }
        for as_of in ["1", "2", "0", "2010-12-01T08:26:00Z", "2999-12-01T08:26:00Z", "nonsense"] {
            let path = format!("{path}?as_of={as_of}");
            is_told_nothing(daybook, &bob, (&Method::GET, &path, ""), &anns).await;
        }
    }
    let posted = rows().into_iter().filter(|row| row.method == Method::POST);
    let posted: BTreeSet<_> = posted.map(|row| row.path).filter(|it| it.contains("{id}")).collect();
    assert_eq!(posted, COMMANDS.iter().map(|(path, _)| *path).collect(), "each has its body");
    lines_tell_him_nothing(daybook, &bob, &COMMANDS, &anns).await;
    let queries: Vec<_> = of_an_order.difference(&posted).map(|path| (*path, "{}")).collect();
    lines_tell_him_nothing(daybook, &bob, &queries, &anns).await;

    assert_eq!(heads(&postgres).await, before, "nothing came of it");
    // Hers it is, and whoever may see all sees it.
    for who in [&ann, hand] {
        let url = format!("{}/v1/orders/{anns}?as_of=1", daybook.url);
        assert_eq!(who.get(&url).send().await.unwrap().status(), 200);
        assert_eq!(who.head(&url).send().await.unwrap().status(), 200);
    }
    let cancel = json!({"path": format!("/v1/orders/{anns}/cancel"), "body": {"reason": "customer-request"}});
    let sending = ann.post(format!("{}/v1/commands", daybook.url)).body(cancel.to_string());
    let answer = sending.header("content-type", "application/x-ndjson").send().await.unwrap();
    let answer = answer.text().await.unwrap();
    assert!(answer.contains("\"status\":200"), "{answer}");
}
