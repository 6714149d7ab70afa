//! The write paths of this process, and what acts through them.

use super::part::Role;
use super::services::Services;
use super::{ShopSettings, watch};
use anyhow::{Context, Result};
use command_api::prices::{PriceFollower, Prices};
use command_api::{CommandApi, Settings};
use decider::Decider;
use domain::catalogue::product::Product;
use domain::checkout::checkout::Checkout;
use domain::inventory::stock::Stock;
use domain::orders::order::Order;
use domain::payments::payment::Payment;
use edge::Breaker;
use event_store::dues::{DueFollower, DueLimits, DueWatch};
use event_store::follow::{Follower, ReadSide, Runner, Source};
use event_store::{Pace, Transactor};
use sagas::provider::Provider;
use sagas::{Port, Saga, checkout, payment};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One for each decider whose log this process appends to: who shares one queues behind the others.
#[derive(Default)]
pub(super) struct Writers {
    products: Option<Transactor<Product>>,
    stock: Option<Transactor<Stock>>,
    orders: Option<Transactor<Order>>,
    payments: Option<Transactor<Payment>>,
    checkouts: Option<Transactor<Checkout>>,
}

impl Writers {
    pub(super) fn open(services: &Services, settings: &ShopSettings) -> Self {
        if !settings.part.appends() {
            return Writers::default();
        }
        let limits = || settings.limits.transact();
        let log = |service| services.log(service).cloned();
        Writers {
            products: log("catalogue").map(|log| Transactor::with_snapshots(log, limits())),
            stock: log("inventory").map(|log| Transactor::with_snapshots(log, limits())),
            orders: log("orders").map(|log| Transactor::new(log, limits())),
            payments: log("payments").map(|log| Transactor::new(log, limits())),
            checkouts: log("checkout").map(|log| Transactor::new(log, limits())),
        }
    }

    pub(super) fn gauges(&self) -> Vec<watch::Gauge> {
        let gauges = [
            self.products.as_ref().map(watch::of_transactor),
            self.stock.as_ref().map(watch::of_transactor),
            self.orders.as_ref().map(watch::of_transactor),
            self.payments.as_ref().map(watch::of_transactor),
            self.checkouts.as_ref().map(watch::of_transactor),
        ];
        gauges.into_iter().flatten().collect()
    }

    /// The command endpoints, and the price list's follower, if this process takes commands.
    pub(super) async fn api(
        &self,
        services: &Services,
        sources: &[Source],
        runner: &Runner,
        settings: &ShopSettings,
    ) -> Result<Option<CommandApi>> {
        if !settings.part.has(Role::Commands) {
            return Ok(None);
        }
        let catalogue = sources.iter().find(|source| **source.service() == *"catalogue");
        let prices = match services.here.get("orders").zip(catalogue) {
            Some((orders, catalogue)) => {
                let database = orders.log.database().by_keys();
                let pool = database.pool("daybook prices", settings.readers)?;
                let prices = Prices::open(pool, catalogue, settings.limits.prices()).await?;
                let follower: Arc<dyn Follower> = Arc::new(PriceFollower);
                runner.follow(&follower, PriceFollower::GENERATION, &orders.read);
                Some(prices)
            }
            None => None,
        };
        Ok(Some(CommandApi {
            settings: Settings {
                accept_history: settings.accept_history,
                min_position_wait: settings.limits.min_position_wait(),
            },
            products: self.products.clone(),
            stock: self.stock.clone(),
            orders: self.orders.clone(),
            payments: self.payments.clone(),
            checkouts: self.checkouts.clone(),
            prices,
        }))
    }

    /// Starts what reacts, and what does what is due, if this process does that; and what stands before the provider, if
    /// he is asked.
    pub(super) fn act(
        &self,
        services: &Services,
        acting: &Acting<'_>,
        settings: &ShopSettings,
    ) -> Result<(Vec<DueWatch>, Option<Breaker>)> {
        let (mut dues, mut breaker) = (Vec::new(), None);
        if !settings.part.has(Role::Sagas) {
            return Ok((dues, breaker));
        }
        let limits = &settings.limits;
        let paced = |limits| DueLimits { pace: acting.pace.clone(), ..limits };
        if let Some((checkouts, read)) = self.checkouts.clone().zip(services.read("checkout")) {
            let mut bounds = limits.checkout(checkout::Settings {
                patience: settings.patience,
                ..checkout::Settings::default()
            });
            bounds.limits = paced(bounds.limits);
            let others = self.others(services)?;
            dues.push(acting.start(checkout::saga(checkouts, others, read, bounds), read));
        }
        if let Some((payments, read)) = self.payments.clone().zip(services.read("payments")) {
            let (url, key) = (&settings.provider_url, &settings.provider_key);
            let provider = Provider::new(url, key, limits.provider_timeouts(), limits.breaker())
                .context("the payment provider's client")?;
            breaker = Some(provider.breaker().clone());
            let calls = paced(limits.calls());
            dues.push(acting.start(payment::saga(payments, read, provider, calls), read));
        }
        Ok((dues, breaker))
    }

    /// Those whom the checkouts ask.
    fn others(&self, services: &Services) -> Result<checkout::Services> {
        Ok(checkout::Services {
            stock: port(self.stock.as_ref(), "inventory", services)?,
            order: port(self.orders.as_ref(), "orders", services)?,
            payment: port(self.payments.as_ref(), "payments", services)?,
        })
    }
}

fn port<D: Decider>(
    here: Option<&Transactor<D>>,
    service: &str,
    services: &Services,
) -> Result<Port<D>> {
    let here = here.cloned().map(Port::Here);
    let elsewhere = || services.elsewhere.get(service).cloned().map(Port::Elsewhere);
    here.or_else(elsewhere).with_context(|| format!("nobody is known to answer for {service}"))
}

/// What those who act are run by.
pub(super) struct Acting<'a> {
    pub(super) runner: &'a Runner,
    pub(super) tasks: &'a TaskTracker,
    pub(super) stop: &'a CancellationToken,
    pub(super) pace: &'a Pace,
}

impl Acting<'_> {
    fn start<D: decider::Owes>(&self, saga: Saga<D>, read: &ReadSide) -> DueWatch {
        for follower in &saga.followers {
            self.runner.follow(follower, DueFollower::<D>::GENERATION, read);
        }
        let watch = saga.worker.watch();
        self.tasks.spawn(saga.worker.run(self.stop.clone()));
        watch
    }
}
