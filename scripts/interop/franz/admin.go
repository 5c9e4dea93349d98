package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// administer takes a topic through its life, and a group without members.
func administer(ctx context.Context, o options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	segment := "1048576"
	if _, err := admin.CreateTopic(ctx, 2, 1, map[string]*string{"segment.bytes": &segment}, o.topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	created, err := admin.CreatePartitions(ctx, 1, o.topic)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		return fmt.Errorf("create partitions: %w", err)
	}
	listed, err := admin.ListTopics(ctx, o.topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if got := len(listed[o.topic].Partitions); got != 3 {
		return fmt.Errorf("%s has %d partitions, 3 were asked for", o.topic, got)
	}
	if err := configs(ctx, admin, o.topic); err != nil {
		return err
	}
	if err := offsets(ctx, admin, o.topic); err != nil {
		return err
	}
	if _, err := admin.DeleteTopic(ctx, o.topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// configs sets a key, finds it beside the one that the topic was created with, and removes it.
func configs(ctx context.Context, admin *kadm.Client, topic string) error {
	expect := func(name, want string) error {
		described, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return err
		}
		one, err := described.On(topic, nil)
		if err != nil {
			return err
		}
		for _, config := range one.Configs {
			if config.Key == name && config.MaybeValue() == want {
				return nil
			}
		}
		return fmt.Errorf("%s is not %s in %+v", name, want, one.Configs)
	}
	alter := func(op kadm.IncrementalOp, value *string) error {
		altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: "retention.ms", Value: value}}, topic)
		if err != nil {
			return err
		}
		_, err = altered.On(topic, func(one *kadm.AlterConfigsResponse) error { return one.Err })
		return err
	}
	retention := "60000"
	steps := []func() error{
		func() error { return expect("segment.bytes", "1048576") },
		func() error { return alter(kadm.SetConfig, &retention) },
		func() error { return expect("retention.ms", retention) },
		func() error { return expect("segment.bytes", "1048576") },
		func() error { return alter(kadm.DeleteConfig, nil) },
		func() error { return expect("retention.ms", "604800000") },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("configs: %w", err)
		}
	}
	return nil
}

// offsets commits for a group that has no members, finds it, and deletes it.
func offsets(ctx context.Context, admin *kadm.Client, group string) error {
	committed := kadm.OffsetsFromRecords(kgo.Record{Topic: group, Partition: 0, Offset: 6})
	if err := admin.CommitAllOffsets(ctx, group, committed); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	if _, there := listed[group]; !there {
		return fmt.Errorf("the group is not among %v", listed.Groups())
	}
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return fmt.Errorf("describe group: %w", err)
	}
	if state := described[group].State; state != "Empty" {
		return fmt.Errorf("the group is %s", state)
	}
	fetched, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return fmt.Errorf("fetch offsets: %w", err)
	}
	if at, there := fetched.Lookup(group, 0); !there || at.At != 7 {
		return fmt.Errorf("committed is %+v, not 7", at)
	}
	_, err = admin.DeleteGroup(ctx, group)
	return err
}
