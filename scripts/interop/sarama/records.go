package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/IBM/sarama"
)

// Longest line taken, in bytes: above the corpus's own bound, below the broker's default message.max.bytes.
const lineBytesMax = 1 << 20

func settings(o options) (*sarama.Config, error) {
	config := sarama.NewConfig()
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	acks := map[string]sarama.RequiredAcks{"all": sarama.WaitForAll, "1": sarama.WaitForLocal, "0": sarama.NoResponse}
	var known bool
	if config.Producer.Compression, known = codecs[o.codec]; !known {
		return nil, fmt.Errorf("unknown codec %q", o.codec)
	}
	if config.Producer.RequiredAcks, known = acks[o.acks]; !known {
		return nil, fmt.Errorf("unknown acks %q", o.acks)
	}
	if o.partition != anyPartition {
		config.Producer.Partitioner = sarama.NewManualPartitioner
	}
	// Without keys its hash partitioner takes one at random.
	config.Producer.MaxMessageBytes = lineBytesMax
	return config, nil
}

func produce(_ context.Context, o options) error {
	config, err := settings(o)
	if err != nil {
		return err
	}
	producer, err := sarama.NewAsyncProducer(o.brokers(), config)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		var first error
		for failure := range producer.Errors() {
			if first == nil {
				first = failure
			}
		}
		failed <- first
	}()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 0, 64<<10), lineBytesMax)
	for lines.Scan() {
		value := append([]byte(nil), lines.Bytes()...)
		producer.Input() <- &sarama.ProducerMessage{Topic: o.topic, Partition: int32(o.partition), Value: sarama.ByteEncoder(value)}
	}
	producer.AsyncClose()
	if err := <-failed; err != nil {
		return err
	}
	return lines.Err()
}

func consume(ctx context.Context, o options) error {
	client, err := sarama.NewClient(o.brokers(), sarama.NewConfig())
	if err != nil {
		return err
	}
	defer client.Close()
	end, err := client.GetOffset(o.topic, int32(o.partition), sarama.OffsetNewest)
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	reader, err := consumer.ConsumePartition(o.topic, int32(o.partition), sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer reader.Close()
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	for next := int64(0); next < end; {
		select {
		case record := <-reader.Messages():
			next = record.Offset + 1
			if _, err := out.Write(append(record.Value, '\n')); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return out.Flush()
}
