//! A shop of which every service runs in processes of its own, on a database of its own, as a user who may do nothing
//! else; and beside them a database in which all of theirs can be looked at together.

use super::front::{Front, Served};
use crate::shop::SERVICES;
use crate::support::{Daybook, World, binary, free_port, http};
use futures_util::future::join_all;
use std::collections::BTreeMap;
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

pub(crate) struct Street {
    /// Of an administrator.
    databases: BTreeMap<&'static str, String>,
    pub(crate) front: Front,
}

impl Street {
    /// Databases in which everything is laid, and nothing runs yet.
    pub(crate) async fn lay(world: &World) -> Self {
        let (server, name) = world.database_url.rsplit_once('/').unwrap();
        let sql = world.sql().await;
        let mut databases = BTreeMap::new();
        for service in SERVICES {
            let own = format!("{name}_{service}");
            sql.batch_execute(&format!("create database {own}")).await.unwrap();
            let only = format!("revoke connect, temporary on database {own} from public");
            sql.batch_execute(&only).await.unwrap();
            databases.insert(service, format!("{server}/{own}"));
        }
        let street = Street { databases, front: Front::open(http()).await };
        let mut migrate = binary();
        migrate.arg("migrate").arg("--data-dir").arg(world.folder.path().join("elsewhere"));
        for (service, url) in &street.databases {
            migrate.args([&format!("--{service}-database-url"), url]);
        }
        let laid = migrate.output().await.unwrap();
        assert!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
        sql.batch_execute("create extension postgres_fdw").await.unwrap();
        for (service, url) in &street.databases {
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
        street
    }

    /// The database of a service as its own user sees it.
    pub(crate) fn url_of(&self, service: &str) -> String {
        as_user(&self.databases[service], &format!("{service}_service"))
    }

    /// A process for each part; returns when all are ready.
    pub(crate) async fn start(&self, world: &World) -> Vec<Daybook> {
        let starting = PARTS.map(|part| self.start_part(world, part, free_port()));
        let started = join_all(starting).await;
        self.show_rows(world).await;
        started
    }

    /// One process, on a port that an earlier one may have had.
    pub(crate) async fn start_part(&self, world: &World, part: Part, port: u16) -> Daybook {
        let daybook = self.spawn_part(world, part, port);
        daybook.is_ready().await;
        daybook
    }

    pub(crate) fn spawn_part(&self, world: &World, part: Part, port: u16) -> Daybook {
        let (service, roles) = part;
        let mut command = binary();
        self.tell(&mut command, part);
        let is = |role: &str| roles.split(',').any(|it| it == role);
        let (commands, queries) = (is("commands"), is("queries"));
        self.front.serve(Served { service, commands, queries, port });
        world.spawn(command, port)
    }

    /// A process of a whole service that is told what a container would be; the names of other containers are put right.
    pub(crate) fn spawn_told(
        &self,
        world: &World,
        service: &'static str,
        told: &[(String, String)],
    ) -> Daybook {
        let port = free_port();
        let mut command = binary();
        for (name, value) in told {
            let mut value = value.clone();
            for (other, url) in &self.databases {
                let (server, database) = url.rsplit_once('/').unwrap();
                let server = server.rsplit(['@', '/']).next().unwrap();
                let here = format!("{server}/{database}");
                value = value.replace(&format!("databases:5432/{other}"), &here);
                value = value.replace(&format!("http://{other}:7400"), &self.front.of(other));
            }
            command.env(name, value);
        }
        self.front.serve(Served { service, commands: true, queries: true, port });
        world.spawn(command, port)
    }

    /// What the process of a part is told of the others.
    fn tell(&self, command: &mut Command, (service, roles): Part) {
        command.env("DAYBOOK_ROLE", roles).env("DAYBOOK_SERVICE", service);
        let own = format!("DAYBOOK_{}_DATABASE_URL", service.to_uppercase());
        command.env(own, self.url_of(service));
        for other in SERVICES.iter().filter(|it| **it != service) {
            let url = format!("DAYBOOK_{}_URL", other.to_uppercase());
            command.env(url, self.front.of(other));
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

    /// Makes what the processes have made of tables visible beside the logs.
    pub(crate) async fn show_rows(&self, world: &World) {
        let sql = world.sql().await;
        for service in SERVICES {
            let again = format!(
                "drop schema {service}_read cascade; create schema {service}_read; \
                 import foreign schema {service}_read from server {service} into {service}_read"
            );
            sql.batch_execute(&again).await.unwrap();
        }
    }
}

/// The same database for another user.
pub(crate) fn as_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}@{host}")
}
