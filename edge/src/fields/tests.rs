use super::{Fields, MAX_ERRORS, read_document};
use serde_json::{Value, json};

#[derive(Debug, PartialEq)]
struct Line {
    sku: String,
    quantity: u32,
}

fn line(fields: &mut Fields<'_>) -> Option<Line> {
    let (sku, quantity) = (fields.required("sku"), fields.required("quantity"));
    Some(Line { sku: sku?, quantity: quantity? })
}

fn order(fields: &mut Fields<'_>) -> Option<(Option<String>, Vec<Line>, Option<Line>)> {
    let customer = fields.optional("customer");
    let (lines, gift) = (fields.list("lines", line), fields.optional_object("gift", line));
    Some((customer?, lines?, gift?))
}

fn pointers(document: Value) -> Vec<String> {
    let errors = read_document(document, order).unwrap_err();
    errors.into_iter().map(|error| error.pointer.unwrap()).collect()
}

#[test]
fn a_good_document_is_read() {
    let document = json!({"customer": null, "lines": [{"sku": "A", "quantity": 1}]});
    let read = read_document(document, order).unwrap();
    assert_eq!(read, (None, vec![Line { sku: "A".to_owned(), quantity: 1 }], None));
}

#[test]
fn every_bad_field_is_listed_with_its_pointer() {
    let document = json!({
        "customer": 5,
        "lines": [
            {"sku": "A", "quantity": 1},
            {"sku": 7, "quantity": -1},
            {"quantity": 1e20, "colour": "red"},
            "B",
        ],
        "gift": [],
        "a/b~c": true,
    });
    assert_eq!(
        pointers(document),
        [
            "/customer",
            "/lines/1/sku",
            "/lines/1/quantity",
            "/lines/2/sku",
            "/lines/2/quantity",
            "/lines/2/colour",
            "/lines/3",
            "/gift",
            "/a~1b~0c",
        ]
    );
}

#[test]
fn a_nul_character_is_found_wherever_it_stands() {
    let document = json!({"customer": "a\0b", "lines": [{"sku": "\0", "quantity": 1}]});
    assert_eq!(pointers(document), ["/customer", "/lines/0/sku"]);
}

#[test]
fn a_document_that_is_no_object_is_refused_as_a_whole() {
    assert_eq!(pointers(json!([])), [""]);
}

#[test]
fn the_list_of_errors_is_bounded_and_so_is_each() {
    let long = "x".repeat(10_000);
    let lines: Vec<_> = (0..1_000).map(|_| json!({"sku": "A", "quantity": long})).collect();
    let errors = read_document(json!({"lines": lines}), order).unwrap_err();
    assert_eq!(errors.len(), MAX_ERRORS);
    assert!(errors.iter().all(|error| error.detail.len() < 1_000));
}
