//! The countries that the shop's invoices name, as ISO 3166-1 alpha-2 codes.

/// By the names of *Online Retail* and its sequel.
const CODES: [(&str, &str); 38] = [
    ("Australia", "AU"),
    ("Austria", "AT"),
    ("Bahrain", "BH"),
    ("Belgium", "BE"),
    ("Bermuda", "BM"),
    ("Brazil", "BR"),
    ("Canada", "CA"),
    ("Cyprus", "CY"),
    ("Czech Republic", "CZ"),
    ("Denmark", "DK"),
    ("EIRE", "IE"),
    ("Finland", "FI"),
    ("France", "FR"),
    ("Germany", "DE"),
    ("Greece", "GR"),
    ("Hong Kong", "HK"),
    ("Iceland", "IS"),
    ("Israel", "IL"),
    ("Italy", "IT"),
    ("Japan", "JP"),
    ("Lebanon", "LB"),
    ("Lithuania", "LT"),
    ("Malta", "MT"),
    ("Netherlands", "NL"),
    ("Nigeria", "NG"),
    ("Norway", "NO"),
    ("Poland", "PL"),
    ("Portugal", "PT"),
    ("RSA", "ZA"),
    ("Saudi Arabia", "SA"),
    ("Singapore", "SG"),
    ("Spain", "ES"),
    ("Sweden", "SE"),
    ("Switzerland", "CH"),
    ("Thailand", "TH"),
    ("USA", "US"),
    ("United Arab Emirates", "AE"),
    ("United Kingdom", "GB"),
];

/// `ZZ` for what has no code: `Unspecified`, `European Community`, `Channel Islands`, …
pub(super) fn code(name: &str) -> &'static str {
    CODES.iter().find(|(known, _)| *known == name).map_or("ZZ", |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shops_own_names_become_iso_codes() {
        assert_eq!(code("United Kingdom"), "GB");
        assert_eq!(code("EIRE"), "IE");
        assert_eq!(code("RSA"), "ZA");
        assert_eq!(code("USA"), "US");
    }

    #[test]
    fn what_has_no_code_is_zz() {
        for name in ["Unspecified", "European Community", "Channel Islands", "West Indies", ""] {
            assert_eq!(code(name), "ZZ");
        }
    }
}
