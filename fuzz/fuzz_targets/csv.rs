//! The file of an import: whatever it holds, what is planned adds up, and the rest is rejected with a reason.

#![no_main]

use daybook::import::plan::Plan;
use libfuzzer_sys::fuzz_target;
use std::collections::HashMap;

fuzz_target!(|bytes: &[u8]| {
    let Ok(plan) = Plan::read(bytes) else { return };
    let mut taken: HashMap<&str, i128> = HashMap::new();
    for line in plan.orders.iter().flat_map(|order| &order.lines) {
        *taken.entry(&line.sku).or_default() += i128::from(line.quantity);
    }
    for adjustment in &plan.adjustments {
        *taken.entry(&adjustment.sku).or_default() +=
            i128::from(adjustment.change.min(0).unsigned_abs());
    }
    for receipt in &plan.receipts {
        let taken = taken.remove(receipt.sku.as_str()).unwrap_or_default();
        assert_eq!(taken, i128::from(receipt.quantity), "{}", receipt.sku);
    }
    assert!(taken.values().all(|taken| *taken == 0), "nothing is sold that was not received");
    assert!(plan.orders.iter().all(|order| !order.lines.is_empty()));
});
