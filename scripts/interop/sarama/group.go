package main

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// member reads until it leaves; sarama commits what was marked as it goes.
type member struct {
	group  sarama.ConsumerGroup
	values chan string
	leaves context.CancelFunc
	done   chan error
}

func (*member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case record, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.values <- string(record.Value)
			session.MarkMessage(record, "")
		case <-session.Context().Done():
			return nil
		}
	}
}

func join(ctx context.Context, o options) (*member, error) {
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	group, err := sarama.NewConsumerGroup(o.brokers(), o.topic, config)
	if err != nil {
		return nil, err
	}
	ctx, leaves := context.WithCancel(ctx)
	m := &member{group, make(chan string, 1000), leaves, make(chan error, 1)}
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{o.topic}, m); err != nil {
				m.done <- err
				return
			}
		}
		m.done <- nil
	}()
	return m, nil
}

// leave commits what was read, and says goodbye.
func (m *member) leave() error {
	m.leaves()
	if err := <-m.done; err != nil {
		return err
	}
	return m.group.Close()
}

// read takes so many records from these members, each of them once.
func read(ctx context.Context, want int, from ...*member) error {
	seen := map[string]bool{}
	for len(seen) < want {
		for _, m := range from {
			select {
			case value := <-m.values:
				if seen[value] {
					return fmt.Errorf("%s came twice", value)
				}
				seen[value] = true
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("%d records of %d: %w", len(seen), want, ctx.Err())
			}
		}
	}
	return nil
}

func group(ctx context.Context, o options) error {
	admin, err := sarama.NewClusterAdmin(o.brokers(), sarama.NewConfig())
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := create(admin, o.topic, 2); err != nil {
		return err
	}
	config := sarama.NewConfig()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(o.brokers(), config)
	if err != nil {
		return err
	}
	defer producer.Close()
	// A record each ms from this time on.
	begun := time.UnixMilli(1_600_000_000_000)
	send := func(from, to int) error {
		for n := from; n < to; n++ {
			record := &sarama.ProducerMessage{Topic: o.topic, Partition: int32(n % 2), Value: sarama.StringEncoder(fmt.Sprint(n)),
				Timestamp: begun.Add(time.Duration(n) * time.Millisecond)}
			if _, _, err := producer.SendMessage(record); err != nil {
				return err
			}
		}
		return nil
	}
	members := func(want int) error {
		return until(ctx, fmt.Sprintf("%d members in a stable group", want), func() (bool, error) {
			described, err := admin.DescribeConsumerGroups([]string{o.topic})
			return err == nil && described[0].State == "Stable" && len(described[0].Members) == want, err
		})
	}
	first, err := join(ctx, o)
	if err != nil {
		return err
	}
	second, err := join(ctx, o)
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error { return members(2) },
		func() error { return send(0, 40) },
		func() error { return read(ctx, 40, first, second) },
		second.leave,
		func() error { return members(1) },
		func() error { return send(40, 80) },
		func() error { return read(ctx, 40, first) },
		first.leave,
		func() error { return send(80, 82) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	third, err := join(ctx, o)
	if err != nil {
		return err
	}
	if err := read(ctx, 2, third); err != nil {
		return err
	}
	if err := third.leave(); err != nil {
		return err
	}
	if err := positions(admin, o, begun); err != nil {
		return err
	}
	if err := admin.DeleteConsumerGroup(o.topic); err != nil {
		return err
	}
	return admin.DeleteTopic(o.topic)
}

// positions holds the committed offsets, and those by time, against what was sent.
func positions(admin sarama.ClusterAdmin, o options, begun time.Time) error {
	committed, err := admin.ListConsumerGroupOffsets(o.topic, map[string][]int32{o.topic: {0, 1}})
	if err != nil {
		return err
	}
	client, err := sarama.NewClient(o.brokers(), sarama.NewConfig())
	if err != nil {
		return err
	}
	defer client.Close()
	for partition := range int32(2) {
		if block := committed.GetBlock(o.topic, partition); block == nil || block.Offset != 41 {
			return fmt.Errorf("committed for partition %d is %+v, not 41", partition, block)
		}
		// The 21st record of the partition is the first that is not older.
		at, err := client.GetOffset(o.topic, partition, begun.UnixMilli()+39+int64(partition))
		if err != nil {
			return err
		}
		if at != 20 {
			return fmt.Errorf("the offset of partition %d by time is %d, not 20", partition, at)
		}
	}
	return nil
}
