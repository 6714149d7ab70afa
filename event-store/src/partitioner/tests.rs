use super::{murmur2, partition_of};

/// Keys, and what `org.apache.kafka.common.utils.Utils` of Kafka 4.1 computes for their UTF-8 bytes:
/// `murmur2`, and `toPositive(murmur2) % n` for 8, 12 and 1,000 partitions.
const VECTORS: &[(&str, u32, i32, i32, i32)] = &[
    ("", 0x106e08d9, 1, 9, 681),
    ("a", 0xa2d0b27c, 4, 4, 524),
    ("ab", 0x12d8262a, 2, 2, 434),
    ("abc", 0x1c94221b, 3, 3, 107),
    ("abcd", 0xb11ab5f4, 4, 8, 100),
    ("abcde", 0x1b897edd, 5, 1, 741),
    ("product-85123A", 0x1c20094f, 7, 7, 583),
    ("stock-85123A", 0x7d7c2c32, 2, 10, 778),
    ("stock-22423", 0x8b701595, 5, 5, 933),
    ("stock-a.b_c-D9", 0xe3bbe773, 3, 11, 867),
    ("order-5f0c1b7e-0d0e-5c3b-9a35-1f2a3b4c5d6e", 0x5b199be8, 0, 8, 968),
    ("order-00000000-0000-0000-0000-000000000000", 0xb2ec040e, 6, 10, 334),
    ("order-ffffffff-ffff-ffff-ffff-ffffffffffff", 0xe777fcc0, 0, 0, 736),
    ("payment-5f0c1b7e-0d0e-5c3b-9a35-1f2a3b4c5d6e", 0x8e74bcc2, 2, 2, 522),
    ("checkout-5f0c1b7e-0d0e-5c3b-9a35-1f2a3b4c5d6e", 0x453e6da5, 5, 9, 205),
    ("customer-17850", 0xa8e8bcb7, 7, 7, 303),
    ("stock-é", 0xb1aac45e, 6, 2, 974),
    ("stock-ß1", 0x3194e694, 4, 8, 940),
    ("café-1", 0x7e04c727, 7, 11, 343),
    ("товар-42", 0x55b2e4b7, 7, 11, 319),
    ("商品-0001", 0x9f32376e, 6, 6, 686),
    ("🛒", 0x1a615c73, 3, 3, 275),
    ("cart-🛒🛍", 0x53fab255, 5, 5, 581),
    ("\u{ff}", 0x5a16bc7f, 7, 7, 487),
    ("\u{80}\u{81}\u{82}", 0xf8e7ed12, 2, 6, 426),
];

#[test]
fn a_stream_lives_in_the_partition_that_kafkas_own_partitioner_chooses() {
    for (key, hash, of_8, of_12, of_1000) in VECTORS {
        assert_eq!(murmur2(key.as_bytes()), *hash, "{key}");
        assert_eq!(partition_of(key, 8), *of_8, "{key}");
        assert_eq!(partition_of(key, 12), *of_12, "{key}");
        assert_eq!(partition_of(key, 1_000), *of_1000, "{key}");
    }
}
