use super::*;

/// A plan of lines without their header; the first is line 2 of the file.
fn plan(lines: &[&str]) -> Plan {
    let mut file = reader::HEADER.join(",");
    for line in lines {
        file.push('\n');
        file.push_str(line);
    }
    Plan::read(file.as_bytes()).unwrap()
}

fn reasons(plan: &Plan) -> Vec<(u64, &str)> {
    plan.rejects.iter().map(|reject| (reject.line, reject.reason.as_str())).collect()
}

fn receipts(plan: &Plan) -> Vec<(&str, u64)> {
    plan.receipts.iter().map(|receipt| (receipt.sku.as_str(), receipt.quantity)).collect()
}

fn at(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").unwrap().and_utc()
}

#[test]
fn an_invoice_is_one_order() {
    let plan = plan(&[
        "536365,85123A,HEART,6,2010-12-01T08:26:00,2.55,17850,United Kingdom",
        "536365,71053,LANTERN,3,2010-12-01T08:26:00,3.39,17850,United Kingdom",
    ]);
    assert_eq!(
        plan.orders,
        [Order {
            line: 2,
            invoice: "536365".into(),
            occurred_at: at("2010-12-01T08:26:00"),
            customer: Some("17850".into()),
            country: "GB",
            lines: vec![
                OrderLine { sku: "85123A".into(), quantity: 6, unit_price: Pence(255) },
                OrderLine { sku: "71053".into(), quantity: 3, unit_price: Pence(339) },
            ],
            shipping: None,
            discount: None,
        }]
    );
    assert_eq!(receipts(&plan), [("85123A", 6), ("71053", 3)]);
    assert!(plan.rejects.is_empty() && plan.adjustments.is_empty());
}

#[test]
fn codes_are_upper_cased_so_that_both_spellings_are_one_product() {
    let plan = plan(&[
        "1,85123a,HEART,6,2010-12-01T08:26:00,2.55,,France",
        "1,85123A,HEART,4,2010-12-01T08:26:00,2.50,,France",
    ]);
    assert_eq!(plan.products.len(), 1);
    assert_eq!(receipts(&plan), [("85123A", 10)]);
    assert_eq!(plan.orders[0].lines.len(), 2);
}

#[test]
fn a_product_has_its_first_description_and_its_first_price_above_zero() {
    let plan = plan(&[
        "1,71053,,5,2010-12-01T08:26:00,0,,France",
        "C2,71053,  WHITE LANTERN  ,-5,2010-12-01T08:26:00,0,,France",
        "3,71053,OTHER NAME,1,2010-12-01T08:26:00,3.39,,France",
        "4,71053,WHITE LANTERN,1,2010-12-01T08:26:00,9.99,,France",
        "5,22752,,1,2010-12-01T08:26:00,0,,France",
    ]);
    let listed: Vec<_> =
        plan.products.iter().map(|p| (p.sku.as_str(), p.name.as_str(), p.price)).collect();
    assert_eq!(listed, [("71053", "WHITE LANTERN", Pence(339)), ("22752", "22752", Pence::ZERO)]);
}

#[test]
fn a_line_of_a_return_lists_its_product_too() {
    let plan = plan(&["C1,71053,LANTERN,-5,2010-12-01T08:26:00,3.39,,France"]);
    assert_eq!((plan.products.len(), plan.receipts.len(), plan.orders.len()), (1, 0, 0));
}

#[test]
fn returns_are_rejected_before_every_other_rule() {
    let plan = plan(&[
        "C536379,D,Discount,-1,2010-12-01T09:41:00,27.5,14527,United Kingdom",
        "C536379,M,Manual,nonsense,never,much,,",
        "C536379,71053,LANTERN",
    ]);
    let expected = "return-not-supported";
    assert_eq!(reasons(&plan), [(2, expected), (3, expected), (4, expected)]);
}

#[test]
fn price_zero_without_a_description_is_stock_that_was_found() {
    let plan = plan(&[
        "1,71053,,5,2010-12-02T08:26:00,0,,France",
        "2,71053,LANTERN,1,2010-12-01T08:26:00,0,,France",
        "3,71053,,1,2010-12-01T08:26:00,3.39,,France",
    ]);
    assert_eq!(
        plan.adjustments,
        [Adjustment {
            line: 2,
            invoice: "1".into(),
            sku: "71053".into(),
            change: 5,
            occurred_at: at("2010-12-02T08:26:00"),
        }]
    );
    // Free of charge but described, or priced but nameless: both are order lines.
    assert_eq!(plan.orders.len(), 2);
    assert_eq!(plan.orders[0].lines[0].unit_price, Pence::ZERO);
    assert_eq!(receipts(&plan), [("71053", 2)], "what was found is no part of what is received");
}

#[test]
fn a_negative_quantity_outside_a_return_is_written_off() {
    let plan = plan(&[
        "1,71053,damaged,-10,2010-12-01T08:26:00,0,,France",
        "2,71053,LANTERN,-2,2010-12-01T08:26:00,3.39,,France",
        "3,71053,LANTERN,4,2010-12-01T08:26:00,3.39,,France",
    ]);
    let changes: Vec<_> = plan.adjustments.iter().map(|a| a.change).collect();
    assert_eq!(changes, [-10, -2]);
    assert_eq!(receipts(&plan), [("71053", 16)], "write-offs are received with the order lines");
    assert_eq!(plan.orders.len(), 1);
}

#[test]
fn shipping_and_discount_are_summed_from_their_lines() {
    let plan = plan(&[
        "1,POST,POSTAGE,3,2010-12-01T08:26:00,18,,France",
        "1,DOT,DOTCOM POSTAGE,1,2010-12-01T08:26:00,0.425,,France",
        "1,C2,CARRIAGE,1,2010-12-01T08:26:00,50,,France",
        "1,D,Discount,-2,2010-12-01T08:26:00,1.5,,France",
        "1,71053,LANTERN,1,2010-12-01T08:26:00,3.39,,France",
    ]);
    assert_eq!(plan.orders[0].shipping, Some(Pence(5400 + 43 + 5000)));
    assert_eq!(plan.orders[0].discount, Some(Pence(300)));
    assert!(plan.rejects.is_empty());
}

#[test]
fn without_an_order_line_charges_are_rejected_and_adjustments_are_not() {
    let plan = plan(&[
        "1,POST,POSTAGE,1,2010-12-01T08:26:00,18,,France",
        "1,71053,,-4,2010-12-01T08:26:00,0,,France",
        "1,D,Discount,-1,2010-12-01T08:26:00,2,,France",
    ]);
    assert!(plan.orders.is_empty());
    assert_eq!(reasons(&plan), [(2, "no-order-line"), (4, "no-order-line")]);
    assert_eq!(plan.adjustments.len(), 1);
    assert_eq!(receipts(&plan), [("71053", 4)]);
}

#[test]
fn every_other_code_is_rejected_with_its_reason() {
    let plan = plan(&[
        "1,71053,LANTERN,1,2010-12-01T08:26:00,3.39,,France",
        "1,M,Manual,1,2010-12-01T08:26:00,1.25,,France",
        "1,BANK CHARGES,Bank Charges,1,2010-12-01T08:26:00,15,,France",
        "1,PADS,PADS,1,2010-12-01T08:26:00,0.001,,France",
    ]);
    assert_eq!(reasons(&plan), [(3, "manual-entry"), (4, "bank-charges"), (5, "unknown-code")]);
    assert_eq!(plan.orders[0].lines.len(), 1);
    assert_eq!(plan.products.len(), 1);
}

#[test]
fn an_order_is_dated_by_the_first_line_of_its_invoice() {
    let plan = plan(&[
        "1,M,Manual,1,2010-12-01T08:26:00,1.25,7,EIRE",
        "1,71053,LANTERN,1,2010-12-01T08:27:00,3.39,7,EIRE",
    ]);
    let order = &plan.orders[0];
    assert_eq!((order.line, order.occurred_at), (2, at("2010-12-01T08:26:00")));
    assert_eq!((order.customer.as_deref(), order.country), (Some("7"), "IE"));
}

#[test]
fn orders_start_by_date_and_ties_stay_in_file_order() {
    let plan = plan(&[
        "9,71053,LANTERN,1,2010-12-02T08:00:00,3.39,,France",
        "3,71053,LANTERN,1,2010-12-01T09:00:00,3.39,,France",
        "5,71053,LANTERN,1,2010-12-01T08:00:00,3.39,,France",
        "2,71053,LANTERN,1,2010-12-01T09:00:00,3.39,,France",
        "3,71053,LANTERN,1,2010-12-01T07:00:00,3.39,,France",
    ]);
    let invoices: Vec<_> = plan.orders.iter().map(|order| order.invoice.as_str()).collect();
    assert_eq!(invoices, ["5", "3", "2", "9"]);
    assert_eq!(plan.opened_at, at("2010-12-01T07:00:00"));
}

#[test]
fn a_customer_without_a_number_is_none_and_a_country_without_a_code_is_zz() {
    let plan = plan(&["1,71053,LANTERN,1,2010-12-02T08:00:00,3.39,,European Community"]);
    assert_eq!((plan.orders[0].customer.as_deref(), plan.orders[0].country), (None, "ZZ"));
}

#[test]
fn what_cannot_be_read_is_rejected_by_line_and_the_rest_goes_on() {
    let plan = plan(&[
        "1,71053,LANTERN,one,2010-12-01T08:26:00,3.39,,France",
        "1,71053,LANTERN,1,1 December,3.39,,France",
        "1,71053,LANTERN,1,2010-12-01T08:26:00,£3,,France",
        "1,71053,LANTERN",
        "1 2,71053,LANTERN,1,2010-12-01T08:26:00,3.39,,France",
        "1,71053,LANTERN,0,2010-12-01T08:26:00,3.39,,France",
        "1,71053,LANTERN,1,2010-12-01T08:26:00,-3.39,,France",
        "1,71053,LANTERN,1000001,2010-12-01T08:26:00,3.39,,France",
        "1,POST,POSTAGE,1,2010-12-01T08:26:00,-18,,France",
        "1,POST,POSTAGE,1000000000,2010-12-01T08:26:00,999999999999,,France",
        "1,71053,\"LANTERN,\nWHITE\",1,2010-12-01T08:26:00,3.39,,France",
        "1,M,Manual,1,2010-12-01T08:26:00,3.39,,France",
    ]);
    assert_eq!(
        reasons(&plan),
        [
            (2, "bad-quantity"),
            (3, "bad-date"),
            (4, "bad-price"),
            (5, "not-eight-fields"),
            (6, "bad-invoice"),
            (7, "zero-quantity"),
            (8, "negative-price"),
            (9, "quantity-too-large"),
            (10, "negative-price"),
            (11, "charge-too-large"),
            (14, "manual-entry"),
        ]
    );
    assert_eq!((plan.orders.len(), plan.orders[0].lines.len()), (1, 1));
    assert_eq!(receipts(&plan), [("71053", 1)]);
    assert_eq!(plan.orders[0].shipping, None);
}

#[test]
fn a_line_that_is_not_utf_8_is_rejected() {
    let mut file = reader::HEADER.join(",").into_bytes();
    file.extend(b"\n1,71053,\xa3 SIGN,1,2010-12-01T08:26:00,3.39,,France\n");
    let plan = Plan::read(file.as_slice()).unwrap();
    assert_eq!(reasons(&plan), [(2, "not-utf-8")]);
    assert!(plan.products.is_empty());
}

#[test]
fn another_header_is_refused() {
    for header in ["", "Invoice,StockCode", "line,invoice,code,reason"] {
        let error = Plan::read(header.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("InvoiceNo,StockCode"), "{error}");
    }
}

#[test]
fn a_header_alone_is_an_empty_plan() {
    let plan = plan(&[]);
    assert!(plan.products.is_empty() && plan.orders.is_empty() && plan.rejects.is_empty());
}
