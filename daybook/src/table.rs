//! The one table of routes, in its parts. What a process answers is made of it and of nothing else; the documents describe
//! it, limits name its rows, and the tests walk it.

use command_api::{Batch, CommandApi};
use edge::{Access, Health, Routes, Row};
use projections::Queries;

use crate::{contracts, problems};

pub struct Table {
    pub commands: Routes<CommandApi>,
    pub many: Routes<Batch>,
    pub queries: Routes<Queries>,
    pub health: Routes<Health>,
    pub access: Routes<Access>,
    pub problems: Routes<()>,
    pub contracts: Routes<()>,
}

impl Table {
    /// Of a process whose callers are asked who they are, or are not asked: the routes are the same.
    #[must_use]
    pub fn new(are_asked: bool) -> Self {
        Table {
            commands: command_api::routes(),
            many: command_api::many(),
            queries: projections::routes(),
            health: edge::health::routes(),
            access: edge::access::routes(),
            problems: problems::routes(),
            contracts: contracts::routes(are_asked),
        }
    }

    /// Every row of every part.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        // A part that is new does not compile before it is named here.
        let Table { commands, many, queries, health, access, problems, contracts } = self;
        let of_callers = commands.rows().chain(many.rows()).chain(queries.rows());
        let of_all = health.rows().chain(access.rows()).chain(problems.rows());
        of_callers.chain(of_all).chain(contracts.rows()).cloned().collect()
    }
}
