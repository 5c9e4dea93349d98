"""The life of a topic through the Python admin clients: admin.py BOOTSTRAP kafka-python|confluent"""

import os
import sys
import time

GONE_S = 10


def expect(what, condition):
    print(what, "ok" if condition else "FAILED")
    if not condition:
        sys.exit(what)


def gone(listed, topic):
    """Deletion is announced before every view of the topics has followed."""
    deadline = time.monotonic() + GONE_S
    while topic in listed() and time.monotonic() < deadline:
        time.sleep(0.1)
    return topic not in listed()


def kafka_python(bootstrap, topic):
    from kafka.admin import KafkaAdminClient, NewTopic
    from kafka.errors import TopicAlreadyExistsError

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    wanted = [NewTopic(topic, num_partitions=3, replication_factor=1)]
    admin.create_topics(wanted)
    expect("listed", topic in admin.list_topics())
    described = admin.describe_topics([topic])[0]
    expect("3 partitions", len(described["partitions"]) == 3)
    try:
        admin.create_topics(wanted)
        expect("an existing topic is refused", False)
    except TopicAlreadyExistsError:
        expect("an existing topic is refused", True)
    # Its describe_cluster fails on DescribeCluster v0, which is all that Kafka 3.2 has.
    admin.delete_topics([topic])
    expect("deleted", gone(admin.list_topics, topic))
    admin.close()


def confluent(bootstrap, topic):
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

    admin = AdminClient({"bootstrap.servers": bootstrap})
    listed = lambda: admin.list_topics(timeout=10).topics
    wanted = [NewTopic(topic, num_partitions=3, replication_factor=1, config={"segment.bytes": "1048576"})]
    admin.create_topics(wanted)[topic].result(10)
    expect("listed with 3 partitions", len(listed()[topic].partitions) == 3)
    try:
        admin.create_topics(wanted)[topic].result(10)
        expect("an existing topic is refused", False)
    except KafkaException as error:
        expect("an existing topic is refused", error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    configs = admin.describe_configs([resource])[resource].result(10)
    expect("its segment.bytes", configs["segment.bytes"].value == "1048576")
    admin.delete_topics([topic])[topic].result(10)
    expect("deleted", gone(listed, topic))


if __name__ == "__main__":
    bootstrap, client = sys.argv[1:]
    {"kafka-python": kafka_python, "confluent": confluent}[client](bootstrap, f"interop-admin-{client}-{os.getpid()}")
