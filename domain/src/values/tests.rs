use super::*;
use crate::ids::{OrderId, OrderNumber};
use proptest::prelude::*;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str, rule: &str) {
    let complaint = read::<T>(json).unwrap_err();
    assert!(complaint.contains(rule), "{json}: {complaint}");
}

#[test]
fn a_sku_is_a_short_code() {
    for good in ["85123A", "a", "7.5-x_Y", &"x".repeat(64)] {
        assert_eq!(good.parse::<Sku>().unwrap().as_str(), good);
    }
    for bad in ["", "-a", ".a", "a b", "a/b", "ä", "a\0", &"x".repeat(65)] {
        assert!(bad.parse::<Sku>().is_err(), "{bad:?}");
    }
    refused::<Sku>(r#""a b""#, "a SKU is 1 to 64 letters");
}

#[test]
fn a_quantity_is_between_one_and_a_million() {
    assert_eq!(read::<Quantity>("1").unwrap().get(), 1);
    assert_eq!(read::<Quantity>("1000000").unwrap().get(), 1_000_000);
    for bad in ["0", "-1", "1000001", "9223372036854775807"] {
        refused::<Quantity>(bad, "a quantity is between 1 and 1000000");
    }
    for bad in ["1.5", "\"1\"", "9223372036854775808", "1e3", "null"] {
        assert!(read::<Quantity>(bad).is_err(), "{bad}");
    }
    let million = Quantity::try_from(1_000_000).unwrap();
    assert_eq!(million.checked_add(1.try_into().unwrap()), None);
}

#[test]
fn a_stock_change_is_never_zero() {
    for good in ["-1000000000", "-1", "1", "1000000000"] {
        assert_eq!(serde_json::to_string(&read::<StockChange>(good).unwrap()).unwrap(), good);
    }
    for bad in ["0", "1000000001", "-1000000001"] {
        refused::<StockChange>(bad, "and not 0");
    }
}

#[test]
fn a_tax_rate_is_in_basis_points_and_a_line_counts_from_one() {
    assert_eq!(read::<TaxRate>("10000").unwrap().get(), 10_000);
    refused::<TaxRate>("10001", "basis points");
    refused::<TaxRate>("-1", "basis points");
    refused::<LineNumber>("0", "1 or more");
    let first: Vec<u32> = LineNumber::sequence().take(3).map(LineNumber::get).collect();
    assert_eq!(first, [1, 2, 3]);
}

#[test]
fn money_is_an_amount_and_its_currency() {
    let json = r#"{"amount":1095,"currency":"GBP"}"#;
    let money: Money = read(json).unwrap();
    assert_eq!((money.amount(), money.currency().as_str()), (1095, "GBP"));
    assert_eq!(serde_json::to_string(&money).unwrap(), json);
    refused::<Money>(r#"{"amount":-1,"currency":"GBP"}"#, "an amount is between 0 and");
    refused::<Money>(r#"{"amount":100000000000001,"currency":"GBP"}"#, "an amount is between 0");
    refused::<Money>(r#"{"amount":1,"currency":"gbp"}"#, "ISO 4217");
    refused::<Money>(r#"{"amount":1,"currency":"GBP","x":1}"#, "unknown field");
    refused::<Money>(r#"{"amount":1.5,"currency":"GBP"}"#, "invalid type");
}

#[test]
fn money_of_two_currencies_is_not_added() {
    let one = |code: &str| Money::new(1, code.parse().unwrap()).unwrap();
    assert_eq!(one("GBP").checked_add(one("EUR")), None);
    assert_eq!(one("GBP").checked_sub(one("EUR")), None);
}

#[test]
fn currencies_and_countries_are_those_of_the_standards() {
    for good in ["GBP", "EUR", "USD", "JPY", "XCG"] {
        assert_eq!(good.parse::<Currency>().unwrap().as_str(), good);
    }
    for bad in ["", "gbp", "GB", "XXX", "XAU", "DEM", "GBPX"] {
        assert!(bad.parse::<Currency>().is_err(), "{bad}");
    }
    for good in ["GB", "IE", "ZA", "US", "ZZ"] {
        assert_eq!(good.parse::<Country>().unwrap().as_str(), good);
    }
    for bad in ["", "gb", "UK", "EU", "XX", "GBR"] {
        assert!(bad.parse::<Country>().is_err(), "{bad}");
    }
    assert!(currency::CODES.is_sorted() && country::CODES.is_sorted());
    for code in country::CODES {
        assert_eq!(serde_json::to_value(code.parse::<Country>().unwrap()).unwrap(), code);
    }
}

#[test]
fn a_name_has_no_control_characters_and_no_space_at_its_ends() {
    let name: ProductName = "  White heart ".parse().unwrap();
    assert_eq!(name.as_str(), "White heart");
    assert!("é".repeat(200).parse::<ProductName>().is_ok());
    for bad in ["", "   ", "a\nb", "a\0", "a\u{7f}", &"é".repeat(201)] {
        assert!(bad.parse::<ProductName>().is_err(), "{bad:?}");
    }
}

#[test]
fn references_methods_and_reasons_are_words() {
    assert!("17850".parse::<CustomerRef>().is_ok() && "a b".parse::<CustomerRef>().is_err());
    assert!("é".parse::<CustomerRef>().is_err() && "".parse::<CustomerRef>().is_err());
    assert!("pm_card_visa".parse::<PaymentMethod>().is_ok());
    assert!("pm-card".parse::<PaymentMethod>().is_err());
    assert!("out-of-stock".parse::<Reason>().is_ok());
    assert!("Out_of".parse::<Reason>().is_err() && "x".repeat(41).parse::<Reason>().is_err());
}

#[test]
fn the_words_of_others_become_reasons() {
    for (word, reason) in [
        ("insufficient_funds", "insufficient-funds"),
        ("Do Not Honor", "do-not-honor"),
        ("__", "unknown"),
        ("", "unknown"),
        ("é", "unknown"),
    ] {
        assert_eq!(Reason::from_foreign(word).as_str(), reason);
    }
}

#[test]
fn an_order_number_is_the_last_fifty_bits_in_base_32() {
    let zero = OrderId(Uuid::from_u128(0));
    assert_eq!(zero.number().to_string(), "00000-00000");
    let all = OrderId(Uuid::from_u128(u128::MAX));
    assert_eq!(all.number().to_string(), "ZZZZZ-ZZZZZ");
    assert_eq!(OrderId(Uuid::from_u128(1 << 50 | 33)).number().to_string(), "00000-00011");
    for same in ["7K2MQ-4XR9D", "7k2mq4xr9d", "7K2MQ-4XR9D"] {
        assert_eq!(same.parse::<OrderNumber>().unwrap().to_string(), "7K2MQ-4XR9D");
    }
    assert_eq!("OIL00-00000".parse::<OrderNumber>().unwrap().to_string(), "01100-00000");
    for bad in ["", "7K2MQ-4XR9", "7K2MQ-4XR9U", "7K2MQ-4XR9D0", "ä"] {
        assert!(bad.parse::<OrderNumber>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn money_never_leaves_its_bounds(a in 0..=Money::MAX, b in 0..=Money::MAX, n in 1..=1_000_000_i64) {
        let of = |amount| Money::new(amount, "GBP".parse().unwrap()).unwrap();
        let fits = |amount: i128| (0..=i128::from(Money::MAX)).contains(&amount);
        let (wide_a, wide_b) = (i128::from(a), i128::from(b));
        for (result, expected) in [
            (of(a).checked_add(of(b)), wide_a + wide_b),
            (of(a).checked_sub(of(b)), wide_a - wide_b),
            (of(a).times(n.try_into().unwrap()), wide_a * i128::from(n)),
        ] {
            prop_assert_eq!(result.map(|m| i128::from(m.amount())), Some(expected).filter(|e| fits(*e)));
        }
    }

    #[test]
    fn no_text_makes_a_value_panic_and_what_is_kept_is_kept(text in ".{0,80}") {
        if let Ok(sku) = text.parse::<Sku>() {
            prop_assert_eq!(sku.as_str(), &text);
        }
        if let Ok(name) = text.parse::<ProductName>() {
            prop_assert_eq!(name.as_str().parse::<ProductName>(), Ok(name.clone()));
        }
        let _ = text.parse::<OrderNumber>();
        let _ = text.parse::<Currency>();
        let _ = text.parse::<Country>();
        let reason = Reason::from_foreign(&text);
        prop_assert_eq!(reason.as_str().parse::<Reason>(), Ok(reason.clone()));
    }

    #[test]
    fn an_order_number_can_be_read_back(bits in any::<u128>()) {
        let number = OrderId(Uuid::from_u128(bits)).number();
        prop_assert_eq!(number.to_string().parse::<OrderNumber>(), Ok(number));
    }
}

/// Those who only have the schema come to the same verdict as those who have the type.
#[track_caller]
fn agree<T: DeserializeOwned + JsonSchema>(value: &Value) {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let valid = jsonschema::draft202012::new(&schema).unwrap().is_valid(value);
    let name = T::schema_name();
    assert_eq!(serde_json::from_value::<T>(value.clone()).is_ok(), valid, "{name}: {value}");
}

fn agree_on_text(text: &str) {
    let value = Value::from(text);
    agree::<Sku>(&value);
    agree::<CustomerRef>(&value);
    agree::<PaymentMethod>(&value);
    agree::<Reason>(&value);
    agree::<Currency>(&value);
    agree::<Country>(&value);
    // What is trimmed is not counted, which no schema can say.
    if text.trim() == text {
        agree::<ProductName>(&value);
        agree::<Remark>(&value);
        agree::<Operator>(&value);
    }
}

#[test]
fn schemas_and_types_agree_at_the_bounds() {
    for length in [0, 1, 40, 41, 64, 65, 200, 201, 500, 501] {
        agree_on_text(&"x".repeat(length));
        agree_on_text(&"é".repeat(length));
    }
    for text in
        ["GBP", "XXX", "GB", "XX", "-a", "a-", "_", "a b", "A", "\u{7f}", "\u{a0}x", "a\u{85}b"]
    {
        agree_on_text(text);
    }
    for number in [0, 1, 10_000, 10_001, 1_000_000, 1_000_001, 1_000_000_000, 1_000_000_001] {
        agree_on_number(number);
        agree_on_number(-number);
    }
    agree_on_number(i64::from(u32::MAX));
    agree_on_number(i64::from(u32::MAX) + 1);
    for amount in [-1, 0, Money::MAX, Money::MAX + 1] {
        agree::<Money>(&json!({"amount": amount, "currency": "GBP"}));
        agree::<Money>(&json!({"amount": amount, "currency": "GBP", "vat": 1}));
    }
}

fn agree_on_number(number: i64) {
    let value = Value::from(number);
    agree::<Quantity>(&value);
    agree::<StockChange>(&value);
    agree::<TaxRate>(&value);
    agree::<LineNumber>(&value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn schemas_and_types_agree_on_any_text(text in "\\PC{0,70}", code in "[ -~]{0,45}") {
        agree_on_text(&text);
        agree_on_text(&code);
    }

    #[test]
    fn schemas_and_types_agree_on_any_number(number: i64) {
        agree_on_number(number);
    }
}
