//! Keys of Apache Kafka 3.2.0 that are known and have no effect here, with what happens instead.
//!
//! They are read and checked as Kafka does, so that a wrong value is still noticed; setting one is answered with a
//! warning. When a feature arrives, its keys move to the other table.

use super::key::{Check, Key, Kind};

const TLS: &str = "No effect: there is no TLS or SASL in this version, connections are plain and anonymous.";
const AUTHORIZER: &str =
    "No effect: there is no authorization in this version, every client may do everything.";
const ZOOKEEPER: &str = "No effect: metadata is embedded in this version, no ZooKeeper is contacted.";
const QUORUM: &str = "No effect: this is one broker with embedded metadata, which is its own controller.";
const REPLICATION: &str = "No effect: this is one broker, nothing is replicated.";
const QUOTAS: &str = "No effect: there are no quotas in this version.";
const COMMITS: &str = "No effect: a commit is answered when it is on stable storage, or cannot be.";
const LOADING: &str = "No effect: the offsets topic is read in steps of a fixed size.";
const OFFSETS_CODEC: &str = "No effect: committed offsets are stored uncompressed; compressed ones are read.";
const TRANSACTIONS: &str = "No effect: there are no transactions in this version.";
const CLEANER: &str = "No effect: every shard cleans its own logs, through buffers of a fixed size.";
const METRICS: &str = "No effect: there are no metrics reporters in this version.";
const TIERED: &str = "No effect: there is no tiered storage.";
const PURGATORY: &str = "No effect: a waiting request is forgotten when it ends, there is nothing to purge.";
const POLICIES: &str = "No effect: policies are Java classes, which this server cannot load.";
const THREADS: &str = "No effect: the shards do this work (num.shards).";
const REQUESTS: &str =
    "No effect: requests are bounded by their bytes (queued.max.request.bytes), and on each connection.";
const FORMAT: &str = "No effect: record batches are of magic 2, and are never converted.";
const CHECKPOINTS: &str = "No effect: checkpoints are written as journal space is needed.";

/// By name. `doc` is the effect.
pub static UNSUPPORTED_KEYS: &[Key] = &[
    Key::new("alter.config.policy.class.name", Kind::Class, None, POLICIES),
    Key::new("alter.log.dirs.replication.quota.window.num", Kind::Int, Some("11"), REPLICATION)
        .check(Check::Min(1)),
    Key::new("alter.log.dirs.replication.quota.window.size.seconds", Kind::Int, Some("1"), REPLICATION)
        .check(Check::Min(1)),
    Key::new("authorizer.class.name", Kind::String, Some(""), AUTHORIZER),
    Key::new("auto.leader.rebalance.enable", Kind::Boolean, Some("true"), REPLICATION),
    Key::new("background.threads", Kind::Int, Some("10"), THREADS).check(Check::Min(1)),
    Key::new("broker.heartbeat.interval.ms", Kind::Int, Some("2000"), QUORUM),
    Key::new("broker.session.timeout.ms", Kind::Int, Some("9000"), QUORUM),
    Key::new("client.quota.callback.class", Kind::Class, None, QUOTAS),
    Key::new("connection.failed.authentication.delay.ms", Kind::Int, Some("100"), TLS).check(Check::Min(0)),
    Key::new("connections.max.reauth.ms", Kind::Long, Some("0"), TLS),
    Key::new("control.plane.listener.name", Kind::String, None, QUORUM),
    Key::new("controlled.shutdown.enable", Kind::Boolean, Some("true"), REPLICATION),
    Key::new("controlled.shutdown.max.retries", Kind::Int, Some("3"), REPLICATION),
    Key::new("controlled.shutdown.retry.backoff.ms", Kind::Long, Some("5000"), REPLICATION),
    Key::new("controller.listener.names", Kind::String, None, QUORUM),
    Key::new("controller.quorum.append.linger.ms", Kind::Int, Some("25"), QUORUM),
    Key::new("controller.quorum.election.backoff.max.ms", Kind::Int, Some("1000"), QUORUM),
    Key::new("controller.quorum.election.timeout.ms", Kind::Int, Some("1000"), QUORUM),
    Key::new("controller.quorum.fetch.timeout.ms", Kind::Int, Some("2000"), QUORUM),
    Key::new("controller.quorum.request.timeout.ms", Kind::Int, Some("2000"), QUORUM),
    Key::new("controller.quorum.retry.backoff.ms", Kind::Int, Some("20"), QUORUM),
    Key::new("controller.quorum.voters", Kind::List, Some(""), QUORUM),
    Key::new("controller.quota.window.num", Kind::Int, Some("11"), QUORUM).check(Check::Min(1)),
    Key::new("controller.quota.window.size.seconds", Kind::Int, Some("1"), QUORUM).check(Check::Min(1)),
    Key::new("controller.socket.timeout.ms", Kind::Int, Some("30000"), QUORUM),
    Key::new("create.topic.policy.class.name", Kind::Class, None, POLICIES),
    Key::new("delegation.token.expiry.check.interval.ms", Kind::Long, Some("3600000"), TLS)
        .check(Check::Min(1)),
    Key::new("delegation.token.expiry.time.ms", Kind::Long, Some("86400000"), TLS).check(Check::Min(1)),
    Key::new("delegation.token.master.key", Kind::Password, None, TLS),
    Key::new("delegation.token.max.lifetime.ms", Kind::Long, Some("604800000"), TLS).check(Check::Min(1)),
    Key::new("delegation.token.secret.key", Kind::Password, None, TLS),
    Key::new("delete.records.purgatory.purge.interval.requests", Kind::Int, Some("1"), PURGATORY),
    Key::new("fetch.purgatory.purge.interval.requests", Kind::Int, Some("1000"), PURGATORY),
    Key::new("initial.broker.registration.timeout.ms", Kind::Int, Some("60000"), QUORUM),
    Key::new("inter.broker.protocol.version", Kind::String, Some("3.2-IV0"), REPLICATION)
        .check(Check::KafkaVersion),
    Key::new("kafka.metrics.polling.interval.secs", Kind::Int, Some("10"), METRICS).check(Check::Min(1)),
    Key::new("kafka.metrics.reporters", Kind::List, Some(""), METRICS),
    Key::new("leader.imbalance.check.interval.seconds", Kind::Long, Some("300"), REPLICATION)
        .check(Check::Min(1)),
    Key::new("leader.imbalance.per.broker.percentage", Kind::Int, Some("10"), REPLICATION),
    Key::new("log.cleaner.io.buffer.size", Kind::Int, Some("524288"), CLEANER).check(Check::Min(0)),
    Key::new("log.cleaner.threads", Kind::Int, Some("1"), CLEANER).check(Check::Min(0)),
    Key::new("log.flush.offset.checkpoint.interval.ms", Kind::Int, Some("60000"), CHECKPOINTS)
        .check(Check::Min(0)),
    Key::new("log.flush.start.offset.checkpoint.interval.ms", Kind::Int, Some("60000"), CHECKPOINTS)
        .check(Check::Min(0)),
    Key::new("log.message.downconversion.enable", Kind::Boolean, Some("true"), FORMAT),
    Key::new("log.message.format.version", Kind::String, Some("3.0-IV1"), FORMAT).check(Check::KafkaVersion),
    Key::new("metadata.log.dir", Kind::String, None, QUORUM),
    Key::new("metadata.log.segment.bytes", Kind::Int, Some("1073741824"), QUORUM).check(Check::Min(12)),
    Key::new("metadata.log.segment.min.bytes", Kind::Int, Some("8388608"), QUORUM).check(Check::Min(12)),
    Key::new("metadata.log.segment.ms", Kind::Long, Some("604800000"), QUORUM),
    Key::new("metadata.max.retention.bytes", Kind::Long, Some("-1"), QUORUM),
    Key::new("metadata.max.retention.ms", Kind::Long, Some("604800000"), QUORUM),
    Key::new("metric.reporters", Kind::List, Some(""), METRICS),
    Key::new("metrics.num.samples", Kind::Int, Some("2"), METRICS).check(Check::Min(1)),
    Key::new("metrics.recording.level", Kind::String, Some("INFO"), METRICS),
    Key::new("metrics.sample.window.ms", Kind::Long, Some("30000"), METRICS).check(Check::Min(1)),
    Key::new("num.network.threads", Kind::Int, Some("3"), THREADS).check(Check::Min(1)),
    Key::new("num.recovery.threads.per.data.dir", Kind::Int, Some("1"), THREADS).check(Check::Min(1)),
    Key::new("num.replica.alter.log.dirs.threads", Kind::Int, None, REPLICATION),
    Key::new("num.replica.fetchers", Kind::Int, Some("1"), REPLICATION),
    Key::new("offsets.commit.required.acks", Kind::Short, Some("-1"), COMMITS),
    Key::new("offsets.commit.timeout.ms", Kind::Int, Some("5000"), COMMITS).check(Check::Min(1)),
    Key::new("offsets.load.buffer.size", Kind::Int, Some("5242880"), LOADING).check(Check::Min(1)),
    Key::new("offsets.topic.compression.codec", Kind::Int, Some("0"), OFFSETS_CODEC),
    Key::new("password.encoder.cipher.algorithm", Kind::String, Some("AES/CBC/PKCS5Padding"), TLS),
    Key::new("password.encoder.iterations", Kind::Int, Some("4096"), TLS).check(Check::Min(1024)),
    Key::new("password.encoder.key.length", Kind::Int, Some("128"), TLS).check(Check::Min(8)),
    Key::new("password.encoder.keyfactory.algorithm", Kind::String, None, TLS),
    Key::new("password.encoder.old.secret", Kind::Password, None, TLS),
    Key::new("password.encoder.secret", Kind::Password, None, TLS),
    Key::new(
        "principal.builder.class",
        Kind::Class,
        Some("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        TLS,
    ),
    Key::new("process.roles", Kind::List, Some(""), QUORUM)
        .check(Check::EachOneOf(&["broker", "controller"])),
    Key::new("producer.purgatory.purge.interval.requests", Kind::Int, Some("1000"), PURGATORY),
    Key::new("queued.max.requests", Kind::Int, Some("500"), REQUESTS).check(Check::Min(1)),
    Key::new("quota.window.num", Kind::Int, Some("11"), QUOTAS).check(Check::Min(1)),
    Key::new("quota.window.size.seconds", Kind::Int, Some("1"), QUOTAS).check(Check::Min(1)),
    Key::new("remote.log.index.file.cache.total.size.bytes", Kind::Long, Some("1073741824"), TIERED)
        .check(Check::Min(1)),
    Key::new("remote.log.manager.task.interval.ms", Kind::Long, Some("30000"), TIERED).check(Check::Min(1)),
    Key::new("remote.log.manager.task.retry.backoff.max.ms", Kind::Long, Some("30000"), TIERED)
        .check(Check::Min(1)),
    Key::new("remote.log.manager.task.retry.backoff.ms", Kind::Long, Some("500"), TIERED)
        .check(Check::Min(1)),
    Key::new("remote.log.manager.task.retry.jitter", Kind::Double, Some("0.2"), TIERED)
        .check(Check::Fraction(0.0, 0.5)),
    Key::new("remote.log.manager.thread.pool.size", Kind::Int, Some("10"), TIERED).check(Check::Min(1)),
    Key::new("remote.log.metadata.manager.class.name", Kind::String, None, TIERED),
    Key::new("remote.log.metadata.manager.class.path", Kind::String, None, TIERED),
    Key::new("remote.log.metadata.manager.impl.prefix", Kind::String, None, TIERED),
    Key::new("remote.log.metadata.manager.listener.name", Kind::String, None, TIERED),
    Key::new("remote.log.reader.max.pending.tasks", Kind::Int, Some("100"), TIERED).check(Check::Min(1)),
    Key::new("remote.log.reader.threads", Kind::Int, Some("10"), TIERED).check(Check::Min(1)),
    Key::new("remote.log.storage.manager.class.name", Kind::String, None, TIERED),
    Key::new("remote.log.storage.manager.class.path", Kind::String, None, TIERED),
    Key::new("remote.log.storage.manager.impl.prefix", Kind::String, None, TIERED),
    Key::new("remote.log.storage.system.enable", Kind::Boolean, Some("false"), TIERED),
    Key::new("replica.fetch.backoff.ms", Kind::Int, Some("1000"), REPLICATION).check(Check::Min(0)),
    Key::new("replica.fetch.max.bytes", Kind::Int, Some("1048576"), REPLICATION).check(Check::Min(0)),
    Key::new("replica.fetch.min.bytes", Kind::Int, Some("1"), REPLICATION),
    Key::new("replica.fetch.response.max.bytes", Kind::Int, Some("10485760"), REPLICATION)
        .check(Check::Min(0)),
    Key::new("replica.fetch.wait.max.ms", Kind::Int, Some("500"), REPLICATION),
    Key::new("replica.high.watermark.checkpoint.interval.ms", Kind::Long, Some("5000"), REPLICATION),
    Key::new("replica.lag.time.max.ms", Kind::Long, Some("30000"), REPLICATION),
    Key::new("replica.selector.class", Kind::String, None, REPLICATION),
    Key::new("replica.socket.receive.buffer.bytes", Kind::Int, Some("65536"), REPLICATION),
    Key::new("replica.socket.timeout.ms", Kind::Int, Some("30000"), REPLICATION),
    Key::new("replication.quota.window.num", Kind::Int, Some("11"), REPLICATION).check(Check::Min(1)),
    Key::new("replication.quota.window.size.seconds", Kind::Int, Some("1"), REPLICATION).check(Check::Min(1)),
    Key::new("request.timeout.ms", Kind::Int, Some("30000"), REPLICATION),
    Key::new("sasl.client.callback.handler.class", Kind::Class, None, TLS),
    Key::new("sasl.enabled.mechanisms", Kind::List, Some("GSSAPI"), TLS),
    Key::new("sasl.jaas.config", Kind::Password, None, TLS),
    Key::new("sasl.kerberos.kinit.cmd", Kind::String, Some("/usr/bin/kinit"), TLS),
    Key::new("sasl.kerberos.min.time.before.relogin", Kind::Long, Some("60000"), TLS),
    Key::new("sasl.kerberos.principal.to.local.rules", Kind::List, Some("DEFAULT"), TLS),
    Key::new("sasl.kerberos.service.name", Kind::String, None, TLS),
    Key::new("sasl.kerberos.ticket.renew.jitter", Kind::Double, Some("0.05"), TLS),
    Key::new("sasl.kerberos.ticket.renew.window.factor", Kind::Double, Some("0.8"), TLS),
    Key::new("sasl.login.callback.handler.class", Kind::Class, None, TLS),
    Key::new("sasl.login.class", Kind::Class, None, TLS),
    Key::new("sasl.login.connect.timeout.ms", Kind::Int, None, TLS),
    Key::new("sasl.login.read.timeout.ms", Kind::Int, None, TLS),
    Key::new("sasl.login.refresh.buffer.seconds", Kind::Short, Some("300"), TLS),
    Key::new("sasl.login.refresh.min.period.seconds", Kind::Short, Some("60"), TLS),
    Key::new("sasl.login.refresh.window.factor", Kind::Double, Some("0.8"), TLS),
    Key::new("sasl.login.refresh.window.jitter", Kind::Double, Some("0.05"), TLS),
    Key::new("sasl.login.retry.backoff.max.ms", Kind::Long, Some("10000"), TLS),
    Key::new("sasl.login.retry.backoff.ms", Kind::Long, Some("100"), TLS),
    Key::new("sasl.mechanism.controller.protocol", Kind::String, Some("GSSAPI"), TLS),
    Key::new("sasl.mechanism.inter.broker.protocol", Kind::String, Some("GSSAPI"), TLS),
    Key::new("sasl.oauthbearer.clock.skew.seconds", Kind::Int, Some("30"), TLS),
    Key::new("sasl.oauthbearer.expected.audience", Kind::List, None, TLS),
    Key::new("sasl.oauthbearer.expected.issuer", Kind::String, None, TLS),
    Key::new("sasl.oauthbearer.jwks.endpoint.refresh.ms", Kind::Long, Some("3600000"), TLS),
    Key::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Kind::Long, Some("10000"), TLS),
    Key::new("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Kind::Long, Some("100"), TLS),
    Key::new("sasl.oauthbearer.jwks.endpoint.url", Kind::String, None, TLS),
    Key::new("sasl.oauthbearer.scope.claim.name", Kind::String, Some("scope"), TLS),
    Key::new("sasl.oauthbearer.sub.claim.name", Kind::String, Some("sub"), TLS),
    Key::new("sasl.oauthbearer.token.endpoint.url", Kind::String, None, TLS),
    Key::new("sasl.server.callback.handler.class", Kind::Class, None, TLS),
    Key::new("security.providers", Kind::String, None, TLS),
    Key::new("socket.connection.setup.timeout.max.ms", Kind::Long, Some("30000"), REPLICATION),
    Key::new("socket.connection.setup.timeout.ms", Kind::Long, Some("10000"), REPLICATION),
    Key::new("ssl.cipher.suites", Kind::List, Some(""), TLS),
    Key::new("ssl.client.auth", Kind::String, Some("none"), TLS).check(Check::OneOf(&[
        "required",
        "requested",
        "none",
    ])),
    Key::new("ssl.enabled.protocols", Kind::List, Some("TLSv1.2,TLSv1.3"), TLS),
    Key::new("ssl.endpoint.identification.algorithm", Kind::String, Some("https"), TLS),
    Key::new("ssl.engine.factory.class", Kind::Class, None, TLS),
    Key::new("ssl.key.password", Kind::Password, None, TLS),
    Key::new("ssl.keymanager.algorithm", Kind::String, Some("SunX509"), TLS),
    Key::new("ssl.keystore.certificate.chain", Kind::Password, None, TLS),
    Key::new("ssl.keystore.key", Kind::Password, None, TLS),
    Key::new("ssl.keystore.location", Kind::String, None, TLS),
    Key::new("ssl.keystore.password", Kind::Password, None, TLS),
    Key::new("ssl.keystore.type", Kind::String, Some("JKS"), TLS),
    Key::new("ssl.principal.mapping.rules", Kind::String, Some("DEFAULT"), TLS),
    Key::new("ssl.protocol", Kind::String, Some("TLSv1.3"), TLS),
    Key::new("ssl.provider", Kind::String, None, TLS),
    Key::new("ssl.secure.random.implementation", Kind::String, None, TLS),
    Key::new("ssl.trustmanager.algorithm", Kind::String, Some("PKIX"), TLS),
    Key::new("ssl.truststore.certificates", Kind::Password, None, TLS),
    Key::new("ssl.truststore.location", Kind::String, None, TLS),
    Key::new("ssl.truststore.password", Kind::Password, None, TLS),
    Key::new("ssl.truststore.type", Kind::String, Some("JKS"), TLS),
    Key::new(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Kind::Int,
        Some("10000"),
        TRANSACTIONS,
    )
    .check(Check::Min(1)),
    Key::new("transaction.max.timeout.ms", Kind::Int, Some("900000"), TRANSACTIONS).check(Check::Min(1)),
    Key::new(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        Kind::Int,
        Some("3600000"),
        TRANSACTIONS,
    )
    .check(Check::Min(1)),
    Key::new("transaction.state.log.load.buffer.size", Kind::Int, Some("5242880"), TRANSACTIONS)
        .check(Check::Min(1)),
    Key::new("transaction.state.log.min.isr", Kind::Int, Some("2"), TRANSACTIONS).check(Check::Min(1)),
    Key::new("transaction.state.log.num.partitions", Kind::Int, Some("50"), TRANSACTIONS)
        .check(Check::Min(1)),
    Key::new("transaction.state.log.replication.factor", Kind::Short, Some("3"), TRANSACTIONS)
        .check(Check::Min(1)),
    Key::new("transaction.state.log.segment.bytes", Kind::Int, Some("104857600"), TRANSACTIONS)
        .check(Check::Min(1)),
    Key::new("transactional.id.expiration.ms", Kind::Int, Some("604800000"), TRANSACTIONS)
        .check(Check::Min(1)),
    Key::new("unclean.leader.election.enable", Kind::Boolean, Some("false"), REPLICATION),
    Key::new("zookeeper.clientCnxnSocket", Kind::String, None, ZOOKEEPER),
    Key::new("zookeeper.connect", Kind::String, None, ZOOKEEPER),
    Key::new("zookeeper.connection.timeout.ms", Kind::Int, None, ZOOKEEPER),
    Key::new("zookeeper.max.in.flight.requests", Kind::Int, Some("10"), ZOOKEEPER).check(Check::Min(1)),
    Key::new("zookeeper.session.timeout.ms", Kind::Int, Some("18000"), ZOOKEEPER),
    Key::new("zookeeper.set.acl", Kind::Boolean, Some("false"), ZOOKEEPER),
    Key::new("zookeeper.ssl.cipher.suites", Kind::List, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.client.enable", Kind::Boolean, Some("false"), ZOOKEEPER),
    Key::new("zookeeper.ssl.crl.enable", Kind::Boolean, Some("false"), ZOOKEEPER),
    Key::new("zookeeper.ssl.enabled.protocols", Kind::List, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.endpoint.identification.algorithm", Kind::String, Some("HTTPS"), ZOOKEEPER),
    Key::new("zookeeper.ssl.keystore.location", Kind::String, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.keystore.password", Kind::Password, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.keystore.type", Kind::String, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.ocsp.enable", Kind::Boolean, Some("false"), ZOOKEEPER),
    Key::new("zookeeper.ssl.protocol", Kind::String, Some("TLSv1.2"), ZOOKEEPER),
    Key::new("zookeeper.ssl.truststore.location", Kind::String, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.truststore.password", Kind::Password, None, ZOOKEEPER),
    Key::new("zookeeper.ssl.truststore.type", Kind::String, None, ZOOKEEPER),
];

/// The row of `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    UNSUPPORTED_KEYS.iter().find(|key| key.name == name)
}
