//! The first phase of a reload: the policy files read, judged and tested, and everything made that
//! they ask for. Nothing of the running server changes.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::confinement::Confinement;
use super::current;
use super::listeners::{Bound, Listeners};
use super::server::Shared;
use super::unchangeable::{problem, refusals};
use crate::auth::throttle::Throttle;
use crate::auth::verifier::Verifier;
use crate::config::{Loaded, Problem, Rejected, SERVER_FILE};
use crate::net::advertised::Advertised;
use crate::net::route::Proxies;
use crate::proto::host::ServerName;
use crate::review;
use crate::settings::Config;
use crate::tls::ServerTls;

/// Settings that can be put in force, and what was made for them.
pub(super) struct Prepared {
    pub(super) config: Config,
    pub(super) tls: Arc<ServerTls>,
    pub(super) throttle: Arc<Throttle>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) advertised: Arc<Advertised>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) hashes: Arc<Semaphore>,
    pub(super) names: Arc<[ServerName]>,
    pub(super) bound: Vec<Bound>,
    pub(super) warnings: Vec<Problem>,
    /// How many tests passed.
    pub(super) tests: usize,
}

/// Why there is nothing to put in force.
#[derive(Debug)]
pub(super) enum Refused {
    /// The files have errors.
    Files(Rejected),
    /// They have none, and say what this process cannot do any more; their fingerprint.
    Unchangeable(Arc<str>, Vec<Problem>),
    /// The tests that failed; the fingerprint.
    Tests(Arc<str>, Vec<String>),
}

/// Makes everything ready. Blocks.
pub(super) fn prepare(shared: &Shared, confinement: &Confinement, listeners: &Listeners) -> Result<Prepared, Refused> {
    let before = shared.config();
    let Loaded { config, warnings } = before.load_again().map_err(Refused::Files)?;
    let fingerprint = || Arc::clone(&config.fingerprint);
    let unfit = |problems| Refused::Files(Rejected { fingerprint: Some(fingerprint()), problems });
    let tested = review::test(&config).map_err(unfit)?.unwrap_or_default();
    if !tested.failed.is_empty() {
        let failed = tested.failed.iter().map(ToString::to_string).collect();
        return Err(Refused::Tests(fingerprint(), failed));
    }
    let mut problems = refusals(&before, &config, confinement);
    let mut refuse =
        |message: String, help: &str| problems.push(problem(&config.directory, SERVER_FILE, message, help));
    let in_force = shared.current.get(Clone::clone);
    let keeps = before.tls == config.tls && !config.can_read_identities();
    let tls = if keeps { Ok(Arc::clone(&in_force.tls)) } else { in_force.tls.successor(&config.tls).map(Arc::new) };
    let tls = tls.map_err(|error| refuse(error.to_string(), "the server goes on with the certificates that it has"));
    let verifier = if before.passwords.checks_parallel == config.passwords.checks_parallel
        && super::expense(&before) == super::expense(&config)
    {
        Ok(Arc::clone(&in_force.verifier))
    } else {
        let made = super::verifier(&config).map(Arc::new);
        made.map_err(|error| refuse(format!("password checks cannot be prepared: {error}"), "see [passwords]"))
    };
    let bound = listeners.bind_missing(&config.listen, |address| confinement.forbids(address)).map_err(|faults| {
        for fault in faults {
            refuse(fault, "see [listen]");
        }
    });
    let (Ok(tls), Ok(verifier), Ok(bound), true) = (tls, verifier, bound, problems.is_empty()) else {
        return Err(Refused::Unchangeable(fingerprint(), problems));
    };
    let throttle = if in_force.throttle.has_settings(&config.login) {
        in_force.throttle
    } else {
        Arc::new(in_force.throttle.with_settings(&config.login))
    };
    let hashes = if before.limits.hashes_parallel == config.limits.hashes_parallel {
        in_force.hashes
    } else {
        Arc::new(Semaphore::new(config.limits.hashes_parallel))
    };
    Ok(Prepared {
        tls,
        throttle,
        verifier,
        hashes,
        advertised: in_force.advertised.with_settings(&config.passive),
        proxies: Arc::new(Proxies::new(&config.listen.proxies)),
        names: current::names(&config),
        bound,
        warnings,
        tests: tested.passed,
        config,
    })
}
