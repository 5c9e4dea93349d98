"""Administration by the Python clients, the life of a topic and of a group: admin.py BOOTSTRAP kafka-python|confluent"""

import os
import sys
import time

GONE_S = 10


def expect(what, condition):
    print(what, "ok" if condition else "FAILED")
    if not condition:
        sys.exit(what)


def within(holds):
    """A change is announced before every view has followed."""
    deadline = time.monotonic() + GONE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)
    return holds()


def kafka_python(bootstrap, topic):
    from kafka import KafkaConsumer, TopicPartition
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
    from kafka.errors import TopicAlreadyExistsError
    from kafka.structs import OffsetAndMetadata

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    wanted = [NewTopic(topic, num_partitions=2, replication_factor=1, topic_configs={"segment.bytes": "1048576"})]
    admin.create_topics(wanted)
    expect("listed", topic in admin.list_topics())
    try:
        admin.create_topics(wanted)
        expect("an existing topic is refused", False)
    except TopicAlreadyExistsError:
        expect("an existing topic is refused", True)
    admin.create_partitions({topic: NewPartitions(3)})
    expect("3 partitions", within(lambda: len(admin.describe_topics([topic])[0]["partitions"]) == 3))
    # Its describe_cluster fails on DescribeCluster v0, which is all that Kafka 3.2 has.

    def value(name):
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return described["topic"][topic][name]["value"]

    expect("its segment.bytes", value("segment.bytes") == "1048576")
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "60000"})])
    expect("its retention.ms", within(lambda: value("retention.ms") == "60000"))
    expect("its segment.bytes is left alone", value("segment.bytes") == "1048576")

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=topic, enable_auto_commit=False)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.commit({partition: OffsetAndMetadata(7, "noted", -1)})
    consumer.close(autocommit=False)
    expect("the group is listed", topic in {group["group_id"] for group in admin.list_groups()})
    expect("it is empty", admin.describe_groups([topic])[topic]["group_state"] == "Empty")
    expect("7 is committed", admin.list_group_offsets(topic)[topic][partition].offset == 7)
    admin.delete_groups([topic])
    expect("the group is deleted", topic not in {group["group_id"] for group in admin.list_groups()})
    admin.delete_topics([topic])
    expect("deleted", within(lambda: topic not in admin.list_topics()))
    admin.close()


def confluent(bootstrap, topic):
    from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
    from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                       ResourceType)

    admin = AdminClient({"bootstrap.servers": bootstrap})

    def listed():
        return admin.list_topics(timeout=10).topics

    wanted = [NewTopic(topic, num_partitions=2, replication_factor=1, config={"segment.bytes": "1048576"})]
    admin.create_topics(wanted)[topic].result(10)
    try:
        admin.create_topics(wanted)[topic].result(10)
        expect("an existing topic is refused", False)
    except KafkaException as error:
        expect("an existing topic is refused", error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(10)
    expect("listed with 3 partitions", within(lambda: len(listed()[topic].partitions) == 3))

    def value(name):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        return admin.describe_configs([resource])[resource].result(10)[name].value

    expect("its segment.bytes", value("segment.bytes") == "1048576")
    entry = ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(10)
    expect("its retention.ms", within(lambda: value("retention.ms") == "60000"))
    expect("its segment.bytes is left alone", value("segment.bytes") == "1048576")

    offsets = ConsumerGroupTopicPartitions(topic, [TopicPartition(topic, 0, 7)])
    admin.alter_consumer_group_offsets([offsets])[topic].result(10)
    groups = admin.list_consumer_groups().result(10).valid
    expect("the group is listed", topic in {group.group_id for group in groups})
    described = admin.describe_consumer_groups([topic])[topic].result(10)
    expect("the group is empty", described.state == ConsumerGroupState.EMPTY)
    fetched = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(topic)])[topic].result(10)
    expect("7 is committed", [(one.partition, one.offset) for one in fetched.topic_partitions] == [(0, 7)])
    admin.delete_consumer_groups([topic])[topic].result(10)
    admin.delete_topics([topic])[topic].result(10)
    expect("deleted", within(lambda: topic not in listed()))


if __name__ == "__main__":
    bootstrap, client = sys.argv[1:]
    {"kafka-python": kafka_python, "confluent": confluent}[client](bootstrap, f"interop-admin-{client}-{os.getpid()}")
