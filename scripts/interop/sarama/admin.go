package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// admin takes a topic through its life, and a group without members.
func admin(ctx context.Context, o options) error {
	admin, err := sarama.NewClusterAdmin(o.brokers(), sarama.NewConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	segment := "1048576"
	detail := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: map[string]*string{"segment.bytes": &segment}}
	if err := admin.CreateTopic(o.topic, detail, false); err != nil {
		return err
	}
	if err := admin.CreateTopic(o.topic, detail, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return fmt.Errorf("a topic that is there was created: %w", err)
	}
	if err := admin.CreatePartitions(o.topic, 3, nil, false); err != nil {
		return err
	}
	listed, err := admin.ListTopics()
	if err != nil {
		return err
	}
	if got := listed[o.topic].NumPartitions; got != 3 {
		return fmt.Errorf("%s has %d partitions, 3 were asked for", o.topic, got)
	}
	if err := configs(admin, o.topic); err != nil {
		return err
	}
	if err := offsets(admin, o); err != nil {
		return err
	}
	if err := admin.DeleteTopic(o.topic); err != nil {
		return err
	}
	return until(ctx, "without the topic", func() (bool, error) {
		listed, err := admin.ListTopics()
		_, there := listed[o.topic]
		return !there, err
	})
}

// configs alters a topic's configuration in both ways.
func configs(admin sarama.ClusterAdmin, topic string) error {
	expect := func(name, want string) error {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{name}})
		if err != nil {
			return err
		}
		if len(entries) != 1 || entries[0].Value != want {
			return fmt.Errorf("%s is %+v, not %s", name, entries, want)
		}
		return nil
	}
	retention, segment := "60000", "2097152"
	steps := []func() error{
		func() error { return expect("segment.bytes", "1048576") },
		func() error {
			return admin.IncrementalAlterConfig(sarama.TopicResource, topic,
				map[string]sarama.IncrementalAlterConfigsEntry{"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &retention}}, false)
		},
		func() error { return expect("retention.ms", retention) },
		func() error { return expect("segment.bytes", "1048576") },
		// All that is not named goes back to its default.
		func() error {
			return admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"segment.bytes": &segment}, false)
		},
		func() error { return expect("segment.bytes", segment) },
		func() error { return expect("retention.ms", "604800000") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	wrong := "soon"
	err := admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &wrong}, false)
	if err == nil {
		return errors.New("retention.ms=soon was accepted")
	}
	return nil
}

// offsets commits for a group that has no members, finds it, and deletes it.
func offsets(admin sarama.ClusterAdmin, o options) error {
	client, err := sarama.NewClient(o.brokers(), sarama.NewConfig())
	if err != nil {
		return err
	}
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(o.topic, client)
	if err != nil {
		return err
	}
	partition, err := manager.ManagePartition(o.topic, 0)
	if err != nil {
		return err
	}
	partition.MarkOffset(7, "noted")
	manager.Commit()
	if err := partition.Close(); err != nil {
		return err
	}
	if err := manager.Close(); err != nil {
		return err
	}
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	if _, there := groups[o.topic]; !there {
		return fmt.Errorf("the group is not among %v", groups)
	}
	described, err := admin.DescribeConsumerGroups([]string{o.topic})
	if err != nil {
		return err
	}
	if described[0].State != "Empty" {
		return fmt.Errorf("the group is %s", described[0].State)
	}
	committed, err := admin.ListConsumerGroupOffsets(o.topic, map[string][]int32{o.topic: {0}})
	if err != nil {
		return err
	}
	if block := committed.GetBlock(o.topic, 0); block.Offset != 7 || block.Metadata != "noted" {
		return fmt.Errorf("committed is %+v", block)
	}
	return admin.DeleteConsumerGroup(o.topic)
}
