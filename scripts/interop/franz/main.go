// Franz sends the lines of a file through a Kafka broker with franz-go and reads them back.
//
//	franz produce -b HOST:PORT -t TOPIC [-p PARTITION] -z CODEC [-acks all|1|0] < lines
//	franz consume -b HOST:PORT -t TOPIC -p PARTITION > lines
//	franz admin   -b HOST:PORT -t TOPIC
//	franz group   -b HOST:PORT -t TOPIC
//
// produce writes one record per line, with the client's own partitioner if there is no -p, and exits non-zero if any
// record fails. consume reads from the
// first offset to the end that the partition had when it started. admin takes TOPIC and a group through their lives. group has
// two members of a group share TOPIC, one leave, and a third go on where they had committed.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Longest line taken, in bytes: above the corpus's own bound, below the broker's default message.max.bytes.
const lineBytesMax = 1 << 20

// The value of -p that leaves the choice of partition to the client.
const anyPartition = -1

type options struct {
	broker, topic, codec, acks string
	partition                  int
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "franz:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: franz produce|consume|admin|group -b HOST:PORT -t TOPIC [-p PARTITION] [-z CODEC] [-acks ACKS]")
	}
	var o options
	flags := flag.NewFlagSet(args[1], flag.ContinueOnError)
	flags.StringVar(&o.broker, "b", "", "bootstrap server")
	flags.StringVar(&o.topic, "t", "", "topic")
	flags.IntVar(&o.partition, "p", anyPartition, "partition")
	flags.StringVar(&o.codec, "z", "none", "none, gzip, snappy, lz4 or zstd")
	flags.StringVar(&o.acks, "acks", "all", "all (idempotent), 1 or 0")
	if err := flags.Parse(args[2:]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	switch args[1] {
	case "produce":
		return produce(ctx, o)
	case "consume":
		return consume(ctx, o)
	case "admin":
		return administer(ctx, o)
	case "group":
		return group(ctx, o)
	}
	return fmt.Errorf("unknown command %q", args[1])
}

func codec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("unknown codec %q", name)
}

// franz-go is idempotent unless told otherwise, and idempotence demands acks=all.
func acks(name string) ([]kgo.Opt, error) {
	switch name {
	case "all":
		return []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())}, nil
	case "1":
		return []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}, nil
	case "0":
		return []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}, nil
	}
	return nil, fmt.Errorf("unknown acks %q", name)
}

func produce(ctx context.Context, o options) error {
	compression, err := codec(o.codec)
	if err != nil {
		return err
	}
	opts, err := acks(o.acks)
	if err != nil {
		return err
	}
	partitioner := kgo.ManualPartitioner()
	if o.partition == anyPartition {
		partitioner = kgo.RoundRobinPartitioner()
	}
	client, err := kgo.NewClient(append(opts,
		kgo.SeedBrokers(o.broker),
		kgo.DefaultProduceTopic(o.topic),
		kgo.RecordPartitioner(partitioner),
		kgo.ProducerBatchCompression(compression),
		// Whole batches, whatever the scheduler does: the suite tests bytes, not latency.
		kgo.ProducerLinger(5*time.Millisecond),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()

	var failure atomic.Pointer[error]
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 64<<10), lineBytesMax)
	for lines.Scan() {
		record := &kgo.Record{Value: append([]byte(nil), lines.Bytes()...), Partition: int32(o.partition)}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				failure.CompareAndSwap(nil, &err)
			}
		})
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

func consume(ctx context.Context, o options) error {
	start := map[string]map[int32]kgo.Offset{o.topic: {int32(o.partition): kgo.NewOffset().AtStart()}}
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.ConsumePartitions(start))
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, o.topic)
	if err != nil {
		return err
	}
	end, found := ends.Lookup(o.topic, int32(o.partition))
	if !found {
		return fmt.Errorf("no end offset of %s-%d", o.topic, o.partition)
	}
	if end.Err != nil {
		return end.Err
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for next := int64(0); next < end.Offset; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			next = record.Offset + 1
			if _, err := out.Write(append(record.Value, '\n')); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// member reads until its context ends; what it read is counted, and committed when it leaves.
type member struct {
	client *kgo.Client
	values chan string
	done   chan struct{}
}

func join(ctx context.Context, o options) (*member, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.ConsumerGroup(o.topic), kgo.ConsumeTopics(o.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(200*time.Millisecond))
	if err != nil {
		return nil, err
	}
	m := &member{client, make(chan string, 1000), make(chan struct{})}
	go func() {
		defer close(m.done)
		for {
			fetches := client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				return
			}
			for _, record := range fetches.Records() {
				m.values <- string(record.Value)
			}
		}
	}()
	return m, nil
}

// leave commits what was read, and says goodbye.
func (m *member) leave(ctx context.Context) error {
	if err := m.client.CommitUncommittedOffsets(ctx); err != nil {
		return err
	}
	m.client.Close()
	<-m.done
	return nil
}

func group(ctx context.Context, o options) error {
	producer, err := kgo.NewClient(kgo.SeedBrokers(o.broker), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	admin := kadm.NewClient(producer)
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, o.topic); err != nil {
		return err
	}
	send := func(from, to int) error {
		for n := from; n < to; n++ {
			record := &kgo.Record{Topic: o.topic, Partition: int32(n % 2), Value: []byte(fmt.Sprint(n))}
			if err := producer.ProduceSync(ctx, record).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}
	members := func(want int) error {
		for {
			described, err := admin.DescribeGroups(ctx, o.topic)
			if err == nil && described[o.topic].State == "Stable" && len(described[o.topic].Members) == want {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("never %d members in a stable group: %w", want, ctx.Err())
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	read := func(want int, from ...*member) error {
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
		func() error { return read(40, first, second) },
		func() error { return second.leave(ctx) },
		func() error { return members(1) },
		func() error { return send(40, 80) },
		func() error { return read(40, first) },
		func() error { return first.leave(ctx) },
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
	if err := read(2, third); err != nil {
		return err
	}
	if err := third.leave(ctx); err != nil {
		return err
	}
	at, err := admin.ListOffsetsAfterMilli(ctx, 0, o.topic)
	if err != nil {
		return err
	}
	if offset, _ := at.Lookup(o.topic, 0); offset.Offset != 0 {
		return fmt.Errorf("the offset at time 0 is %d", offset.Offset)
	}
	if _, err := admin.DeleteGroup(ctx, o.topic); err != nil {
		return err
	}
	_, err = admin.DeleteTopic(ctx, o.topic)
	return err
}
