"""Asks a broker for what administrators ask, in every version that it answers, and checks codes and sentences.

administration.py BOOTSTRAP [NAME...]     all of the checks, or those; exit 1 if one failed

Every expectation here was seen on Kafka 3.2.0 first. Bodies are those of kafka-python's message definitions. What a check
changes of the broker it changes back, and its topics are removed.
"""

import sys
import time
import uuid

import kafka.protocol.admin as messages

import wire
from wire import Connection

UNKNOWN_TOPIC_OR_PARTITION = 3
OFFSET_OUT_OF_RANGE = 1
INVALID_TOPIC_EXCEPTION = 17
TOPIC_ALREADY_EXISTS = 36
INVALID_PARTITIONS = 37
INVALID_REPLICA_ASSIGNMENT = 39
INVALID_CONFIG = 40
INVALID_REQUEST = 42
POLICY_VIOLATION = 44
SECURITY_DISABLED = 54
LOG_DIR_NOT_FOUND = 57
ELECTION_NOT_NEEDED = 84
NO_REASSIGNMENT_IN_PROGRESS = 85
RESOURCE_NOT_FOUND = 91

TOPIC, BROKER = 2, 4
SET, DELETE, APPEND, SUBTRACT = range(4)
CHECKS = {}


def check(function):
    CHECKS[function.__name__.replace("_", "-")] = function
    return function


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


class Fields:
    """A dict as the message definitions want it: its keys as attributes, what is missing as None."""

    def __init__(self, values):
        self.__dict__.update({name: fields(value) for name, value in values.items()})

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def fields(value):
    if isinstance(value, dict):
        return Fields(value)
    return [fields(item) for item in value] if isinstance(value, list) else value


class Broker:
    def __init__(self, bootstrap):
        self.bootstrap, self.connection = bootstrap, Connection(bootstrap)
        self.ranges = self._ranges()
        self.id = str(wire.cluster(self.connection)[0][0][0])

    def _ranges(self):
        reader = self.connection.ask(wire.API_VERSIONS, 0, b"")
        expect("ApiVersions", reader.i16(), 0)
        return {key: (first, last) for key, first, last in reader.array(lambda r: (r.i16(), r.i16(), r.i16()))}

    def versions(self, api):
        """All versions of an API that this broker and the message definitions have."""
        definition = getattr(messages, api + "Request")
        first, last = self.ranges[definition.API_KEY]
        return range(first, min(last, definition.max_version) + 1)

    def ask(self, api, version=None, **values):
        """The answer as a dict; in the last version unless another is named."""
        request, response = getattr(messages, api + "Request"), getattr(messages, api + "Response")
        version = self.versions(api)[-1] if version is None else version
        flexible = request.flexible_version_q(version)
        body = request(version=version, **{name: fields(value) for name, value in values.items()}).encode(version=version)
        reader = self.connection.ask(request.API_KEY, version, body, flexible=flexible)
        data = reader.data[reader.position + flexible :]
        return response.decode(data, version=version).to_dict()

    def topic(self, partitions=1, **configs):
        name = f"interop-admin-{uuid.uuid4().hex[:12]}"
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        expect("create", wire.create_topic(self.connection, name, partitions, configs), 0)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(
            wire.list_offset(self.connection, name, wire.LATEST, index)[0] for index in range(partitions)
        ):
            time.sleep(0.02)
        self.made.append(name)
        return name

    def __enter__(self):
        self.made = []
        return self

    def __exit__(self, *_):
        for name in self.made:
            wire.delete_topic(self.connection, name)

    # What several checks do.

    def create_partitions(self, topic, count, assignments=None, version=None, validate_only=False):
        if assignments is not None:
            assignments = [{"broker_ids": ids} for ids in assignments]
        topics = [{"name": topic, "count": count, "assignments": assignments}]
        answer = self.ask("CreatePartitions", version, topics=topics, timeout_ms=10_000, validate_only=validate_only)
        result = answer["results"][0]
        return result["error_code"], result["error_message"]

    def alter(self, kind, name, *edits, version=None, validate_only=False):
        configs = [{"name": key, "config_operation": operation, "value": value} for key, operation, value in edits]
        resource = {"resource_type": kind, "resource_name": name, "configs": configs}
        answer = self.ask("IncrementalAlterConfigs", version, resources=[resource], validate_only=validate_only)
        response = answer["responses"][0]
        return response["error_code"], response["error_message"]

    def replace(self, kind, name, version=None, **values):
        configs = [{"name": key.replace("_", "."), "value": value} for key, value in values.items()]
        resource = {"resource_type": kind, "resource_name": name, "configs": configs}
        answer = self.ask("AlterConfigs", version, resources=[resource], validate_only=False)
        response = answer["responses"][0]
        return response["error_code"], response["error_message"]

    def described(self, kind, name, *keys, version=None):
        """{key: its entry}."""
        resource = {"resource_type": kind, "resource_name": name, "configuration_keys": list(keys) or None}
        answer = self.ask(
            "DescribeConfigs", version, resources=[resource], include_synonyms=True, include_documentation=False
        )
        expect(f"describe {name}", answer["results"][0]["error_code"], 0)
        return {entry["name"]: entry for entry in answer["results"][0]["configs"]}

    def eventually(self, what, look, wanted, seconds=15):
        """Kafka tells of a change before every view of it has followed."""
        deadline = time.monotonic() + seconds
        while look() != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        expect(what, look(), wanted)


@check
def create_topics(broker):
    for version in broker.versions("CreateTopics"):
        name = f"interop-admin-{uuid.uuid4().hex[:12]}"
        wanted = {"name": name, "num_partitions": 2, "replication_factor": 1, "assignments": [], "configs": []}
        ask = lambda: broker.ask("CreateTopics", version, topics=[wanted], timeout_ms=10_000, validate_only=False)
        expect(f"v{version}", ask()["topics"][0]["error_code"], 0)
        broker.made.append(name)
        again = ask()["topics"][0]
        expect(f"v{version} again", again["error_code"], TOPIC_ALREADY_EXISTS)
        if version >= 1:
            expect(f"v{version} again", again["error_message"], f"Topic '{name}' already exists.")


@check
def delete_topics(broker):
    for version in broker.versions("DeleteTopics"):
        topic = broker.topic()
        named = {"topic_names": [topic], "topics": []} if version < 6 else {"topics": [{"name": topic, "topic_id": uuid.UUID(int=0)}]}
        answer = broker.ask("DeleteTopics", version, timeout_ms=10_000, **named)
        expect(f"v{version}", answer["responses"][0]["error_code"], 0)


@check
def create_partitions(broker):
    topic = broker.topic(partitions=2)
    said = lambda *asked: broker.create_partitions(topic, *asked, validate_only=True)
    fewer = "Topic currently has 2 partitions, which is higher than the requested 1."
    expect("fewer", said(1), (INVALID_PARTITIONS, fewer))
    expect("as many", said(2), (INVALID_PARTITIONS, "Topic already has 2 partitions."))
    own = int(broker.id)
    short = "Increasing the number of partitions by 2 but 1 assignments provided."
    expect("too short", said(4, [[own]]), (INVALID_REPLICA_ASSIGNMENT, short))
    unknown = "Unknown broker(s) in replica assignment: 4711."
    expect("unknown broker", said(3, [[4711]]), (INVALID_REPLICA_ASSIGNMENT, unknown))
    twice = f"Duplicate brokers not allowed in replica assignment: {own}, {own} for partition id 2."
    expect("broker twice", said(3, [[own, own]]), (INVALID_REPLICA_ASSIGNMENT, twice))
    none = "Cannot have replication factor of 0 for partition id 2."
    expect("no broker", said(3, [[]]), (INVALID_REPLICA_ASSIGNMENT, none))
    expect("validated", said(3, [[own]]), (0, None))
    missing = "The topic 'interop-no-such' does not exist."
    expect("unknown", broker.create_partitions("interop-no-such", 3), (UNKNOWN_TOPIC_OR_PARTITION, missing))
    for count, version in enumerate(broker.versions("CreatePartitions"), 3):
        expect(f"v{version}", broker.create_partitions(topic, count, version=version), (0, None))
        there = lambda: wire.metadata(broker.connection, [topic])[topic]
        broker.eventually(f"v{version}", there, (0, count))
    # The new ones take and give records.
    batch = wire.batch([b"x"])
    produced = lambda: wire.produce(broker.connection, topic, batch, partition=count - 1)[0]
    broker.eventually("produce to the last", produced, 0)


@check
def alter_topic_configs(broker):
    topic = broker.topic()
    alter = lambda *edits: broker.alter(TOPIC, topic, *edits)
    value = lambda key: broker.described(TOPIC, topic, key)[key]["value"]
    invalid = f"Invalid config value for resource ConfigResource(type=TOPIC, name='{topic}'): "
    refusals = [
        (("nope", SET, "5"), INVALID_CONFIG, "Unknown topic config name: nope"),
        (("retention.ms", SET, "x"), INVALID_REQUEST,
         invalid + "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        (("segment.bytes", SET, "1"), INVALID_REQUEST,
         invalid + "Invalid value 1 for configuration segment.bytes: Value must be at least 14"),
        (("cleanup.policy", APPEND, "foo"), INVALID_REQUEST,
         invalid + "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete"),
        (("retention.ms", SET, None), INVALID_REQUEST, "Null value not supported for : retention.ms"),
        (("retention.ms", APPEND, "1"), INVALID_REQUEST,
         "Config value append is not allowed for config key: retention.ms"),
    ]
    for edit, code, message in refusals:
        expect(str(edit), alter(edit), (code, message))
    twice = alter(("retention.ms", SET, "1"), ("retention.ms", SET, "2"))
    expect("twice", twice, (INVALID_REQUEST, "Error due to duplicate config keys"))
    lag = alter(("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "5"))
    conflict = "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
    expect("lag", lag, (INVALID_CONFIG, conflict))
    missing = "The topic 'interop-no-such' does not exist."
    expect("unknown", broker.alter(TOPIC, "interop-no-such", ("retention.ms", SET, "5")),
           (UNKNOWN_TOPIC_OR_PARTITION, missing))
    expect("validated", broker.alter(TOPIC, topic, ("retention.ms", SET, "5"), validate_only=True), (0, None))
    expect("validated", value("retention.ms"), "604800000")
    for number, version in enumerate(broker.versions("IncrementalAlterConfigs"), 6000):
        expect(f"v{version}", broker.alter(TOPIC, topic, ("retention.ms", SET, str(number)), version=version), (0, None))
        broker.eventually(f"v{version}", lambda: value("retention.ms"), str(number))
    expect("append", alter(("cleanup.policy", APPEND, "compact")), (0, None))
    broker.eventually("append", lambda: value("cleanup.policy"), "delete,compact")
    expect("subtract", alter(("cleanup.policy", SUBTRACT, "delete")), (0, None))
    broker.eventually("subtract", lambda: value("cleanup.policy"), "compact")
    expect("delete", alter(("retention.ms", DELETE, None), ("never.set", DELETE, None)), (0, None))
    broker.eventually("delete", lambda: value("retention.ms"), "604800000")
    for version in broker.versions("AlterConfigs"):
        expect(f"replace v{version}", broker.replace(TOPIC, topic, version, retention_bytes="77"), (0, None))
        broker.eventually("replaced", lambda: value("retention.bytes"), "77")
        expect("unset", value("cleanup.policy"), "delete")


@check
def an_altered_limit_counts_at_once(broker):
    topic = broker.topic()
    batch = wire.batch([b"x" * 5000])
    expect("before", wire.produce(broker.connection, topic, batch)[0], 0)
    expect("alter", broker.alter(TOPIC, topic, ("max.message.bytes", SET, "1000")), (0, None))
    broker.eventually("after", lambda: wire.produce(broker.connection, topic, batch)[0], 10)


@check
def alter_broker_configs(broker):
    alter = lambda *edits, of=broker.id: broker.alter(BROKER, of, *edits)
    entry = lambda key: broker.described(BROKER, broker.id, key)[key]
    topic = broker.topic()
    expect("another broker", alter(("log.retention.ms", SET, "5"), of="4711")[0], INVALID_REQUEST)
    fixed = (INVALID_REQUEST, "Cannot update these configs dynamically: Set(num.partitions)")
    expect("not dynamic", alter(("num.partitions", SET, "5")), fixed)
    wrong = "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
    expect("wrong", alter(("log.retention.ms", SET, "x")), (INVALID_REQUEST, wrong))
    expect("many threads", alter(("num.io.threads", SET, "1000"))[0], INVALID_REQUEST)
    try:
        expect("cluster", alter(("log.retention.ms", SET, "7000000"), of=""), (0, None))
        broker.eventually("cluster", lambda: (entry("log.retention.ms")["value"], entry("log.retention.ms")["config_source"]), ("7000000", 3))
        expect("broker", alter(("log.retention.ms", SET, "8000000")), (0, None))
        broker.eventually("broker", lambda: (entry("log.retention.ms")["value"], entry("log.retention.ms")["config_source"]), ("8000000", 2))
        synonyms = [(one["value"], one["source"]) for one in entry("log.retention.ms")["synonyms"]][:2]
        expect("synonyms", synonyms, [("8000000", 2), ("7000000", 3)])
        expect("default", {key: one["value"] for key, one in broker.described(BROKER, "").items()}, {"log.retention.ms": "7000000"})
        topics = broker.described(TOPIC, topic, "retention.ms")["retention.ms"]
        expect("its topics", (topics["value"], topics["config_source"]), ("8000000", 2))
    finally:
        alter(("log.retention.ms", DELETE, None))
        alter(("log.retention.ms", DELETE, None), of="")
    broker.eventually("back", lambda: broker.described(TOPIC, topic, "retention.ms")["retention.ms"]["value"], "604800000")


@check
def describe_configs(broker):
    topic = broker.topic(retention_ms=5000)
    for version in broker.versions("DescribeConfigs"):
        entry = broker.described(TOPIC, topic, "retention.ms", version=version)["retention.ms"]
        expect(f"v{version}", (entry["value"], entry["read_only"], entry["is_sensitive"]), ("5000", False, False))
        if version == 0:
            expect("v0", entry["is_default"], False)
        else:
            expect(f"v{version}", entry["config_source"], 1)
    own = broker.described(BROKER, broker.id, "broker.id", "log.retention.ms", "message.max.bytes")
    expect("read-only", {key: entry["read_only"] for key, entry in own.items()},
           {"broker.id": True, "log.retention.ms": False, "message.max.bytes": False})
    # Kafka 3.2.0 has 28 keys of topics with those that it hides; durability is our own.
    expect("topic keys", len([key for key in broker.described(TOPIC, topic) if key != "durability"]), 26)


@check
def delete_records(broker):
    topic = broker.topic(partitions=2)
    expect("produce", wire.produce(broker.connection, topic, wire.batch([b"a", b"b", b"c"]))[0], 0)

    def delete(name, *wanted, version=None):
        partitions = [{"partition_index": index, "offset": offset} for index, offset in wanted]
        answer = broker.ask("DeleteRecords", version, topics=[{"name": name, "partitions": partitions}], timeout_ms=10_000)
        found = answer["topics"][0]["partitions"]
        return {one["partition_index"]: (one["error_code"], one["low_watermark"]) for one in found}

    expect("one", delete(topic, (0, 1)), {0: (0, 1)})
    expect("fetch", wire.fetch(broker.connection, topic, 0)[0], OFFSET_OUT_OF_RANGE)
    expect("earliest", wire.list_offset(broker.connection, topic, wire.EARLIEST)[::2], (0, 1))
    expect("back", delete(topic, (0, 0)), {0: (0, 1)})
    expect("beyond", delete(topic, (0, 99), (1, -2)), {0: (OFFSET_OUT_OF_RANGE, -1), 1: (OFFSET_OUT_OF_RANGE, -1)})
    expect("unknown", delete(topic, (9, 0)), {9: (UNKNOWN_TOPIC_OR_PARTITION, -1)})
    expect("unknown", delete("interop-no-such", (0, 0)), {0: (UNKNOWN_TOPIC_OR_PARTITION, -1)})
    for version in broker.versions("DeleteRecords"):
        expect(f"all v{version}", delete(topic, (0, -1), version=version), {0: (0, 3)})
    compacted = broker.topic(cleanup_policy="compact")
    expect("compacted", delete(compacted, (0, -1)), {0: (POLICY_VIOLATION, -1)})


@check
def describe_log_dirs(broker):
    topic = broker.topic(partitions=2)
    for version in broker.versions("DescribeLogDirs"):
        answer = broker.ask("DescribeLogDirs", version, topics=[{"topic": topic, "partitions": [0, 1, 7]}])
        found = [(one["partition_index"], one["offset_lag"], one["is_future_key"]) for dir in answer["results"]
                 for one_topic in dir["topics"] if one_topic["name"] == topic for one in one_topic["partitions"]]
        expect(f"v{version}", sorted(found), [(0, 0, False), (1, 0, False)])
        everything = broker.ask("DescribeLogDirs", version, topics=None)["results"]
        names = {one["name"] for dir in everything for one in dir["topics"]}
        expect(f"v{version} all", (topic in names, {dir["error_code"] for dir in everything}), (True, {0}))
    for version in broker.versions("AlterReplicaLogDirs"):
        move = lambda path, topics: broker.ask("AlterReplicaLogDirs", version, dirs=[{"path": path, "topics": topics}])
        codes = lambda answer: {(one["topic_name"], part["partition_index"]): part["error_code"]
                                for one in answer["results"] for part in one["partitions"]}
        home = next(dir["log_dir"] for dir in everything if any(
            one["name"] == topic and any(part["partition_index"] == 0 for part in one["partitions"]) for one in dir["topics"]))
        expect("where it is", codes(move(home, [{"name": topic, "partitions": [0, 9]}])),
               {(topic, 0): 0, (topic, 9): UNKNOWN_TOPIC_OR_PARTITION})
        expect("nowhere", codes(move("/no/such", [{"name": topic, "partitions": [0]}])), {(topic, 0): LOG_DIR_NOT_FOUND})


@check
def elections_and_reassignments(broker):
    topic, own = broker.topic(), int(broker.id)
    for version in broker.versions("ElectLeaders"):
        answer = broker.ask("ElectLeaders", version, election_type=0, timeout_ms=5000,
                            topic_partitions=[{"topic": topic, "partitions": [0, 9]}])
        found = {one["partition_id"]: (one["error_code"], one["error_message"])
                 for one in answer["replica_election_results"][0]["partition_result"]}
        expect(f"elect v{version}", found, {
            0: (ELECTION_NOT_NEEDED, "Leader election not needed for topic partition."),
            9: (UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist."),
        })
        everything = broker.ask("ElectLeaders", version, election_type=0, timeout_ms=5000, topic_partitions=None)
        expect(f"elect all v{version}", everything["replica_election_results"], [])
    listed = broker.ask("ListPartitionReassignments", topics=None, timeout_ms=5000)
    expect("list", (listed["error_code"], listed["topics"]), (0, []))

    def reassign(replicas, index=0):
        wanted = [{"name": topic, "partitions": [{"partition_index": index, "replicas": replicas}]}]
        answer = broker.ask("AlterPartitionReassignments", 0, topics=wanted, timeout_ms=5000)
        one = answer["responses"][0]["partitions"][0]
        return one["error_code"], one["error_message"]

    expect("where it is", reassign([own]), (0, None))
    none = (NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment is in progress.")
    broker.eventually("cancel", lambda: reassign(None), none)
    dead = f"Replica assignment has brokers that are not alive. Replica list: ArrayBuffer(4711), live broker list: Set({own})"
    expect("another broker", reassign([4711]), (INVALID_REPLICA_ASSIGNMENT, dead))
    expect("no broker", reassign([]), (INVALID_REPLICA_ASSIGNMENT, "Empty replica list specified in partition reassignment."))
    expect("unknown", reassign([own], 9), (UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist."))


@check
def producers_and_transactions(broker):
    topic = broker.topic()
    error, producer, epoch = wire.init_producer(broker.connection)
    expect("producer id", error, 0)
    batch = wire.batch([b"a", b"b"], producer=(producer, epoch, 0))
    expect("produce", wire.produce(broker.connection, topic, batch)[0], 0)
    answer = broker.ask("DescribeProducers", topics=[{"name": topic, "partition_indexes": [0, 9]}])
    first, last = answer["topics"][0]["partitions"]
    active = [(one["producer_id"], one["producer_epoch"], one["last_sequence"], one["current_txn_start_offset"])
              for one in first["active_producers"]]
    expect("active", active, [(producer, epoch, 1, -1)])
    expect("unknown", last["error_code"], UNKNOWN_TOPIC_OR_PARTITION)
    listed = broker.ask("ListTransactions", 0, state_filters=["Ongoing", "Foo"], producer_id_filters=[])
    expect("list", (listed["error_code"], listed["unknown_state_filters"], listed["transaction_states"]), (0, ["Foo"], []))
    described = broker.ask("DescribeTransactions", transactional_ids=[""])
    expect("describe", described["transaction_states"][0]["error_code"], INVALID_REQUEST)


@check
def what_needs_an_authorizer(broker):
    one = {"resource_type": 2, "resource_name": "x", "resource_pattern_type": 3, "principal": "User:a", "host": "*",
           "operation": 3, "permission_type": 3}
    filters = {"resource_type_filter": 2, "resource_name_filter": "x", "pattern_type_filter": 3,
               "principal_filter": None, "host_filter": None, "operation": 1, "permission_type": 1}
    refused = (SECURITY_DISABLED, "No Authorizer is configured.")
    for version in broker.versions("DescribeAcls"):
        answer = broker.ask("DescribeAcls", version, **filters)
        expect(f"describe v{version}", (answer["error_code"], answer["error_message"]),
               (SECURITY_DISABLED, "No Authorizer is configured on the broker"))
        answers = broker.ask("CreateAcls", version, creations=[one, one])["results"]
        expect(f"create v{version}", [(a["error_code"], a["error_message"]) for a in answers], [refused, refused])
        answers = broker.ask("DeleteAcls", version, filters=[filters])["filter_results"]
        expect(f"delete v{version}", [(a["error_code"], a["error_message"]) for a in answers], [refused])


@check
def quotas_credentials_and_features(broker):
    for version in broker.versions("DescribeClientQuotas"):
        ask = lambda kind: broker.ask("DescribeClientQuotas", version, strict=True, components=[
            {"entity_type": kind, "match_type": 0, "match": "nobody"}])
        answer = ask("user")
        expect(f"quotas v{version}", (answer["error_code"], answer["entries"]), (0, []))
        expect(f"quotas v{version}", ask("foo")["error_message"], "Custom entity type 'foo' not supported")
        wrong = broker.ask("AlterClientQuotas", version, validate_only=True, entries=[
            {"entity": [{"entity_type": "user", "entity_name": "a"}], "ops": [{"key": "foo", "value": 1.0, "remove": False}]}])
        expect(f"alter v{version}", wrong["entries"][0]["error_message"], "Invalid configuration key foo")
    answer = broker.ask("DescribeUserScramCredentials", users=[{"name": "a"}])["results"][0]
    expect("credentials", (answer["error_code"], answer["error_message"]),
           (RESOURCE_NOT_FOUND, "Attempt to describe a user credential that does not exist: a"))
    answer = broker.ask("AlterUserScramCredentials", deletions=[{"name": "a", "mechanism": 1}], upsertions=[])["results"][0]
    expect("credentials", (answer["error_code"], answer["error_message"]),
           (RESOURCE_NOT_FOUND, "Attempt to delete a user credential that does not exist"))
    update = {"feature": "f", "max_version_level": 3, "allow_downgrade": False, "upgrade_type": 1}
    answer = broker.ask("UpdateFeatures", 0, timeout_ms=5000, feature_updates=[update])["results"][0]
    expect("features", (answer["error_code"], answer["error_message"]), (
        INVALID_REQUEST, "Could not apply finalized feature update because the provided feature is not supported."))


if __name__ == "__main__":
    bootstrap, names = sys.argv[1], sys.argv[2:] or list(CHECKS)
    failed = []
    for name in names:
        try:
            with Broker(bootstrap) as broker:
                CHECKS[name](broker)
            print(name, "ok")
        except Exception as error:
            failed.append(name)
            print(name, "FAILED", f"{type(error).__name__}: {error}")
    sys.exit("failed: " + ", ".join(failed) if failed else 0)
