//! One fixed workload, with the power cut at every sync boundary of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use thalweg_engine::io::sim::{CrashPoint, Prng, RunError, SimOptions, SimWorld};
use thalweg_engine::log::Durability;

use crate::harness::{NoStart, Server, engine_options};
use crate::oracle::{Oracle, Survival};
use crate::seeds;
use crate::workload::{Clients, Mix};

const SEED: u64 = 7;
const MIX: Mix = Mix { slots: 2, durability: Durability::Disk, unrest: true, pause_us: 2_000 };

/// The workload on a fresh machine, which `point` may end. What the clients know, and whether it was cut short.
fn run(world: &SimWorld, point: Option<CrashPoint>) -> (Rc<RefCell<Oracle>>, bool) {
    let oracle = Rc::new(RefCell::new(Oracle::default()));
    point.into_iter().for_each(|point| world.crash_at(point));
    let server = match Server::try_start(world, &engine_options(1)) {
        Ok(server) => server,
        Err(NoStart::Run(RunError::Crashed { .. })) => return (oracle, true),
        Err(error) => {
            assert!(world.is_dead(), "no start: {error:?}");
            return (oracle, true);
        }
    };
    let clients = Clients::new(&server, &oracle, MIX);
    clients.start(&mut Prng::new(SEED));
    let ended = server.runner.run_for(Duration::from_millis(250));
    assert!(matches!(ended, Ok(()) | Err(RunError::Crashed { .. })));
    (oracle, ended.is_err())
}

fn cut_at(point: CrashPoint) {
    let world = SimWorld::new(SimOptions::new(SEED));
    let (oracle, cut) = run(&world, Some(point));
    assert!(cut, "{point:?} was not reached");
    let server = Server::start(&world.power_loss(), &engine_options(1));
    oracle.borrow_mut().check(&server, |_| Survival::All).unwrap();
}

#[test]
fn power_loss_at_every_sync_boundary_loses_nothing() {
    let world = SimWorld::new(SimOptions::new(SEED));
    let (oracle, _) = run(&world, None);
    assert!(oracle.borrow().appends > 30, "{} appends", oracle.borrow().appends);
    let boundaries = world.syncs_done();
    let name = "crash_points::power_loss_at_every_sync_boundary_loses_nothing";
    seeds::run_exactly(name, 2 * boundaries, |boundary| {
        let n = boundary / 2 + 1;
        cut_at(if boundary % 2 == 0 { CrashPoint::SyncIssued(n) } else { CrashPoint::SyncDone(n) });
    });
}
