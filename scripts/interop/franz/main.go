// Franz sends the lines of a file through a Kafka broker with franz-go and reads them back.
//
//	franz produce -b HOST:PORT -t TOPIC [-p PARTITION] -z CODEC [-acks all|1|0] < lines
//	franz consume -b HOST:PORT -t TOPIC -p PARTITION > lines
//	franz topics  -b HOST:PORT -t TOPIC
//
// produce writes one record per line, with the client's own partitioner if there is no -p, and exits non-zero if any
// record fails. consume reads from the
// first offset to the end that the partition had when it started. topics creates, finds and deletes TOPIC.
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
		return errors.New("usage: franz produce|consume|topics -b HOST:PORT -t TOPIC [-p PARTITION] [-z CODEC] [-acks ACKS]")
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
	case "topics":
		return topics(ctx, o)
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

func topics(ctx context.Context, o options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.broker))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 3, 1, nil, o.topic); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	listed, err := admin.ListTopics(ctx, o.topic)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if err := listed.Error(); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if got := len(listed[o.topic].Partitions); got != 3 {
		return fmt.Errorf("%s has %d partitions, 3 were asked for", o.topic, got)
	}
	if _, err := admin.DeleteTopic(ctx, o.topic); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}
