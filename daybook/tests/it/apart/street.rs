//! A shop of which every service runs in processes of its own, on a database of its own, as a user who may do nothing
//! else; and beside them a database in which all of theirs can be looked at together.

use super::front::{Front, Served};
use super::guard::Guard;
use super::names;
use super::shape::Shape;
use crate::gateway::{EVERYBODY, Gateway};
use crate::shop::SERVICES;
use crate::support::{Daybook, World, binary, free_port, http};
use event_store::Database;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::process::Command;

/// What runs in one process.
pub(crate) type Part = (&'static str, &'static str);

/// Some services in one process each, of others the roles in several.
pub(crate) const PARTS: [Part; 7] = [
    ("catalogue", "commands,relay,sagas,queries"),
    ("orders", "commands,relay"),
    ("orders", "queries"),
    ("inventory", "commands,relay,sagas,queries"),
    ("payments", "commands,relay,queries"),
    ("payments", "sagas"),
    ("checkout", "commands,relay,sagas,queries"),
];

/// Who asks, whom, and where he finds him.
pub(crate) type Way = (Part, &'static str, String);

/// Where a service takes commands and shows its log, among the ports of [`PARTS`].
pub(super) fn port_of(service: &str, ports: &[u16]) -> u16 {
    let is_it = |part: &Part| part.0 == service && takes_commands(part);
    ports[PARTS.iter().position(is_it).unwrap()]
}

pub(crate) struct Street {
    shape: Shape,
    /// Of an administrator.
    databases: BTreeMap<&'static str, String>,
    pub(crate) front: Front,
    guard: Option<Guard>,
    gateway: Option<Gateway>,
    /// Where each part is found without our front.
    ports: [u16; PARTS.len()],
}

impl Street {
    /// Databases in which everything is laid, and nothing runs yet. Some services have a server of their own.
    pub(crate) async fn lay(world: &World, shape: Shape, servers: &[(&str, String)]) -> Self {
        let (_, name) = world.database_url.rsplit_once('/').unwrap();
        let mut databases = BTreeMap::new();
        for service in SERVICES {
            let server = servers.iter().find(|(of, _)| *of == service);
            let server = server.map_or(&world.database_url, |(_, url)| url);
            let admin = Database::parse(server).unwrap().connect("tests").await.unwrap();
            let own = format!("{name}_{service}");
            admin.batch_execute(&format!("create database {own}")).await.unwrap();
            let only = format!("revoke connect, temporary on database {own} from public");
            admin.batch_execute(&only).await.unwrap();
            let (server, _) = server.rsplit_once('/').unwrap();
            databases.insert(service, format!("{server}/{own}"));
        }
        let guard = shape.is_guarded().then(|| Guard::new(world.folder.path()));
        let (scheme, http) = guard.as_ref().map_or(("http", http()), |it| ("https", it.nobody()));
        let front = Front::open(scheme, http).await;
        let ports = PARTS.map(|_| free_port());
        let mut street = Street { shape, databases, front, guard, gateway: None, ports };
        if shape == Shape::Gateway {
            street.gateway = Some(street.open_gateway().await);
        }
        let mut migrate = binary();
        migrate.arg("migrate").arg("--data-dir").arg(world.folder.path().join("elsewhere"));
        for (service, url) in &street.databases {
            migrate.args([&format!("--{service}-database-url"), url]);
        }
        let laid = migrate.output().await.unwrap();
        assert!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
        show_logs(world, &street.databases).await;
        street
    }

    /// The database of a service as its own user sees it.
    pub(crate) fn url_of(&self, service: &str) -> String {
        as_user(&self.databases[service], &format!("{service}_service"))
    }

    pub(crate) fn guard(&self) -> &Guard {
        self.guard.as_ref().expect("a shape that is guarded")
    }

    /// The whole shop, ready, and somebody who may do what the flows do.
    pub(crate) async fn open(&self, world: &World) -> Daybook {
        let parts = self.start(world).await;
        let url = match &self.gateway {
            Some(gateway) => {
                gateway.finds_its_servers().await;
                &gateway.url
            }
            None => &self.front.url,
        };
        let mut shop = Daybook::in_parts(parts, url);
        if let Some(guard) = &self.guard {
            shop.http = guard.hand();
        }
        shop
    }

    /// A process for each part, at each address; returns when all are ready.
    pub(crate) async fn start(&self, world: &World) -> Vec<Daybook> {
        // Where nobody is told of it, each that comes later has a place of its own.
        let parts = self.shape.parts();
        let ports: Vec<u16> = match self.shape {
            Shape::Apart | Shape::EachRole => parts.iter().map(|_| free_port()).collect(),
            Shape::Guarded | Shape::Gateway => self.ports.into(),
        };
        let at = |host: &Ipv4Addr| {
            let of_part = |(part, port): (&Part, &u16)| {
                self.spawn_at(world, *part, (*host, *port).into(), &[])
            };
            parts.iter().zip(&ports).map(of_part).collect::<Vec<_>>()
        };
        let started: Vec<_> = self.shape.hosts().iter().flat_map(at).collect();
        join_all(started.iter().map(Daybook::is_ready)).await;
        show_rows(world).await;
        started
    }

    /// A process for each part on a port that a later one may have again; returns when all are ready.
    pub(crate) async fn start_on(&self, world: &World, ports: &[u16]) -> Vec<Daybook> {
        self.start_by_ways(world, ports, &[]).await
    }

    /// The same where some parts come to a service by another way than the rest does.
    pub(crate) async fn start_by_ways(
        &self,
        world: &World,
        ports: &[u16],
        ways: &[Way],
    ) -> Vec<Daybook> {
        let started = PARTS.iter().zip(ports).map(|(part, port)| {
            let of_it = ways.iter().filter(|(asks, ..)| asks == part);
            let elsewhere: Vec<_> = of_it.map(|(_, asked, url)| (*asked, url.clone())).collect();
            self.spawn_besides(world, *part, *port, &elsewhere)
        });
        let started: Vec<_> = started.collect();
        join_all(started.iter().map(Daybook::is_ready)).await;
        show_rows(world).await;
        started
    }

    /// One process, on a port that an earlier one may have had.
    pub(crate) async fn start_part(&self, world: &World, part: Part, port: u16) -> Daybook {
        let daybook = self.spawn_besides(world, part, port, &[]);
        daybook.is_ready().await;
        daybook
    }

    /// One process that finds other services elsewhere than the rest does.
    fn spawn_besides(
        &self,
        world: &World,
        part: Part,
        port: u16,
        elsewhere: &[(&str, String)],
    ) -> Daybook {
        self.spawn_at(world, part, (Ipv4Addr::LOCALHOST, port).into(), elsewhere)
    }

    fn spawn_at(
        &self,
        world: &World,
        part: Part,
        at: SocketAddr,
        elsewhere: &[(&str, String)],
    ) -> Daybook {
        let (service, roles) = part;
        let mut command = binary();
        self.tell(&mut command, part);
        for (other, url) in elsewhere {
            command.env(format!("DAYBOOK_{}_URL", other.to_uppercase()), url);
        }
        let (commands, queries) = (does(roles, "commands"), does(roles, "queries"));
        self.front.serve(Served { service, commands, queries, port: at.port() });
        let mut daybook = world.spawn_at(command, at);
        if let Some(guard) = &self.guard {
            (daybook.url, daybook.http) = (format!("https://{at}"), guard.nobody());
        }
        daybook
    }

    /// A gateway that knows every process by the name of its service.
    async fn open_gateway(&self) -> Gateway {
        let names = names::lead_to(self.shape.hosts()).await;
        let mut told = self.guard().tells_gateway().to_vec();
        let mut tell = |name: &str, value: &str| told.push((name.to_owned(), value.to_owned()));
        tell("GATEWAY_NAMESERVER", &names.to_string());
        // To it the services and all callers are one client here.
        tell("GATEWAY_REQUESTS_10S", "1000000");
        tell("GATEWAY_CONNECTIONS", "5000");
        for ((service, roles), port) in PARTS.iter().zip(self.ports) {
            for role in ["commands", "queries"].into_iter().filter(|role| does(roles, role)) {
                let name = format!("{service}_{role}").to_uppercase();
                tell(&name, &format!("{service}:{port}"));
            }
        }
        Gateway::open(EVERYBODY, &told)
    }

    /// Where other services find one.
    pub(crate) fn address_of(&self, service: &str) -> String {
        let port = port_of(service, &self.ports);
        match (self.shape, &self.gateway) {
            (Shape::Apart | Shape::EachRole, _) => self.front.of(service),
            (_, Some(gateway)) => format!("{}/at/{service}", gateway.url),
            (_, None) => format!("https://127.0.0.1:{port}"),
        }
    }

    /// What the process of a part is told of the others.
    fn tell(&self, command: &mut Command, (service, roles): Part) {
        command.env("DAYBOOK_ROLE", roles).env("DAYBOOK_SERVICE", service);
        let own = format!("DAYBOOK_{}_DATABASE_URL", service.to_uppercase());
        command.env(own, self.url_of(service));
        for other in SERVICES.iter().filter(|it| **it != service) {
            let url = format!("DAYBOOK_{}_URL", other.to_uppercase());
            command.env(url, self.address_of(other));
        }
        if let Some(guard) = &self.guard {
            guard.tell(command, service);
        }
    }

    /// Another command of the program, as `dues list`, for one service.
    pub(crate) fn command(&self, world: &World, name: &str, service: &str) -> Command {
        let mut command = binary();
        command.args(name.split(' ')).args(["--service", service]);
        command.args([&format!("--{service}-database-url"), &self.url_of(service)]);
        command.arg("--data-dir").arg(world.folder.path().join("elsewhere"));
        command
    }
}

/// Makes the logs of all services visible in one database, each by an administrator of its own.
pub(super) async fn show_logs(world: &World, databases: &BTreeMap<&'static str, String>) {
    let sql = world.sql().await;
    sql.batch_execute("create extension postgres_fdw").await.unwrap();
    for (service, url) in databases {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let port = config.get_ports()[0];
        let (database, user) = (config.get_dbname().unwrap(), config.get_user().unwrap());
        let link = format!(
            "create server {service} foreign data wrapper postgres_fdw \
               options (host '127.0.0.1', port '{port}', dbname '{database}'); \
             create user mapping for current_user server {service} options (user '{user}'); \
             create schema {service}; create schema {service}_read; \
             import foreign schema {service} from server {service} into {service}"
        );
        sql.batch_execute(&link).await.unwrap();
    }
}

/// Makes what the processes have made of tables visible beside the logs.
pub(super) async fn show_rows(world: &World) {
    let sql = world.sql().await;
    for service in SERVICES {
        let again = format!(
            "drop schema {service}_read cascade; create schema {service}_read; \
             import foreign schema {service}_read from server {service} into {service}_read"
        );
        sql.batch_execute(&again).await.unwrap();
    }
}

/// Whether it is one of these roles.
fn does(roles: &str, role: &str) -> bool {
    roles.split(',').any(|it| it == role)
}

/// Whether others ask it, and read its log from it.
pub(super) fn takes_commands((_, roles): &Part) -> bool {
    does(roles, "commands")
}

/// The same database for another user.
pub(crate) fn as_user(url: &str, user: &str) -> String {
    let (scheme, place) = place(url);
    format!("{scheme}://{user}@{place}")
}

/// The scheme of a database's URL, and what stands behind its user.
fn place(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap();
    (scheme, rest.split_once('@').map_or(rest, |(_, place)| place))
}
