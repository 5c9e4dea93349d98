// Sarama drives a Kafka broker with IBM's sarama, in its default settings.
//
//	sarama produce -b HOST:PORT -t TOPIC [-p PARTITION] -z CODEC [-acks all|1|0] < lines
//	sarama consume -b HOST:PORT -t TOPIC -p PARTITION > lines
//	sarama group   -b HOST:PORT -t TOPIC
//	sarama admin   -b HOST:PORT -t TOPIC
//
// produce writes one record per line, with the client's own partitioner if there is no -p, and exits non-zero if any record
// fails. consume reads from the first offset to the end that the partition had when it started. group has two members of a
// group share TOPIC, one leave, and a third go on where they had committed. admin takes TOPIC and a group through their lives.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
)

// The value of -p that leaves the choice of partition to the client.
const anyPartition = -1

type options struct {
	broker, topic, codec, acks string
	partition                  int
}

func (o options) brokers() []string { return []string{o.broker} }

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "sarama:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	commands := map[string]func(context.Context, options) error{
		"produce": produce, "consume": consume, "group": group, "admin": admin,
	}
	if len(args) < 2 || commands[args[1]] == nil {
		return errors.New("usage: sarama produce|consume|group|admin -b HOST:PORT -t TOPIC [-p PARTITION] [-z CODEC] [-acks ACKS]")
	}
	var o options
	flags := flag.NewFlagSet(args[1], flag.ContinueOnError)
	flags.StringVar(&o.broker, "b", "", "bootstrap server")
	flags.StringVar(&o.topic, "t", "", "topic")
	flags.IntVar(&o.partition, "p", anyPartition, "partition")
	flags.StringVar(&o.codec, "z", "none", "none, gzip, snappy, lz4 or zstd")
	flags.StringVar(&o.acks, "acks", "all", "all, 1 or 0")
	if err := flags.Parse(args[2:]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return commands[args[1]](ctx, o)
}

// until asks again until the answer is yes.
func until(ctx context.Context, what string, holds func() (bool, error)) error {
	for {
		yes, err := holds()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never %s: %w", what, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func create(admin sarama.ClusterAdmin, topic string, partitions int32) error {
	return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
}
