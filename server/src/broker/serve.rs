//! From a configuration to a running server, and to its end.
//!
//! ```text
//! engine recovers -> metadata -> meta.properties -> listeners -> (serving) -> stop request
//!                 -> connections drained, on all shards -> storage shut down, on all shards -> end
//! ```
//! The first shard leads; the others serve until it tells them that they are done.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use thalweg_engine::error::{IoFailure, StartError};
use thalweg_engine::format::meta_properties;
use thalweg_engine::id::ShardId;
use thalweg_engine::runtime::{self, EngineOptions};
use thalweg_engine::volume::replace_file;

use super::host_name;
use super::identity::Identity;
use super::signal::StopRequest;
use crate::config::{BrokerConfig, Listener};
use crate::connection::ListenError;
use crate::group;
use crate::metadata::{
    self, BrokerInfo, CONTROLLER_SHARD, Endpoint, Metadata, MetadataImage, MetadataStart, MetadataStartError,
};
use crate::shard::ServerShard;

/// Why the server could not serve, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Engine(#[from] StartError),
    #[error("meta.properties cannot be written: {0}")]
    Identity(#[from] IoFailure),
    #[error(transparent)]
    Metadata(#[from] MetadataStartError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What is acknowledged is in the journal, and will be recovered.
    #[error("the shutdown was not clean, so the next start recovers: {0}")]
    Shutdown(String),
}

/// Serves until `stop` is requested, and ends in good order.
///
/// # Errors
/// [`ServeError`].
pub fn serve(config: BrokerConfig, identity: Identity, stop: StopRequest) -> Result<(), ServeError> {
    let options = engine_options(&config, &identity.dirs);
    let broker = BrokerInfo {
        id: identity.broker_id,
        cluster_id: identity.cluster_id.clone(),
        rack: config.rack.clone(),
        endpoints: Vec::new(),
    };
    let config = Arc::new(config);
    let metadata = Arc::new(Metadata::new(MetadataImage::new(broker, Arc::clone(&config))));
    let failure: Arc<Mutex<Option<ServeError>>> = Arc::default();
    let seen = Arc::clone(&failure);
    let shard = move |context| ServerShard::new(context, Arc::clone(&config), Arc::clone(&metadata));
    let main = async move |shard: Rc<ServerShard>| {
        if shard.id != CONTROLLER_SHARD {
            return shard.ended.wait().await;
        }
        if let Err(error) = lead(&shard, &identity, &stop).await {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    };
    runtime::run(options, shard, |shard, mesh| shard.attach(mesh), main)?;
    let failure = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    failure.map_or(Ok(()), Err)
}

fn engine_options(config: &BrokerConfig, dirs: &[PathBuf]) -> EngineOptions {
    EngineOptions {
        dirs: dirs.to_vec(),
        shards: config.shards,
        journal_bytes_max: config.journal_bytes,
        cache_bytes: config.cache_bytes,
        idle_poll: config.idle_poll,
        default_log_options: (*config.topic_defaults.log).clone(),
        retention_check_interval: config.retention_check_interval,
        cleaner: config.cleaner.clone(),
    }
}

/// The first shard's part. Whatever happens, the storage of every shard is shut down, and every shard ends.
async fn lead(shard: &Rc<ServerShard>, identity: &Identity, stop: &StopRequest) -> Result<(), ServeError> {
    let served = serve_until(shard, identity, stop).await;
    let ended = end(shard).await;
    served.and(ended)
}

async fn serve_until(
    shard: &Rc<ServerShard>,
    identity: &Identity,
    stop: &StopRequest,
) -> Result<(), ServeError> {
    let found = metadata::start(shard, &identity.strangers()).await?;
    // Not before: a disk that is not mounted must look like one at the next start, too.
    for (path, properties) in &identity.missing {
        replace_file(&shard.io, path, Bytes::from(meta_properties::encode(properties))).await?;
    }
    on_all_shards(shard, |there| async move {
        there.storage.maintain();
        group::start(&there);
    })
    .await;
    let bound = shard.listen()?;
    // Between binding and here nothing was awaited, so nobody has been accepted yet.
    shard.metadata.advertise(endpoints(&shard.config.listeners, &bound));
    announce(shard, &bound, found);
    let reason = stop.requested().await;
    tracing::info!("[KafkaServer id={}] shutting down ({reason})", identity.broker_id);
    Ok(())
}

/// What clients are told for each listener, now that every port is known.
fn endpoints(listeners: &[Listener], bound: &[SocketAddr]) -> Vec<Endpoint> {
    let nameless = |listener: &Listener| matches!(listener.advertised, Some((None, _)));
    let own_name = if listeners.iter().any(nameless) { host_name::canonical() } else { String::new() };
    let endpoint = |(listener, bound): (&Listener, &SocketAddr)| match &listener.advertised {
        Some((host, port)) => Endpoint {
            host: host.clone().unwrap_or_else(|| own_name.clone()),
            port: if *port == 0 { bound.port() } else { *port },
        },
        None => Endpoint { host: String::new(), port: 0 },
    };
    listeners.iter().zip(bound).map(endpoint).collect()
}

/// One summary of the start.
fn announce(shard: &ServerShard, bound: &[SocketAddr], found: MetadataStart) {
    let image = shard.metadata.image();
    let config = &shard.config;
    for ((listener, bound), endpoint) in config.listeners.iter().zip(bound).zip(&image.broker.endpoints) {
        match image.broker.endpoints.is_empty() || endpoint.host.is_empty() {
            true => tracing::info!("Listening on {}://{bound}, not advertised", listener.name),
            false => {
                tracing::info!(
                    "Listening on {}://{bound}, advertised as {}:{}",
                    listener.name,
                    endpoint.host,
                    endpoint.port
                );
            }
        }
    }
    let dirs: Vec<_> = config.log_dirs.iter().map(|dir| dir.display().to_string()).collect();
    let MetadataStart { topics, partitions, created, removed } = found;
    tracing::info!(
        "[KafkaServer id={}] started: cluster {}, {} shards, log.dirs {}, {topics} topics with {partitions} partitions \
         ({created} logs created, {removed} removed), durability {:?}",
        image.broker.id,
        image.broker.cluster_id,
        shard.shards,
        dirs.join(","),
        config.topic_defaults.log.durability,
    );
}

/// Ends every shard: first the connections of all, then the storage of all, so that no shard waits for one that is gone.
async fn end(shard: &Rc<ServerShard>) -> Result<(), ServeError> {
    let started = shard.io.now();
    on_all_shards(shard, |there| async move { there.connections.shutdown(&there).await }).await;
    let closed = on_all_shards(shard, |there| async move {
        there.storage.shutdown().await.map_err(|error| format!("shard {}: {error}", there.id.0))
    })
    .await;
    on_all_shards(shard, |there| async move { there.ended.set() }).await;
    let failures: Vec<String> = closed.into_iter().filter_map(Result::err).collect();
    let took: Duration = shard.io.now().since(started);
    if failures.is_empty() {
        tracing::info!(
            "[KafkaServer id={}] shut down completed in {took:?}",
            shard.metadata.image().broker.id
        );
        return Ok(());
    }
    Err(ServeError::Shutdown(failures.join("; ")))
}

/// Runs `work` on every shard, at the same time. What they return, in their order; a shard that is gone returns nothing.
async fn on_all_shards<R, Fut>(
    shard: &Rc<ServerShard>,
    work: impl Fn(Rc<ServerShard>) -> Fut + Clone + Send + 'static,
) -> Vec<R>
where
    R: Send + 'static,
    Fut: Future<Output = R> + 'static,
{
    let call = |home| {
        let (mesh, work) = (shard.mesh().clone(), work.clone());
        shard.io.spawn("all shards", async move { mesh.call(home, work).await })
    };
    let calls: Vec<_> = (0..shard.shards).map(ShardId).map(call).collect();
    let mut results = Vec::new();
    for call in calls {
        results.extend(call.await.ok());
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    #[test]
    fn advertised_addresses_fall_back_to_the_host_and_the_bound_port() {
        let settings = [
            ("listeners", "A://127.0.0.1:0,B://127.0.0.1:9,C://:8"),
            ("advertised.listeners", "A://a.example:0,C://:8"),
            ("listener.security.protocol.map", "A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT"),
            ("inter.broker.listener.name", "A"),
        ];
        let config = resolve(settings.into_iter().collect(), 1).unwrap().0;
        let bound: Vec<SocketAddr> = ["127.0.0.1:4321", "127.0.0.1:9", "127.0.0.1:8"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let endpoints = endpoints(&config.listeners, &bound);
        assert_eq!(endpoints[0], Endpoint { host: "a.example".into(), port: 4321 });
        assert_eq!(endpoints[1], Endpoint { host: String::new(), port: 0 });
        assert_eq!(endpoints[2], Endpoint { host: host_name::canonical(), port: 8 });
    }
}
