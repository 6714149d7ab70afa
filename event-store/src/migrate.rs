use crate::failpoint::failpoint;
use crate::{Database, StoreError};
use refinery::{Migration, Runner};
use tokio_postgres::Client;

type Steps = [(&'static str, &'static str)];

/// Of the schema `<service>`.
const LOG: [(&str, &str); 3] = [
    ("V1__log", include_str!("../migrations/log.sql")),
    ("V2__append", include_str!("../migrations/append.sql")),
    ("V3__append_one", include_str!("../migrations/append_one.sql")),
];

/// Of the schema `<service>_read`.
const READ: [(&str, &str); 5] = [
    ("V1__read", include_str!("../migrations/read.sql")),
    ("V2__parked", include_str!("../migrations/parked.sql")),
    ("V3__put_off", include_str!("../migrations/put_off.sql")),
    ("V4__snapshot", include_str!("../migrations/snapshot.sql")),
    ("V5__ended", include_str!("../migrations/ended.sql")),
];

/// Lays or updates everything a service needs in its database: the schemas `<service>` and
/// `<service>_read`, the role `<service>_service`, tables and functions. Safe to call from several
/// processes at once and at every start.
///
/// # Errors
/// If the name cannot name a service, the database is out of reach or refuses, or the log was laid
/// with another number of partitions.
pub async fn migrate(admin: &Database, service: &str, partitions: u32) -> Result<(), StoreError> {
    check_name(service)?;
    let mut client = admin.leased().connect("daybook migrate").await?;
    // One migration at a time in a database; the lock goes with the session. Nobody needs to keep it: between two
    // statements there is nothing to wait for.
    client.execute("select pg_advisory_lock(hashtext('daybook migrate'))", &[]).await?;
    let fill = |sql: &str| {
        sql.replace("{service}", service).replace("{partitions}", &partitions.to_string())
    };
    client.batch_execute(&fill(include_str!("../migrations/role.sql"))).await?;
    run(&mut client, service, service, &LOG, &fill).await?;
    client.batch_execute(&fill(include_str!("../migrations/partitions.sql"))).await?;
    failpoint("migrate-between-schemas");
    client.batch_execute(&format!("set role {service}_service")).await?;
    run(&mut client, service, &format!("{service}_read"), &READ, &fill).await?;
    client.batch_execute("reset role").await?;
    check_partitions(&client, service, partitions).await
}

/// The same, as a login that may do that; any other one finds what somebody else has laid, or an error.
///
/// # Errors
/// Those of [`migrate`], and [`StoreError::NotLaid`].
pub async fn lay(login: &Database, service: &str, partitions: u32) -> Result<(), StoreError> {
    check_name(service)?;
    let client = login.connect("daybook migrate").await?;
    let may_lay = client.query_one(include_str!("../migrations/may_lay.sql"), &[]).await?;
    if may_lay.try_get(0)? {
        return migrate(login, service, partitions).await;
    }
    for (schema, steps) in
        [(service.to_owned(), LOG.len()), (format!("{service}_read"), READ.len())]
    {
        let table = format!("{schema}.migration");
        let sql = "select to_regclass($1) is not null";
        let is_there: bool = client.query_one(sql, &[&table]).await?.try_get(0)?;
        let laid: i64 = if is_there {
            let sql = format!("select count(*) from {table}");
            client.query_one(&sql, &[]).await?.try_get(0)?
        } else {
            0
        };
        if usize::try_from(laid).is_ok_and(|laid| laid < steps) {
            return Err(StoreError::NotLaid(service.to_owned()));
        }
    }
    Ok(())
}

/// Opens the next epoch of every partition of a log by hand: after a disk was restored from a copy, which
/// no writer can notice. Offsets that are given out from here on are other ones than those before.
///
/// # Errors
/// If the name cannot name a service, or the database is out of reach or refuses.
pub async fn open_epoch(admin: &Database, service: &str) -> Result<(), StoreError> {
    check_name(service)?;
    let client = admin.connect("daybook new-epoch").await?;
    client.execute(&format!("select {service}.open_epoch(true)"), &[]).await?;
    Ok(())
}

async fn run(
    client: &mut Client,
    service: &str,
    schema: &str,
    steps: &Steps,
    fill: &impl Fn(&str) -> String,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::Migration { service: service.to_owned(), source };
    let migrations = steps
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, &fill(sql)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let mut runner = Runner::new(&migrations).set_grouped(false);
    runner.set_migration_table_name(format!("{schema}.migration"));
    runner.run_async(client).await.map_err(failed)?;
    Ok(())
}

fn check_name(service: &str) -> Result<(), StoreError> {
    let mut letters = service.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if first && rest && service.len() <= 30 {
        Ok(())
    } else {
        Err(StoreError::ServiceName(service.to_owned()))
    }
}

/// The number of partitions is fixed for a log's life: another one would send streams elsewhere.
pub(crate) async fn check_partitions(
    client: &Client,
    service: &str,
    partitions: u32,
) -> Result<(), StoreError> {
    let sql = format!("select count(*) from {service}.log_partition");
    let stored: i64 = client.query_one(&sql, &[]).await?.get(0);
    if stored == i64::from(partitions) {
        return Ok(());
    }
    Err(StoreError::Partitions { service: service.to_owned(), stored, configured: partitions })
}
