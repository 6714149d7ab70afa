//! Which read models a command is about.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use projections::Projection;
use serde_json::json;

use super::super::reach::Reached;

/// Which read models are meant.
#[derive(Debug, Args)]
pub(in crate::cli) struct Which {
    /// Which read models
    #[arg(value_name = "PROJECTION", value_parser = PossibleValuesParser::new(names()))]
    projections: Vec<String>,
    /// Every read model of the services that are here, one after the other
    #[arg(long, conflicts_with = "projections")]
    all: bool,
}

pub(in crate::cli) fn names() -> Vec<&'static str> {
    projections::all().iter().map(|projection| projection.layout().name).collect()
}

impl Which {
    /// Those that are asked for. Nothing need be started to refuse who asks for none.
    pub(in crate::cli) fn asked(&self) -> Result<Vec<Arc<dyn Projection>>> {
        if self.projections.is_empty() && !self.all {
            bail!("say which read models, or --all; there are {}", names().join(", "));
        }
        let wanted = |p: &Arc<dyn Projection>| {
            self.all || self.projections.iter().any(|name| name == p.layout().name)
        };
        Ok(projections::all().into_iter().filter(wanted).collect())
    }

    /// Those of the services that are here. Of all, the others are named and left out; whoever names one himself is told
    /// before anything is begun that it is not here.
    pub(in crate::cli) fn here(
        &self,
        asked: Vec<Arc<dyn Projection>>,
        reached: &Reached,
        json: bool,
    ) -> Result<Vec<Arc<dyn Projection>>> {
        let is_here = |p: &Arc<dyn Projection>| reached.databases.contains_key(p.layout().service);
        let (here, elsewhere): (Vec<_>, Vec<_>) = asked.into_iter().partition(is_here);
        let named: Vec<_> = elsewhere
            .iter()
            .map(|it| format!("`{}` of {}", it.layout().name, it.layout().service))
            .collect();
        if !named.is_empty() && (!self.all || here.is_empty()) {
            bail!("not here, for this is about other services (`service`): {}", named.join(", "));
        }
        if json {
            for it in &elsewhere {
                let (name, service) = (it.layout().name, it.layout().service);
                let why = format!("{service} is not here");
                println!("{}", json!({"projection": name, "left_out": why}));
            }
        } else if !named.is_empty() {
            eprintln!("daybook: left out, for their services are not here: {}", named.join(", "));
        }
        Ok(here)
    }
}
