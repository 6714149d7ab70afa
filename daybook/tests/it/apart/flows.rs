//! Every flow of the shop in one world, one after the other, whatever its shape.

use crate::shop::another_flow;
use crate::support::{Daybook, World};
use crate::{flash_sale, idempotency, provider_faults};

pub(super) async fn pass(world: &World, daybooks: &mut Vec<Daybook>) {
    flash_sale::sale(world, daybooks).await;
    another_flow(world).await;
    provider_faults::declined_or_failed(world, &daybooks[0]).await;
    another_flow(world).await;
    provider_faults::slow_or_lost(world, &daybooks[0]).await;
    another_flow(world).await;
    provider_faults::faults(world, &daybooks[0]).await;
    another_flow(world).await;
    idempotency::one_key(world, daybooks).await;
}
