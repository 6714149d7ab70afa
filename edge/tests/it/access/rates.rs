//! Who is counted as one, where callers are asked who they are.

use super::{Service, as_role};
use edge::access::Wanted;
use edge::{Proxies, Quota, RateLimit, Role};

#[tokio::test]
async fn a_caller_has_one_share_wherever_he_calls_from_and_a_service_of_ours_is_not_counted() {
    let mut service = Service::new();
    let limit = RateLimit::new("five", Proxies::default(), 1_000);
    limit.set(Quota::of(1, 2));
    let limited = limit.around(super::routes().router((), &service.access));
    service.router = service.access.identified(limited);
    let of = |subject: &str, role| {
        service.token(Wanted { subject: subject.to_owned(), ..as_role(role) })
    };
    let saga = service.access.service_token("checkout", "orders", Some("checkout-saga")).unwrap();
    let follower = service.access.service_token("checkout", "orders", None).unwrap();
    let (ann, bob) = (of("ann", Role::Operator), of("bob", Role::Operator));
    let status = async |token: &str| service.get("/log/orders/0", Some(token)).await.0.as_u16();
    let mut statuses = Vec::new();
    for _ in 0..100 {
        assert_eq!((status(&saga).await, status(&follower).await), (200, 200));
        statuses.push(status(&ann).await);
    }
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(status(&bob).await, 200);
}
