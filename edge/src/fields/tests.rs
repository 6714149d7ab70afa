use super::{Fields, MAX_ERRORS, read_document};
use serde::Deserialize;
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

#[test]
fn what_is_not_of_its_type_is_told_in_words_for_people() {
    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Colour {
        Red,
        DarkBlue,
    }
    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(try_from = "i64")]
    struct Few;
    impl TryFrom<i64> for Few {
        type Error = &'static str;
        fn try_from(many: i64) -> Result<Self, &'static str> {
            if many <= 3 { Ok(Few) } else { Err("few are at most 3, expected or not") }
        }
    }
    fn told<T: serde::de::DeserializeOwned + schemars::JsonSchema>(value: Value) -> String {
        let read = |fields: &mut Fields<'_>| fields.required::<T>("a").map(drop);
        let errors = read_document(json!({"a": value}), read).unwrap_err();
        assert_eq!(errors[0].pointer.as_deref(), Some("/a"));
        errors[0].detail.clone()
    }
    let whole = "must be a whole number";
    for not_whole in [json!(2.55), json!("6"), json!([6]), json!({"a": 6}), json!(true)] {
        assert_eq!(told::<i64>(not_whole.clone()), whole, "{not_whole}");
        assert_eq!(told::<Few>(not_whole.clone()), whole, "{not_whole}");
    }
    assert_eq!(told::<i64>(json!("x, expected y")), whole);
    assert_eq!(told::<u8>(json!(-1)), "must be a whole number from 0 to 255");
    let longest = "must be a whole number from -9223372036854775808 to 9223372036854775807";
    assert_eq!(told::<i64>(json!(u64::MAX)), longest);
    assert_eq!(told::<Few>(json!(4)), "few are at most 3, expected or not");
    assert_eq!(told::<String>(json!(7)), "must be a string");
    assert_eq!(told::<bool>(json!("yes")), "must be true or false");
    assert_eq!(told::<f64>(json!("much")), "must be a number");
    assert_eq!(told::<Vec<i64>>(json!(1)), "must be an array");
    assert_eq!(told::<Colour>(json!("mauve")), "must be `red` or `dark-blue`");
    assert_eq!(told::<Colour>(json!(7)), "must be a string");
}

#[test]
fn a_reader_tells_what_it_takes() {
    let mut generator = schemars::SchemaGenerator::default();
    let told = super::described(&mut generator, order).to_value();
    let line = json!({
        "type": "object",
        "properties": {
            "sku": { "type": "string" },
            "quantity": { "type": "integer", "format": "uint32", "minimum": 0 },
        },
        "required": ["sku", "quantity"],
        "additionalProperties": false,
    });
    let wanted = json!({
        "type": "object",
        "properties": {
            "customer": { "type": ["string", "null"] },
            "lines": { "type": "array", "items": line },
            "gift": { "anyOf": [line, { "type": "null" }] },
        },
        "required": ["lines"],
        "additionalProperties": false,
    });
    assert_eq!(told, wanted);
}
